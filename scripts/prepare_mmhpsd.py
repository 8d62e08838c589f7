"""Turn MMHPSD into recordings: ``python scripts/prepare_mmhpsd.py RAW OUT --body SMPL.pkl``.

RAW holds ``events_256``, ``full_pic_256`` and ``pose_events``. Writes a recording of each action
into ``OUT/train``, ``OUT/val`` (subject 15) or ``OUT/test`` (subjects 01, 02 and 07). Finished ones
are kept, so an interrupted run goes on where it stopped; actions that cannot be read are named at
the end, and the exit code is then 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from datasets.mmhpsd import find_actions, write_recording
from eventhpe.body import load_body
from eventhpe.errors import InputError

EXIT_SKIPPED, EXIT_BAD_INPUT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path, metavar="RAW", help="the data set")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for train, val and test")
    parser.add_argument(
        "--body",
        type=Path,
        metavar="SMPL.pkl",
        help="the body that the set's poses belong to; the free default's if not given",
    )
    asked = parser.parse_args(arguments)
    failed = []
    try:
        source, target = load_body(asked.body), load_body()
        for action in tqdm(find_actions(asked.raw), desc="prepare", unit="action"):
            try:
                path = asked.out / action.part / f"{action.name}.h5"
                write_recording(action, path, source, target)
            except InputError as error:
                failed.append(error)
    except InputError as error:
        print(f"prepare_mmhpsd: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    for reason in failed:
        print(f"prepare_mmhpsd: left out: {reason}", file=sys.stderr)
    done = {part: len(list((asked.out / part).glob("*.h5"))) for part in ("train", "val", "test")}
    print(f"{asked.out}: {', '.join(f'{part} {count}' for part, count in done.items())} recordings")
    return EXIT_SKIPPED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
