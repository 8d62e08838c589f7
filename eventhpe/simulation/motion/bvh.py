"""BVH, Biovision's hierarchy of offsets and channels, in any unit and with any joint names.

Format: Lander, "Working with Motion Capture File Formats", Game Developer, January 1998.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eventhpe.errors import InputError
from eventhpe.simulation.motion.capture import (
    Capture,
    axis_rotations,
    checked_rate,
    checked_values,
    parse_numbers,
    read_words,
)
from eventhpe.simulation.motion.segments import Array

_DAMAGED = "The file is damaged or cut short: export or fetch it again."
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")


@dataclass
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)


def read_bvh(path: Path, rate_hz: float | None = None) -> Capture:
    """Read a BVH file.

    Rotations are the product of a joint's channels in their order. Positions are read at the
    root alone: elsewhere the offsets hold, for bones do not stretch.

    Args:
        rate_hz: None takes the file's ``Frame Time``.

    Raises:
        InputError: it is cut short, or no BVH.
    """
    lines = read_words(path)
    motion = next((i for i, words in enumerate(lines) if words[0].upper() == "MOTION"), None)
    if motion is None or lines[0][0].upper() != "HIERARCHY":
        raise InputError(path, "no HIERARCHY followed by MOTION", "a whole BVH file", _DAMAGED)
    tree = _read_hierarchy(path, lines[1:motion])
    file_rate, values = _read_motion(path, lines[motion + 1 :], sum(map(len, tree.channels)))
    rotations = np.broadcast_to(np.eye(3), (len(values), len(tree.names), 3, 3)).copy()
    root, column = np.zeros((len(values), 3)), 0
    for joint, channels in enumerate(tree.channels):
        own = values[:, column : column + len(channels)]
        column += len(channels)
        turns = [i for i, channel in enumerate(channels) if channel.endswith("rotation")]
        rotations[:, joint] = axis_rotations("".join(channels[i][0] for i in turns), own[:, turns])
        for i, channel in enumerate(channels):
            if joint == 0 and channel.endswith("position"):
                root[:, "xyz".index(channel[0])] = own[:, i]
    return Capture(
        path,
        tuple(tree.names),
        tuple(tree.parents),
        checked_values(path, "offsets", tree.offsets),
        rotations,
        root,
        checked_rate(path, file_rate if rate_hz is None else rate_hz),
    )


def _read_hierarchy(path: Path, lines: list[list[str]]) -> _Hierarchy:
    tree = _Hierarchy()
    open_joints: list[int] = []
    for words in lines:
        keyword = words[0].upper()
        if keyword in ("ROOT", "JOINT", "END"):
            parent = open_joints[-1] if open_joints else -1
            if (parent < 0) != (not tree.names):
                raise InputError(path, "two roots", "one skeleton", "Export one person.")
            end = f"{tree.names[parent]}_end" if keyword == "END" and tree.names else "_end"
            tree.names.append(end if keyword == "END" else " ".join(words[1:]))
            tree.parents.append(parent)
            tree.offsets.append([0.0, 0.0, 0.0])
            tree.channels.append([])
        elif keyword == "{" and tree.names:
            open_joints.append(len(tree.names) - 1)
        elif keyword == "}" and open_joints:
            open_joints.pop()
        elif keyword == "OFFSET" and len(words) == 4 and open_joints:
            tree.offsets[open_joints[-1]] = parse_numbers(path, words[1:], "an OFFSET")
        elif keyword == "CHANNELS" and open_joints:
            tree.channels[open_joints[-1]] = _read_channels(path, words[1:])
        else:
            found = f"the line {' '.join(words)[:40]!r} in the hierarchy"
            raise InputError(path, found, "joints, OFFSET and CHANNELS", _DAMAGED)
    if open_joints or not tree.names:
        raise InputError(path, "a hierarchy that does not close", "balanced braces", _DAMAGED)
    return tree


def _read_channels(path: Path, words: list[str]) -> list[str]:
    channels = [word.lower() for word in words[1:]]
    if words[:1] != [str(len(channels))] or not set(channels) <= set(_CHANNELS):
        found = f"CHANNELS {' '.join(words)}"
        raise InputError(path, found, "a count and as many of Xposition..Zrotation", _DAMAGED)
    return channels


def _read_motion(path: Path, lines: list[list[str]], width: int) -> tuple[float, Array]:
    head = [" ".join(words).lower().replace(":", ": ").split() for words in lines[:2]]
    if [words[:-1] for words in head] != [["frames:"], ["frame", "time:"]]:
        raise InputError(path, "no Frames and Frame Time lines", "both after MOTION", _DAMAGED)
    count, seconds = parse_numbers(path, (words[-1] for words in head), "Frames or Frame Time")
    rows = lines[2:]
    if len(rows) != count or len(rows) < 2:
        found = f"{len(rows)} rows of motion"
        raise InputError(path, found, f"the {count:g} declared, two at least", _DAMAGED)
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            found = f"{len(row)} values in row {number} of the motion"
            raise InputError(path, found, f"{width} values, one a channel", _DAMAGED)
    values = [parse_numbers(path, row, f"row {n} of the motion") for n, row in enumerate(rows, 1)]
    return 1 / seconds if seconds > 0 else 0.0, checked_values(path, "motion values", values)
