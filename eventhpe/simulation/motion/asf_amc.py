"""Acclaim's ASF skeletons and AMC motions, as CMU's motion capture database has them.

Format: Lander, "Working with Motion Capture File Formats", Game Developer, January 1998. A bone
hangs at its parent's end; with C the rotation of its ``axis`` and M that of its degrees of
freedom, both about fixed axes in their order, it turns by C M C^T in its parent's frame.
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

CMU_RATE_HZ = 120.0
INCH = 0.0254
_DAMAGED = "The file is damaged or cut short: fetch it again."


@dataclass
class _Bone:
    """Vector from its start to its end (file units), axis order and angles, channel names."""

    vector: Array = field(default_factory=lambda: np.zeros(3))
    axis: tuple[str, Array] = ("", np.zeros(0))
    channels: tuple[str, ...] = ()
    parent: str = ""


def read_amc(path: Path, asf: Path | None = None, rate_hz: float | None = None) -> Capture:
    """Read an AMC motion and the ASF skeleton it belongs to; lengths come in metres.

    CMU's unit: metres = value / ``length`` * 0.0254 (mocap.cs.cmu.edu, FAQ).

    Args:
        asf: None looks beside the motion for the name's first part: ``02.asf`` of ``02_01.amc``.
        rate_hz: the file has none; None means CMU's 120 Hz.

    Raises:
        InputError: a file is absent, cut short, or the two do not belong together.
    """
    scale, bones = _read_asf(asf or _find_asf(path))
    names = list(bones)
    frames = _read_frames(path, bones)
    rotations = np.broadcast_to(np.eye(3), (len(frames["root"]), len(names), 3, 3)).copy()
    root = np.zeros((len(rotations), 3))
    for joint, name in enumerate(names):
        bone = bones[name]
        turns = [i for i, channel in enumerate(bone.channels) if channel[0] == "r"]
        order = "".join(bone.channels[i][1] for i in turns)
        turn = axis_rotations(order[::-1], frames[name][:, turns[::-1]])
        axis = axis_rotations(bone.axis[0][::-1], bone.axis[1][::-1])
        rotations[:, joint] = axis @ turn @ axis.T
        for i, channel in enumerate(bone.channels):
            if channel[0] == "t" and name == "root":
                root[:, "xyz".index(channel[1])] = frames[name][:, i] * scale
    parents = tuple(names.index(bones[name].parent) if name != "root" else -1 for name in names)
    starts = [bones[bones[name].parent].vector * scale if name != "root" else 0 for name in names]
    offsets = np.stack([np.broadcast_to(start, 3) for start in starts])
    rate = checked_rate(path, CMU_RATE_HZ if rate_hz is None else rate_hz)
    return Capture(path, tuple(names), parents, offsets, rotations, root, rate)


def _find_asf(path: Path) -> Path:
    first = path.stem.split("_")[0]
    for name in (f"{first}.asf", f"{first}.ASF", f"{path.stem}.asf"):
        if (path.parent / name).is_file():
            return path.parent / name
    found, expected = f"no {first}.asf beside it", "the skeleton of an AMC motion"
    raise InputError(path, found, expected, "Put it there, or give the .asf file.")


def _read_asf(path: Path) -> tuple[float, dict[str, _Bone]]:
    """Metres a file unit, and the bones, parents first; "root" is the first."""
    sections: dict[str, list[list[str]]] = {}
    for words in read_words(path):
        if words[0].startswith(":"):
            sections[words[0].lower()] = []
        elif sections:
            sections[list(sections)[-1]].append(words)
    missing = [name for name in (":root", ":bonedata", ":hierarchy") if not sections.get(name)]
    if missing:
        raise InputError(path, f"no {missing[0]} section", "a whole ASF skeleton", _DAMAGED)
    units = {words[0].lower(): words[1] for words in sections.get(":units", []) if words[1:]}
    if units.get("angle", "deg").lower().startswith("rad"):
        raise InputError(path, "angles in radians", "degrees", "Convert it to degrees.")
    length = parse_numbers(path, [units.get("length", "1")], "the unit of length")[0]
    if not 0 < length < 1e6:
        raise InputError(path, f"a length unit of {length:g}", "a positive number", _DAMAGED)
    bones = {"root": _read_root(path, sections[":root"])}
    bones |= _read_bones(path, sections[":bonedata"])
    return INCH / length, _in_tree_order(path, bones, sections[":hierarchy"])


def _read_root(path: Path, lines: list[list[str]]) -> _Bone:
    entries = {words[0].lower(): words[1:] for words in lines}
    order = entries.get("axis", ["XYZ"])[:1] or ["XYZ"]
    angles = entries.get("orientation", ["0", "0", "0"])
    axis = _axis(path, "root", [*angles, *order])
    return _Bone(axis=axis, channels=_channels(path, "root", entries.get("order", []), "rt"))


def _read_bones(path: Path, lines: list[list[str]]) -> dict[str, _Bone]:
    bones: dict[str, _Bone] = {}
    entries: dict[str, list[str]] = {}
    for words in lines:
        entries[words[0].lower()] = words[1:]
        if words[0].lower() == "begin":
            entries = {}
        elif words[0].lower() == "end":
            name = " ".join(entries.get("name", [])) or "a bone without a name"
            missing = [key for key in ("direction", "length", "axis") if key not in entries]
            if missing:
                raise InputError(path, f"no {missing[0]} of {name}", "one a bone", _DAMAGED)
            way = parse_numbers(path, entries["direction"], f"{name}'s direction")
            size = parse_numbers(path, entries["length"], f"{name}'s length")
            if len(way) != 3 or len(size) != 1:
                raise InputError(path, f"another direction of {name}", "3 + 1 numbers", _DAMAGED)
            x, y, z, length = checked_values(path, f"lengths of {name}", way + size)
            vector = np.array([x, y, z]) * length
            channels = _channels(path, name, entries.get("dof", []), "r")
            bones[name] = _Bone(vector, _axis(path, name, entries["axis"]), channels)
    return bones


def _axis(path: Path, name: str, words: list[str]) -> tuple[str, Array]:
    angles = parse_numbers(path, words[:3], f"{name}'s axis")
    order = words[3].lower() if len(words) == 4 else ""
    if sorted(order) != list("xyz"):
        found = f"the axis {' '.join(words)!r} of {name}"
        raise InputError(path, found, "three angles and an order such as XYZ", _DAMAGED)
    return order, checked_values(path, f"axis angles of {name}", angles)


def _channels(path: Path, name: str, words: list[str], kinds: str) -> tuple[str, ...]:
    channels = tuple(word.lower() for word in words)
    allowed = {kind + axis for kind in kinds for axis in "xyz"}
    if not set(channels) <= allowed or (name == "root" and not channels):
        found = f"the degrees of freedom {' '.join(words)!r} of {name}"
        raise InputError(path, found, f"some of {' '.join(sorted(allowed))}", _DAMAGED)
    return channels


def _in_tree_order(path: Path, bones: dict[str, _Bone], lines: list[list[str]]) -> dict[str, _Bone]:
    ordered = {"root": bones["root"]}
    for parent, *children in lines:
        for child in children:
            if parent not in ordered or child not in bones or child in ordered:
                found = f"the hierarchy entry {parent} {child}"
                raise InputError(path, found, "each bone once, after its parent", _DAMAGED)
            bones[child].parent = parent
            ordered[child] = bones[child]
    lost = [name for name in bones if name not in ordered]
    if lost:
        raise InputError(path, f"no place in the hierarchy for {lost[0]}", "one a bone", _DAMAGED)
    return ordered


def _read_frames(path: Path, bones: dict[str, _Bone]) -> dict[str, Array]:
    """Each bone's channels over time: (N, its degrees of freedom)."""
    moving = {name: len(bone.channels) for name, bone in bones.items() if bone.channels}
    frames: list[dict[str, list[float]]] = []
    for words in read_words(path):
        if words[0].lower() == ":radians":
            raise InputError(path, "angles in radians", "degrees", "Convert it to degrees.")
        if words[0].startswith(":"):
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
            continue
        where = f"frame {len(frames)}"
        if not frames or moving.get(words[0]) != len(words) - 1:
            found = f"the line {' '.join(words)[:40]!r} in {where}"
            raise InputError(path, found, "a bone of the .asf and its angles", _DAMAGED)
        frames[-1][words[0]] = parse_numbers(path, words[1:], where)
    if len(frames) < 2:
        raise InputError(path, f"{len(frames)} frames", "two at least", _DAMAGED)
    for number, frame in enumerate(frames, 1):
        missing = [name for name in moving if name not in frame]
        if missing:
            found = f"no {missing[0]} in frame {number} of {len(frames)}"
            raise InputError(path, found, "every bone in every frame", _DAMAGED)
    values = {name: [frame.get(name, []) for frame in frames] for name in bones}
    return {name: checked_values(path, f"angles of {name}", v) for name, v in values.items()}
