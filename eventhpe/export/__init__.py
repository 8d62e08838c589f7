"""Motions as other programs' files: one module a format, and `eventhpe.export.formats` over all."""
