"""Takes and clips of stage two: labels belong to their moments, mirrors and rolls agree."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets.augmentation import NO_AUGMENTATION, Augmentation, rolled, rolled_points
from datasets.clips import PoseClips, WholeTakes, read_clip
from datasets.folders import load_recordings
from datasets.modules import with_inputs
from datasets.seen import prepare_seen
from datasets.takes import Takes, TakeSpec, chordal_mean, make_takes, prepare_takes
from datasets.takes import whole_recordings as whole
from eventhpe.body import load_body
from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.camera import Camera, Crop, project
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream
from eventhpe.simulation.truth import SimulatedTruth
from flownet.model import FlowNet, flow_in_sides
from shapenet.model import ShapeNet, ShapeNetConfig

RECIPE = InputRecipe()
SIZE = RECIPE.size
PLAIN = TakeSpec(RECIPE, 32, "", 1, 12, (50_000,), 0.0, 0.0, NO_AUGMENTATION)


@pytest.fixture(scope="module")
def flownet():
    torch.manual_seed(0)
    return FlowNet.preset("small", RECIPE.bins).eval()


@pytest.fixture(scope="module")
def make(simulated_recording, flownet, tmp_path_factory):
    """The takes of the simulated walk by a spec."""
    (recording,) = load_recordings(simulated_recording.parent, RECIPE, load_body())

    def takes(spec: TakeSpec) -> Takes:
        arrays = make_takes(recording, spec, flownet, load_body())
        return Takes("walk", **arrays)

    return takes


def joints(sample):
    """Joints (T, 24, 3) in the camera's frame."""
    body = load_body()
    rotations = sample["rotations"]
    betas = sample["betas"].expand(len(rotations), -1)
    zero = torch.zeros(len(rotations), 3)
    with torch.no_grad():
        posed = body.joints(betas, rotations[:, 0], rotations[:, 1:], zero)
    return posed - posed[:, :1] + sample["pelvis"][:, None]


def crop_pixels(sample):
    """Joints of a sample in pixels of its network input."""
    fx, fy, cx, cy = sample["intrinsics"].tolist()
    K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    centre, side = sample["region"][:, None, :2], sample["region"][:, None, 2:]
    return (project(joints(sample), K) - centre) / side * SIZE + (SIZE - 1) / 2


def share_on_person(sample, margin=7):
    """Share of the events' energy within the joints' bounding box, grown by a tenth."""
    inputs = with_inputs({k: v[None] for k, v in sample.items()})["inputs"][0]
    energy, inside = inputs[:, :-2].abs().sum(dim=1), 0.0
    for image, pixels in zip(energy, crop_pixels(sample), strict=True):
        low = (pixels.min(dim=0).values - margin).clamp(0, SIZE - 1).long()
        high = (pixels.max(dim=0).values + margin).clamp(0, SIZE - 1).long()
        inside += float(image[low[1] : high[1] + 1, low[0] : high[0] + 1].sum())
    return inside / float(energy.sum())


def test_labels_are_the_truth_at_the_windows_ends(make, simulated_recording):
    truth = SimulatedTruth.load(simulated_recording)
    takes = make(PLAIN)
    sample = read_clip(takes, 0, slice(2, 8))
    rows = [int(np.flatnonzero(truth.t_us == t)[0]) for t in takes.t_us[2:8]]
    assert np.diff(takes.t_us).tolist() == [50_000] * 11
    np.testing.assert_allclose(joints(sample).numpy(), truth.joints[rows], atol=1e-3)
    assert sample["present"].tolist() == [1.0] * 6


@pytest.mark.parametrize(
    "spec",
    [
        PLAIN,
        replace(PLAIN, roll=20.0, seed=1),
        replace(PLAIN, truth_share=1.0),
        replace(PLAIN, augmentation=Augmentation(noise=0.0), seed=2),
    ],
    ids=["plain", "rolled", "truth region", "augmented"],
)
def test_events_lie_where_the_body_is(make, spec):
    takes = make(spec)
    assert share_on_person(read_clip(takes, 0, slice(0, len(takes.t_us)))) > 0.8


