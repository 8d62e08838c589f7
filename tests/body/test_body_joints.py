"""The joint tables are consistent with each other."""

from eventhpe.body import DHP19_NAMES, DHP19_TO_SMPL, FLIP_PAIRS, JOINT_NAMES, PARENTS
from eventhpe.body.joints import DHP19_HAND_TO_SMPL


def test_parents_come_first_and_flip_with_their_children() -> None:
    assert PARENTS[0] == -1
    for joint in range(1, 24):
        assert 0 <= PARENTS[joint] < joint
        assert PARENTS[FLIP_PAIRS[joint]] == FLIP_PAIRS[PARENTS[joint]]


def test_flip_swaps_left_and_right() -> None:
    for joint, name in enumerate(JOINT_NAMES):
        mirrored = JOINT_NAMES[FLIP_PAIRS[joint]]
        swap = {"left": "right", "right": "left"}
        side, _, rest = name.partition("_")
        assert mirrored == (f"{swap[side]}_{rest}" if side in swap else name)


def test_dhp19_labels_map_to_joints_of_the_same_side_and_part() -> None:
    parts = {"hand": "wrist", "foot": "ankle"}
    for label, joint in zip(DHP19_NAMES, DHP19_TO_SMPL, strict=True):
        side = {"R": "right_", "L": "left_"}.get(label[-1], "")
        part = label[:-1] if side else label
        assert JOINT_NAMES[joint] == side + parts.get(part, part)
    assert [JOINT_NAMES[j] for j in DHP19_HAND_TO_SMPL] == ["right_hand", "left_hand"]
