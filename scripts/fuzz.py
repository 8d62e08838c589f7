"""Coverage-guided fuzzing of this project's own decoders, with atheris (libFuzzer for Python).

    python -m scripts.fuzz aedat2 --runs 100000

An input may give events or one `InputError`; anything else, a hang of ten seconds, or more than
2 GB of memory is a finding: libFuzzer prints it, keeps the input in ``--out`` and exits with
another code than 0. ``--replay FILE`` runs a kept input again.

Compiled code can neither be instrumented nor be caught reading out of bounds, so Numba's compiler
is switched off (NUMBA_DISABLE_JIT=1): the same kernels then run as Python, where an index past an
array's end raises IndexError. A negative index wraps around in both, and goes unseen.

A decoder is added by a line in ``TARGETS``.
"""

import argparse
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Target = Callable[[bytes], object]


def decode_file(start: bytes, options: Sequence[dict[str, Any]]) -> Target:
    """A target that opens and reads a file of ``start`` and the fuzzer's bytes.

    Args:
        start: the format's signature, which the fuzzer need not find.
        options: of `open_recording`, one of which each input is opened with.
    """
    import numpy as np

    from eventhpe.errors import InputError
    from eventhpe.events.recording import open_recording

    # In memory, where there is such a place: a fuzzer would wear out a disk.
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    holder = tempfile.TemporaryDirectory(dir=folder)  # removed with the target

    def run(data: bytes) -> None:
        # The input's length picks the options, so that each input is decoded once.
        path = Path(holder.name) / "input"
        path.write_bytes(start + data)
        try:
            # Coordinates wrap around as in compiled code, where that is silent.
            with np.errstate(over="ignore"):
                check(open_recording(path, **options[len(data) % len(options)]).read())
        except InputError:
            return

    return run


def decode_chunk() -> Target:
    """A target that decodes an ECF chunk; a damaged one is a ValueError, which names the chunk."""
    import numpy as np

    from eventhpe.events.formats import ecf

    room = 4096

    def run(data: bytes) -> None:
        x, y = np.zeros(room, np.uint16), np.zeros(room, np.uint16)
        t, p = np.zeros(room, np.int64), np.zeros(room, np.uint8)
        try:
            n = ecf.decode_chunk(np.frombuffer(data, np.uint8), x, y, t, p)
        except ValueError:
            return
        beyond = x[n:].any() or y[n:].any() or t[n:].any() or p[n:].any()
        if beyond or (x >= 2048 + 5).any() or (y >= 2048).any() or (p > 1).any():
            raise AssertionError("events beyond the header's count, or of impossible pixels")

    return run


def check(events: Any) -> None:
    """What every decoder promises of an `EventStream`.

    Raises:
        AssertionError: it does not hold.
    """
    inside = (events.x < events.width).all() and (events.y < events.height).all()
    sorted_by_time = (events.t[1:] >= events.t[:-1]).all() and (events.t >= 0).all()
    if not (inside and sorted_by_time and (events.p <= 1).all()):
        raise AssertionError("events outside the sensor, unsorted, or of another polarity")


def aedat2_seeds() -> list[bytes]:
    """Files of a DVS128, a DAVIS, four cameras, wrapped clocks, and a cut one; less signature."""
    import numpy as np

    def words(addresses: list[int], times: list[int]) -> bytes:
        return np.array([addresses, times], ">u4").T.tobytes()

    davis = [0x3BD4F800, 0x3BD4F000, 0x80000000, 0x400, 0x00012800]
    dvs128 = [0x1234, 0x8001, 0x7FFE, 0x0101]
    return [
        b"\r\n# AEChip: DVS128\r\n" + words(dvs128, [1, 2, 3, 4]),
        b"\r\n" + words(dvs128, [1, 2, 2, 4]),
        b"\r\n# AEChip: DAVIS346red\r\n#End Of ASCII Header\r\n" + words(davis, [5, 6, 7, 8, 9]),
        b"\r\n# HardwareInterface: DAVIS240\r\n" + words(davis, [9, 8, 7, 6, 5])[:-3],
        b"\r\n" + words([a | k for k, a in enumerate(davis[:2])], [2**32 - 1, 3]),
        b"\r\n" + words(davis, [0, 2**31, 2**32 - 1, 0, 2**31 - 1]),
        b"\r\n# cut",
    ]