def test_a_rolled_take_is_the_turned_scene(make):
    plain, turned = make(PLAIN), make(replace(PLAIN, roll=40.0))
    angle = float(turned.angle[0])
    assert abs(angle) > 0.1
    before, after = (joints(read_clip(takes, 0, slice(0, 1))) for takes in (plain, turned))
    if not np.array_equal(plain.t_us, turned.t_us):
        pytest.fail("the draw of a roll moved the take in time")
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=torch.float32)
    torch.testing.assert_close(after, before @ turn.T, atol=1e-4, rtol=0)


def test_events_of_a_rolled_camera():
    """A point to the right of the axis goes below it for a quarter turn clockwise."""
    camera = Camera.from_fov(101, 101)
    events = EventStream(
        *(
            np.array([value], kind)
            for value, kind in ((80, "u2"), (50, "u2"), (3, "i8"), (1, "u1"))
        ),
        101,
        101,
    )
    moved = rolled(events, camera.K, np.pi / 2)
    assert (moved.x[0], moved.y[0], moved.t[0], moved.p[0]) == (50, 80, 3, 1)
    there = rolled_points(np.array([[10.0, 20.0]]), camera.K, 0.3)
    np.testing.assert_allclose(rolled_points(there, camera.K, -0.3), [[10.0, 20.0]])


def test_flow_is_what_the_flownet_says_of_the_same_windows(make, flownet, simulated_recording):
    (recording,) = load_recordings(simulated_recording.parent, RECIPE, load_body())
    takes = make(PLAIN)
    t, (x, y, side) = int(takes.t_us[3]), takes.region[3]
    crop = Crop(x - (side - 1) / 2, y - (side - 1) / 2, side, 32)
    grid = replace(RECIPE, size=32).prepare(recording.events, t - RECIPE.window_us, t, crop)
    with torch.no_grad():
        expected = flow_in_sides(flownet, torch.from_numpy(grid)[None], SIZE)[0].numpy()
    np.testing.assert_allclose(takes.flow[3], expected, atol=2e-3)


def clip(make, index=1, seed=0, **augmentation):
    nothing = dict.fromkeys(NO_AUGMENTATION.__dataclass_fields__, 0.0)
    return PoseClips([make(PLAIN)], 20, Augmentation(**nothing | augmentation), seed, 6)[index]


def test_a_mirrored_clip_is_the_clip_in_a_mirror(make):
    plain, mirrored = clip(make), clip(make, flip=1.0)
    assert torch.equal(mirrored["events"], plain["events"].flip(-1))
    assert torch.equal(mirrored["flow"][:, 0], -plain["flow"][:, 0].flip(-1))
    assert torch.equal(mirrored["flow"][:, 1], plain["flow"][:, 1].flip(-1))
    # Pixels mirror about the crop's middle; left and right joints change places. The default
    # body is symmetric only nearly, so joints may differ by a pixel.
    expected = crop_pixels(plain)[:, list(FLIP_PAIRS)]
    expected[..., 0] = SIZE - 1 - expected[..., 0]
    assert (crop_pixels(mirrored) - expected).norm(dim=-1).max() < 2.0
    fx, fy, cx, cy = mirrored["intrinsics"]
    region = mirrored["region"]
    torch.testing.assert_close(mirrored["place"][:, 0], (region[:, 0] - cx) / fx)
    torch.testing.assert_close(mirrored["place"][:, 1], (region[:, 1] - cy) / fy)
    torch.testing.assert_close(mirrored["place"][:, 2], region[:, 2] / fx)


def test_swapped_polarities_change_the_sign_of_the_events_alone(make):
    plain, other = clip(make), clip(make, polarity=1.0)
    assert torch.equal(other["events"], -plain["events"])
    assert torch.equal(other["flow"], plain["flow"])


def test_same_seed_same_clip(make):
    first, second = clip(make, flip=0.5, polarity=0.5), clip(make, flip=0.5, polarity=0.5)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(
        not torch.equal(first["events"], clip(make, seed=seed)["events"]) for seed in range(1, 5)
    )


