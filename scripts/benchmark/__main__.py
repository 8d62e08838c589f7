"""The command line of `scripts.benchmark`, and its table."""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module

from scripts.benchmark.rows import ROWS, Measured

TOPICS = (
    "events",
    "recordings",
    "dhp19",
    "fitting",
    "simulation",
    "inference",
    "report",
    "flow",
    "shape",
    "streaming",
    "rendering",
    "viewer",
)
"""Modules with rows, in the order of the table; importing one registers its rows."""


def _measure(only: str | None, everything: bool) -> Iterator[Measured]:
    for name, (function, long) in ROWS.items():
        if only is not None and name != only:
            continue
        if only is None and long and not everything:
            continue
        try:
            result = function()
        except ImportError as error:
            yield Measured(name, float("nan"), "", note=f"not measured: {error}")
            continue
        yield result
        yield from result.also


def _print_table(results: list[Measured]) -> None:
    table = [("name", "measured", "unit", "target", "ok", "note")]
    for result in results:
        sign = ">=" if result.more_is_better else "<="
        target = "-" if result.target is None else f"{sign} {result.target:g}"
        ok = "-" if result.target is None else ("yes" if result.ok else "NO")
        table.append((result.name, f"{result.value:.4g}", result.unit, target, ok, result.note))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def main() -> int:
    """Run the rows asked for; exit with 1 if a target is missed."""
    for topic in TOPICS:
        import_module(f"scripts.benchmark.{topic}")
    parser = argparse.ArgumentParser(
        "python -m scripts.benchmark", description="Measure the promised speeds."
    )
    parser.add_argument("--only", choices=sorted(ROWS), help="measure one row")
    parser.add_argument("--all", action="store_true", help="long rows too")
    arguments = parser.parse_args()
    results = list(_measure(arguments.only, arguments.all))
    _print_table(results)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
