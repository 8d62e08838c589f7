"""Part a prepared DHP19 for training: ``python scripts/split_dhp19.py OUT``.

Writes ``OUT/reference`` and ``OUT/scarpellini`` with the folders ``train``, ``val`` and ``test`` of
links to ``OUT/recordings``: what ``--data.root`` and ``evaluate.py`` take. Run it again after
preparing or fitting more.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from datasets.dhp19_splits import write_splits
from eventhpe.errors import InputError

EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a prepared DHP19")
    asked = parser.parse_args(arguments)
    try:
        counts = write_splits(asked.out)
    except InputError as error:
        print(f"split_dhp19: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    for split, parts in counts.items():
        said = ", ".join(f"{part} {count}" for part, count in parts.items())
        print(f"{asked.out / split}: {said} recordings of one camera")
    return 0


if __name__ == "__main__":
    sys.exit(main())