def test_half_of_the_clips_have_truth_where_the_truth_of_some_is_not_used(make):
    known = make(PLAIN)
    takes = [known, *[replace(known, labelled=False)] * 3]
    clips = PoseClips(takes, 12, NO_AUGMENTATION, 0, 2)
    assert [clips[i]["labelled"].item() for i in range(12)] == [1.0, 0.0] * 6


def test_steps_and_takes_are_those_asked_for(make):
    takes = make(replace(PLAIN, takes=3, steps_us=(20_000,), windows=9))
    assert takes.first.tolist() == [0, 9, 18, 27]
    assert takes.step_us.tolist() == [20_000] * 3
    for k in range(3):
        assert set(np.diff(takes.t_us[9 * k : 9 * k + 9]).tolist()) == {20_000}
    sample = WholeTakes([takes])[2]
    assert sample["events"].shape == (9, RECIPE.bins, SIZE, SIZE)
    assert sample["place"][:, 3].tolist() == pytest.approx([np.log(0.02)] * 9)
    clips = WholeTakes([takes], steps=4)
    assert [(k, rows.start, rows.stop) for _, k, rows in clips.places] == [
        (0, 0, 4),
        (0, 4, 8),
        (1, 9, 13),
        (1, 13, 17),
        (2, 18, 22),
        (2, 22, 26),
    ]
    with pytest.raises(ValueError, match="take 1"):
        read_clip(takes, 1, slice(8, 12))


def test_takes_are_kept_and_made_again_for_a_recording_that_was_written_again(
    simulated_set, untrained_cards
):
    folder, card = simulated_set / "val", untrained_cards[0]
    spec = whole(RECIPE, 64, "0" * 64)
    (first,) = prepare_takes(folder, spec, card)
    place = folder / "cache" / spec.name / "walk"
    made = (place / "labels.npz").stat().st_mtime_ns
    (again,) = prepare_takes(folder, spec, card)
    assert (place / "labels.npz").stat().st_mtime_ns == made
    np.testing.assert_array_equal(first.events, again.events)
    later = place.stat().st_mtime + 10
    os.utime(folder / "walk.h5", (later, later))
    prepare_takes(folder, spec, card)
    assert (place / "labels.npz").stat().st_mtime_ns != made


def test_every_parameter_names_the_folder():
    others = [
        replace(PLAIN, **change)
        for change in (
            {"recipe": replace(RECIPE, background_activity_us=1)},
            {"flow_size": 64},
            {"flownet_sha256": "1"},
            {"takes": 2},
            {"windows": 13},
            {"steps_us": (20_000,)},
            {"truth_share": 0.5},
            {"roll": 1.0},
            {"augmentation": Augmentation()},
            {"seed": 1},
        )
    ]
    assert len({spec.name for spec in [PLAIN, *others]}) == 1 + len(others)


def test_the_mean_of_equal_poses_is_the_pose(make):
    takes = make(PLAIN)
    same = replace(takes, rotations=np.repeat(takes.rotations[:1], len(takes.t_us), axis=0))
    torch.testing.assert_close(
        chordal_mean([same]), torch.from_numpy(takes.rotations[0]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_features_computed_once_are_those_of_the_clips(make, tmp_path, flip):
    """Of the images as they are and of their mirror images, with labels to match."""
    torch.manual_seed(0)
    config = ShapeNetConfig(image_size=SIZE, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))
    network, takes = ShapeNet(config).eval(), make(PLAIN)
    (tmp_path / takes.name).mkdir()
    seen = prepare_seen(tmp_path, [takes], network, "0" * 64)
    augmentation = replace(NO_AUGMENTATION, flip=flip)
    images = PoseClips([takes], 5, augmentation, 0, 6)[2]
    features = PoseClips([takes], 5, augmentation, 0, 6, seen)[2]
    with torch.no_grad():
        expected = network.see(with_inputs({k: v[None] for k, v in images.items()})["inputs"])[0]
    torch.testing.assert_close(features["seen"].float(), expected, atol=5e-3, rtol=5e-3)
    assert all(torch.equal(features[name], images[name]) for name in ("rotations", "place"))
    (again,) = prepare_seen(tmp_path, [takes], network, "0" * 64)
    np.testing.assert_array_equal(again, seen[0])
