"""Clips: labels belong to their moments, mirrors are consistent, draws are repeatable."""

import numpy as np
import pytest
import torch

from datasets.clips import NO_AUGMENTATION, Augmentation, FlowWindows, PoseClips
from datasets.prepared import TRACKING_STEP_US, cache_id
from datasets.simulated import load_simulated
from eventhpe.body import load_body
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.simulation.truth import SimulatedTruth

RECIPE = InputRecipe()


@pytest.fixture(scope="module")
def recordings(simulated_recording):
    return load_simulated(simulated_recording.parent, RECIPE, load_body())


def clips(recordings, augmentation=NO_AUGMENTATION, steps_us=(50_000,), seed=0):
    return PoseClips(recordings, RECIPE, 20, augmentation, seed, 6, steps_us)


def absolute_joints(sample):
    body = load_body()
    rotations = sample["rotations"]
    betas = sample["betas"].expand(len(rotations), -1)
    zero = torch.zeros(len(rotations), 3)
    with torch.no_grad():
        joints = body.joints(betas, rotations[:, 0], rotations[:, 1:], zero)
    return joints - joints[:, :1] + sample["pelvis"][:, None]


def crop_pixels(sample):
    """Joints of a sample in pixels of its network input."""
    fx, fy, cx, cy = sample["intrinsics"].tolist()
    K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    uv = project(absolute_joints(sample), K)
    centre, side = sample["region"][:, None, :2], sample["region"][:, None, 2:]
    return (uv - centre) / side * RECIPE.size + (RECIPE.size - 1) / 2


def test_labels_are_the_truth_at_the_windows_ends(recordings, simulated_recording):
    truth = SimulatedTruth.load(simulated_recording)
    sample = clips(recordings)[3]
    # The clip's start is not told: find it by the pelvis track, then everything must agree.
    distance = [
        np.abs(truth.joints[k : k + 26 : 5, 0] - sample["pelvis"].numpy()).max()
        for k in range(len(truth.t_us) - 26)
    ]
    k = int(np.argmin(distance))
    assert distance[k] < 1e-4
    np.testing.assert_allclose(
        absolute_joints(sample).numpy(), truth.joints[k : k + 26 : 5], atol=1e-3
    )


def test_events_lie_where_the_body_is(recordings):
    """Most of the input's energy falls inside the joints' bounding box, grown by a tenth."""
    sample = clips(recordings)[1]
    uv = crop_pixels(sample)
    energy = sample["inputs"].abs().sum(dim=1)
    for image, joints in zip(energy, uv, strict=True):
        low = (joints.min(dim=0).values - 13).clamp(0, 127).long()
        high = (joints.max(dim=0).values + 13).clamp(0, 127).long()
        inside = image[low[1] : high[1] + 1, low[0] : high[0] + 1].sum()
        assert inside > 0.8 * image.sum()


def test_a_mirrored_clip_is_the_clip_in_a_mirror(recordings):
    plain = clips(recordings)[2]
    flip = Augmentation(flip=1.0, polarity=0, dropout=0, scale=0, shift=0, noise=0, busy=0)
    mirrored = clips(recordings, flip)[2]
    torch.testing.assert_close(mirrored["inputs"], plain["inputs"].flip(-1))
    # Pixels mirror about the crop's middle; left and right joints change places. The default
    # body is symmetric only nearly, so joints may differ by a pixel.
    from eventhpe.body.joints import FLIP_PAIRS

    expected = crop_pixels(plain)[:, list(FLIP_PAIRS)]
    expected[..., 0] = RECIPE.size - 1 - expected[..., 0]
    assert (crop_pixels(mirrored) - expected).norm(dim=-1).max() < 2.0


def test_augmentation_keeps_the_geometry_consistent(recordings):
    sample = clips(recordings, Augmentation(flip=0.5, noise=0.0))[5]
    assert torch.isfinite(sample["place"]).all()
    fx, fy, cx, cy = sample["intrinsics"]
    region = sample["region"]
    torch.testing.assert_close(sample["place"][:, 0], (region[:, 0] - cx) / fx)
    torch.testing.assert_close(sample["place"][:, 1], (region[:, 1] - cy) / fy)
    torch.testing.assert_close(sample["place"][:, 2], region[:, 2] / fx)


def test_same_seed_same_clip(recordings):
    first, second = clips(recordings, Augmentation())[4], clips(recordings, Augmentation())[4]
    other = clips(recordings, Augmentation(), seed=1)[4]
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["inputs"], other["inputs"])


def test_prepared_recordings_come_from_the_cache_the_second_time(recordings, simulated_recording):
    folder = simulated_recording.parent / "cache" / f"walk-{cache_id(RECIPE)}"
    before = (folder / "t.npy").stat().st_mtime_ns
    again = load_simulated(simulated_recording.parent, RECIPE, load_body())
    assert (folder / "t.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(again[0].regions, recordings[0].regions)
    assert cache_id(InputRecipe(background_activity_us=1)) != cache_id(RECIPE)


def test_crops_know_only_the_past(recordings):
    recording = recordings[0]
    crop = recording.crop(5 * TRACKING_STEP_US + 1, RECIPE.size)
    assert crop.x0 == pytest.approx(float(recording.regions[4, 0]))


def test_flow_windows_hold_the_windows_events(recordings):
    windows = FlowWindows(recordings, RECIPE, 10, NO_AUGMENTATION, 0, 512, with_flow=True)
    for k in range(5):
        sample = windows[k]
        events = sample["events"]
        real = events[events[:, 3] != 0]
        assert sample["voxel"].shape == (8, RECIPE.size, RECIPE.size)
        assert ((real[:, :2] > -0.5) & (real[:, :2] < 127.5)).all()
        assert ((real[:, 2] >= 0) & (real[:, 2] < 1)).all()
        # Every event's pixel carries input.
        pixels = real[:, :2].round().long().clamp(0, 127)
        seen = sample["voxel"].abs().sum(0) > 0
        assert seen[pixels[:, 1], pixels[:, 0]].float().mean() > 0.95
        # True flow stands only where events tell of it, and a walk is a matter of pixels.
        known = sample["flow"].isfinite().all(dim=0)
        assert not (known & ~seen).any()
        assert known.any()
        assert sample["flow"][:, known].abs().max() < 40


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"simulate_dataset\.py"):
        load_simulated(tmp_path, RECIPE, load_body())
