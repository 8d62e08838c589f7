"""Readers and writers, one module a container family."""