def ecf_seeds() -> list[bytes]:
    """Chunks of a few events in each of the four ways, and one without."""

    def chunk(packed: int, n: int, *parts: bytes) -> bytes:
        return struct.pack("<IQ", n << 2 | packed, 1000) + b"".join(parts)

    rows, columns = struct.pack("<H", 7 << 5 | 2), struct.pack("<HH", 9 << 5, 11 << 5)
    return [
        chunk(0, 2, b"\x32", rows, columns, b"\x81\x01"),
        chunk(
            0, 3, b"\xf1\x13", struct.pack("<H", 7 << 5 | 3), struct.pack("<H", 9 << 5 | 0b11000)
        ),
        chunk(1, 2, b"\x02", rows, struct.pack("<HHH", 0x1234, 0x0056, 0)),
        chunk(2, 2, b"\x11\x21", struct.pack("<III", 0x12345678, 0x9ABCDEF0, 1)),
        chunk(3, 4, b"\x0f\x04\x00", struct.pack("<III", 0x12345678, 0x9ABCDEF0, 0x01020304)),
        chunk(0, 0),
    ]


def text_seeds() -> list[bytes]:
    """Events of e2vid's text, less the first line: good, out of order, outside, and no numbers."""
    return [
        b"0.000001 1 2 1\n0.5 345 259 0\n1e0 3 4 1\n",
        b"5.5 1 2 1\n5.4 1 2 0\n7.0 400 300 1\n",
        b"1600000000.123456 1 2 1\n1600000000.2 1 2 -1\n",
        b"0.1 1 2\n",
        b"0.1 nan 2 1\n",
    ]


def celex_seeds() -> list[bytes]:
    """Lines of a CeleX csv, good and bad."""
    return [b"1,2,100,5,1\n3,4,101,6,0\n", b"1279,799,5,5,-1\n5000,4,6,6,1\n", b"1,2,3\n"]


SIZES: tuple[dict[str, Any], ...] = ({}, {"width": 346, "height": 260})
TARGETS: dict[str, tuple[Callable[[], Target], Callable[[], list[bytes]]]] = {
    "aedat2": (
        lambda: decode_file(
            b"#!AER-DAT2.0", [{**size, "camera": c} for c in (None, 0, 2) for size in SIZES]
        ),
        aedat2_seeds,
    ),
    "celex": (
        lambda: decode_file(b"1,2,99,5,1\n", [{"time_unit": unit} for unit in ("us", "ns")]),
        celex_seeds,
    ),
    "ecf": (decode_chunk, ecf_seeds),
    "text": (lambda: decode_file(b"346 260\n", [{}, {"time_unit": "s"}]), text_seeds),
}
"""Name to what makes the target, which takes a file's or a chunk's bytes and raises only what
is a finding, and to what makes its seeds."""


def main() -> None:
    """Fuzz one decoder, or run one input through it."""
    parser = argparse.ArgumentParser("python -m scripts.fuzz", description="Fuzz a decoder.")
    parser.add_argument("decoder", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000, help="inputs; default: 100,000")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's random numbers")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="kept inputs")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input once, instead")
    arguments = parser.parse_args()
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    make_target, make_seeds = TARGETS[arguments.decoder]
    if arguments.replay:
        make_target()(arguments.replay.read_bytes())
        return
    try:
        import atheris
    except ImportError:
        parser.exit(2, "scripts.fuzz: atheris is missing: pip install atheris (Linux, x86-64)\n")
    folder = arguments.out / arguments.decoder
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["eventhpe.events"]):
        target = make_target()
        for i, seed in enumerate(make_seeds()):
            (seeds / str(i)).write_bytes(seed)
            target(seed)  # imports the decoder, which `open_recording` does only when it needs it
    flags = [f"-runs={arguments.runs}", f"-seed={arguments.seed}", "-max_len=4096"]
    flags += ["-len_control=0", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    flags += [f"-artifact_prefix={folder}/"]
    # The first folder takes the inputs that reach new code, the second only gives.
    (folder / "corpus").mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *flags, str(folder / "corpus"), str(seeds)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
