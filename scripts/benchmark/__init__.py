"""Measure the speeds this project promises, and print them beside the targets.

    python -m scripts.benchmark [--all] [--only NAME]

Rows run on one thread, but those that say otherwise.

A row is a function without arguments, registered with `@row`, that returns `Measured`; its ratio
rows (``also``) are printed below it. Add a row by writing such a function in the module of its
topic; a new module is named in ``TOPICS`` of `scripts.benchmark.__main__`.
"""
