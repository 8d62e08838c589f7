"""Which joint of a motion file is which SMPL joint: known naming schemes, or the user's own map."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from eventhpe.body.joints import JOINT_NAMES
from eventhpe.errors import InputError

JointMap = Mapping[str, str]
"""SMPL joint name -> joint name in the file."""

_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
REQUIRED = ("pelvis", *(f"{side}_{limb}" for side in ("left", "right") for limb in _LIMBS))
"""Joints that no skeleton may lack; other SMPL joints follow their neighbours."""

_CENTRE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
_SIDE = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")


def _scheme(centre: str, side: str, prefixes: str) -> dict[str, str]:
    """SMPL name -> file name; ``-`` stands for none; ``prefixes``: the left and right ones."""
    names = dict(zip(_CENTRE, centre.split(), strict=True))
    for smpl_side, prefix in zip(("left", "right"), prefixes.split(), strict=True):
        own = zip(_SIDE, side.split(), strict=True)
        names |= {f"{smpl_side}_{name}": prefix + word for name, word in own if word != "-"}
    return {name: word for name, word in names.items() if word != "-"}


SCHEMES: dict[str, dict[str, str]] = {
    "cmu-asf": _scheme(
        "root lowerback upperback thorax upperneck head",
        "femur tibia foot toes clavicle humerus radius hand fingers",
        "l r",
    ),
    "cmu-bvh": _scheme(
        "hips lowerback spine spine1 neck1 head",
        "upleg leg foot toebase shoulder arm forearm hand handindex1",
        "left right",
    ),
    "3dsmax-bvh": _scheme(
        "hips lowerback chest chest2 neck head",
        "hip knee ankle toe collar shoulder elbow wrist -",
        "left right",
    ),
    "daz": _scheme(
        "hip abdomen - chest neck head",
        "thigh shin foot footend collar shldr forearm hand mid1",
        "l r",
    ),
    "mixamo": _scheme(
        "hips spine spine1 spine2 neck head",
        "upleg leg foot toebase shoulder arm forearm hand handmiddle1",
        "left right",
    ),
    "smpl": {name: name.replace("_", "") for name in JOINT_NAMES},
    "smpl-short": _scheme(
        "pelvis spine1 spine2 spine3 neck head",
        "hip knee ankle foot collar shoulder elbow wrist hand",
        "l r",
    ),
}
"""File names as `plain` leaves them: CMU's own, its two BVH conversions (cgspeed's for
MotionBuilder and for 3ds Max), its DAZ conversion, Mixamo's, and SMPL's two spellings."""


def plain(name: str) -> str:
    """A joint name in lower case without name space, blanks and signs: mixamorig:Left_Arm."""
    return "".join(letter for letter in name.split(":")[-1].lower() if letter.isalnum())


def find_joints(
    path: Path, names: tuple[str, ...], joint_map: JointMap | Path | str | None
) -> dict[str, int]:
    """SMPL joint name -> index into ``names``, for those that the skeleton has.

    Args:
        path: the motion file, for messages.
        joint_map: a map or a YAML file of one; None takes the scheme that finds most joints.

    Raises:
        InputError: the map is broken, names a joint that is not there, or a limb is not found.
    """
    if joint_map is None:
        indices = {plain(name): i for i, name in reversed(list(enumerate(names)))}
        found = [
            {name: indices[word] for name, word in scheme.items() if word in indices}
            for scheme in SCHEMES.values()
        ]
        best = max(found, key=lambda joints: (set(joints).issuperset(REQUIRED), len(joints)))
    else:
        best = _own_map(path, names, joint_map)
    missing = [name for name in REQUIRED if name not in best]
    if missing:
        raise InputError(
            path,
            f"no joint known as {', '.join(missing)} among {', '.join(names)}"[:400],
            f"joint names of one of {', '.join(SCHEMES)}",
            "Give a joint map: SMPL joint name to joint name in the file.",
        )
    return best


def _own_map(
    path: Path, names: tuple[str, ...], joint_map: JointMap | Path | str
) -> dict[str, int]:
    source: Path | str = "the joint map"
    if isinstance(joint_map, Path | str):
        source = Path(joint_map)
        joint_map = _load(source)
    for smpl, name in joint_map.items():
        if smpl not in JOINT_NAMES:
            expected = f"one of {', '.join(JOINT_NAMES)}"
            raise InputError(source, f"the key {smpl!r}", expected, "Use SMPL's names as keys.")
        if name not in names:
            found = f"{smpl}: {name!r}, which {path.name} does not have"
            raise InputError(source, found, f"one of {', '.join(names)}", "Mend the map.")
    return {smpl: names.index(name) for smpl, name in joint_map.items()}


def _load(path: Path) -> JointMap:
    remedy = "Write one line a joint, such as `left_knee: LeftLeg`."
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(path, f"no YAML ({error})", "a joint map", remedy) from error
    if not isinstance(content, dict):
        raise InputError(path, "no mapping", "a joint map", remedy)
    return content
