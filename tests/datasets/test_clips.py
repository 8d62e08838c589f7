"""Windows for stage one: events, flow, displacements and frames belong together."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from datasets.augmentation import NO_AUGMENTATION, Augmentation
from datasets.clips import FlowWindows
from datasets.folders import load_recordings
from datasets.prepared import TRACKING_STEP_US, cache_id
from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from flownet.warping import backward_warp

RECIPE = InputRecipe()


@pytest.fixture(scope="module")
def recordings(simulated_recording):
    return load_recordings(simulated_recording.parent, RECIPE, load_body())


@pytest.fixture(scope="module")
def framed(framed_recording):
    return load_recordings(framed_recording.parent, RECIPE, load_body())


def test_prepared_recordings_come_from_the_cache_the_second_time(recordings, simulated_recording):
    folder = simulated_recording.parent / "cache" / f"walk-{cache_id(RECIPE)}"
    before = (folder / "t.npy").stat().st_mtime_ns
    again = load_recordings(simulated_recording.parent, RECIPE, load_body())
    assert (folder / "t.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(again[0].regions, recordings[0].regions)
    assert cache_id(InputRecipe(background_activity_us=1)) != cache_id(RECIPE)


def test_crops_know_only_the_past(recordings):
    recording = recordings[0]
    crop = recording.crop(5 * TRACKING_STEP_US + 1, RECIPE.size)
    assert crop.x0 == pytest.approx(float(recording.regions[4, 0]))


def windows(
    recordings, augmentation=NO_AUGMENTATION, extras=(), lengths=(50_000,), most=512, zoom=1.0
):
    return FlowWindows(recordings, RECIPE, 10, augmentation, 0, most, lengths, extras, zoom)


def event_pairs(part, whole):
    """Rows of the same events in two crops of one window, found by times that only one has."""
    found = []
    for sample in (part, whole):
        tau, row, count = np.unique(
            sample["events"][sample["events"][:, 3] != 0, 2], return_index=True, return_counts=True
        )
        found.append(dict(zip(tau[count == 1].tolist(), row[count == 1].tolist(), strict=True)))
    both = sorted(found[0].keys() & found[1].keys())
    return [[rows[tau] for tau in both] for rows in found]


def test_flow_windows_hold_the_windows_events(recordings):
    last = RECIPE.size - 0.5
    for k in range(5):
        sample = windows(recordings)[k]
        events = sample["events"]
        real = events[events[:, 3] != 0]
        assert sample["voxel"].shape == (8, RECIPE.size, RECIPE.size)
        assert ((real[:, :2] > -0.5) & (real[:, :2] < last)).all()
        assert ((real[:, 2] >= 0) & (real[:, 2] < 1)).all()
        # Every event's pixel carries input.
        pixels = real[:, :2].round().long().clamp(0, RECIPE.size - 1)
        seen = sample["voxel"].abs().sum(0) > 0
        assert seen[pixels[:, 1], pixels[:, 0]].float().mean() > 0.95


def test_displacements_are_the_flow_of_the_visible_body_where_that_does_not_change(recordings):
    """Away from outlines an event's surface is the one seen at its pixel at the window's start."""
    sample = windows(recordings, extras=("displacement", "flow"))[3]
    real = sample["displacement"].isfinite().all(dim=-1)
    assert real[sample["events"][:, 3] != 0].float().mean() > 0.5
    assert not real[sample["events"][:, 3] == 0].any()
    x, y = (sample["events"][real, i].round().long().clamp(0, RECIPE.size - 1) for i in (0, 1))
    error = (sample["flow"][:, y, x].T - sample["displacement"][real]).norm(dim=-1)
    error = error[error.isfinite()]
    assert len(error) > 20
    assert error.median() < 0.2
    assert sample["displacement"][real].norm(dim=-1).mean() > 0.5


def test_a_mirrored_window_is_the_window_in_a_mirror(recordings):
    flip = Augmentation(flip=1.0, polarity=0, dropout=0, scale=0, shift=0, noise=0, busy=0)
    extras = ("displacement", "flow")
    plain = windows(recordings, extras=extras)[2]
    mirrored = windows(recordings, flip, extras)[2]
    torch.testing.assert_close(mirrored["voxel"], plain["voxel"].flip(-1))
    torch.testing.assert_close(mirrored["flow"][0], -plain["flow"][0].flip(-1), equal_nan=True)
    torch.testing.assert_close(mirrored["flow"][1], plain["flow"][1].flip(-1), equal_nan=True)
    moved, before = mirrored["displacement"], plain["displacement"]
    torch.testing.assert_close(moved, before * torch.tensor([-1.0, 1.0]), equal_nan=True)
    real = plain["events"][:, 3] != 0
    x = mirrored["events"][real, 0] + plain["events"][real, 0]
    torch.testing.assert_close(x, torch.full_like(x, RECIPE.size - 1))


def test_noise_and_lost_events_leave_the_others_their_displacement(recordings):
    """With the flow of one region and constant crops, displacements follow their events."""
    rough = Augmentation(flip=0, polarity=1.0, dropout=0.5, scale=0, shift=0, noise=0.5, busy=0)
    plain = windows(recordings, extras=("displacement",), most=60_000)[1]
    changed = windows(recordings, rough, ("displacement",), most=60_000)[1]
    known = {
        tuple(row[:3]): tuple(moved)
        for row, moved in zip(plain["events"].tolist(), plain["displacement"].tolist(), strict=True)
    }
    rows, moved = changed["events"], changed["displacement"]
    kept = moved.isfinite().all(dim=-1)
    assert kept.sum() > 30
    assert (~kept & (rows[:, 3] != 0)).sum() > 5  # noise
    for row, displacement in zip(rows[kept].tolist(), moved[kept].tolist(), strict=True):
        assert known[tuple(row[:3])] == pytest.approx(displacement)


def test_windows_come_in_the_lengths_asked_for(recordings):
    """The same walk moves twice as far in a window of twice the length."""
    far = {}
    for length in (50_000, 100_000):
        samples = [
            windows(recordings, extras=("displacement",), lengths=(length,))[k] for k in range(8)
        ]
        moved = torch.cat([s["displacement"] for s in samples])
        far[length] = moved[moved.isfinite().all(dim=-1)].norm(dim=-1).mean().item()
        times = torch.cat([s["events"][s["events"][:, 3] != 0, 2] for s in samples])
        assert times.min() < 0.05
        assert times.max() > 0.95
    assert 1.5 < far[100_000] / far[50_000] < 2.5


def test_a_zoomed_crop_is_a_part_of_the_region_in_more_pixels(recordings):
    """The same moments in both: positions and displacements grow by 1 / share, whatever it is."""
    shares = []
    for k in range(6):
        whole = windows(recordings, extras=("displacement",), most=60_000)[k]
        part = windows(recordings, extras=("displacement",), most=60_000, zoom=0.5)[k]
        rows, before = event_pairs(part, whole)
        assert len(rows) > 20
        x, y = (part["events"][rows, i].numpy() for i in (0, 1))
        assert min(x.min(), y.min()) > -0.5
        assert max(x.max(), y.max()) < RECIPE.size - 0.5
        moved = [
            np.polyfit(whole["events"][before, i].numpy(), at, 1) for i, at in ((0, x), (1, y))
        ]
        for (growth, shift), i, at in zip(moved, (0, 1), (x, y), strict=True):
            expected = growth * whole["events"][before, i].numpy() + shift
            np.testing.assert_allclose(at, expected, atol=0.01)
            # Where the part's borders lie in the whole crop.
            low, high = ((edge - shift) / growth for edge in (-0.5, RECIPE.size - 0.5))
            assert -0.51 < low < high < RECIPE.size - 0.49
        assert moved[0][0] == pytest.approx(moved[1][0], rel=1e-3)
        shares.append(1 / moved[0][0])
        torch.testing.assert_close(
            part["displacement"][rows] * shares[-1],
            whole["displacement"][before],
            rtol=2e-3,
            atol=1e-3,
            equal_nan=True,
        )
    assert 0.499 < min(shares) < max(shares) < 1.001
    assert np.ptp(shares) > 0.1


def test_the_flow_of_a_zoomed_crop_is_that_of_its_events(recordings):
    errors = []
    for k in range(4):
        sample = windows(recordings, extras=("displacement", "flow"), zoom=0.5)[k]
        real = sample["displacement"].isfinite().all(dim=-1)
        x, y = (sample["events"][real, i].round().long().clamp(0, RECIPE.size - 1) for i in (0, 1))
        errors.append((sample["flow"][:, y, x].T - sample["displacement"][real]).norm(dim=-1))
    errors = torch.cat(errors)
    errors = errors[errors.isfinite()]
    assert len(errors) > 50
    assert errors.median() < 0.4


def test_frames_are_those_at_the_ends_of_the_window(framed):
    """Each pair is two of the recording's frames, one apart, under one gain; all of the window's
    events lie between their times."""
    recording, seen = framed[0], set()
    for k in range(6):
        sample = windows(framed, extras=("frames",), most=60_000)[k]
        pair = [sample[name][0].numpy() for name in ("first", "second")]
        matches = []
        for i, (start, end) in enumerate(pairwise(recording.images.t)):
            crop = recording.crop(int(end), RECIPE.size)
            images = [recording.images.crop(j, crop) for j in (i, i + 1)]
            white = np.quantile(images[0], 0.99)
            if all(
                np.allclose(found, np.minimum(image / white, 1), atol=1e-4)
                for found, image in zip(pair, images, strict=True)
            ):
                matches.append((int(start), int(end)))
        assert len(matches) == 1
        start, end = matches[0]
        tau = sample["events"][sample["events"][:, 3] != 0, 2].double().numpy()
        times = np.rint(start + tau * (end - start)).astype(np.int64)
        events = recording.events.between(start, end)
        pixels = recording.crop(end, RECIPE.size).to_crop(
            np.stack([events.x, events.y], axis=1).astype(np.float64)
        )
        inside = ((pixels > -0.5) & (pixels < RECIPE.size - 0.5)).all(axis=1)
        np.testing.assert_array_equal(np.sort(times), events.t[inside])
        seen.add(start)
    assert len(seen) > 1


def test_the_second_frame_fetched_along_the_flow_is_nearer_to_the_first(framed):
    still, warped = [], []
    for k in range(6):
        sample = windows(framed, extras=("frames", "flow"), lengths=(100_000,))[k]
        body = sample["flow"].isfinite().all(dim=0)
        flow = sample["flow"].nan_to_num()[None]
        fetched = backward_warp(sample["second"][None], flow)[0][0, 0]
        still.append((sample["second"][0] - sample["first"][0])[body].abs())
        warped.append((fetched - sample["first"][0])[body].abs())
    assert torch.cat(still).numel() > 1000
    assert torch.cat(warped).mean() < 0.7 * torch.cat(still).mean()


def test_a_mirrored_window_mirrors_its_frames(framed):
    flip = Augmentation(flip=1.0, polarity=0, dropout=0, scale=0, shift=0, noise=0, busy=0)
    plain = windows(framed, extras=("frames",))[2]
    mirrored = windows(framed, flip, ("frames",))[2]
    for name in ("first", "second"):
        assert torch.equal(mirrored[name], plain[name].flip(-1))
        assert not torch.equal(mirrored[name], plain[name])


def test_frames_that_are_missing_are_asked_for_with_a_reason(recordings):
    with pytest.raises(InputError, match="frames"):
        windows(recordings, extras=("frames",))[0]


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"simulate_dataset\.py"):
        load_recordings(tmp_path, RECIPE, load_body())
