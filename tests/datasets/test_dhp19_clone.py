"""The DHP19 clone: who is filmed, what Vicon sees of them, what is wrong with the files."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import roma
import torch
from scipy.io import loadmat
from scipy.spatial import KDTree

from datasets.dhp19_artefacts import CORRUPT, UNMARKED, WRAPPING, artefact_words, special_of
from datasets.dhp19_clone import clone_recording, recordings, truth_path
from datasets.dhp19_layout import RawRecording
from datasets.dhp19_studio import film_in_studio
from datasets.dhp19_subjects import (
    MARKER_REACH_M,
    WORLD_TO_DHP19,
    Performance,
    before,
    draw_subject,
    perform,
    vicon_markers,
)
from eventhpe.body import DHP19_TO_SMPL, Body, load_body
from eventhpe.camera import DHP19_MATRICES, dhp19_camera
from eventhpe.errors import InputError
from eventhpe.events.stream import EventStream
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS
from eventhpe.simulation.sensor import NO_SURFACE

FIELDS = (
    *("head", "shoulderR", "shoulderL", "elbowR", "elbowL", "hipR", "hipL"),
    *("handR", "handL", "kneeR", "kneeL", "footR", "footL"),
)
START, STOP = 400_000, 2_400_000


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def kick(body: Body) -> Performance:
    """Twenty seconds of subject 3 kicking."""
    return perform(np.random.default_rng(5), draw_subject(1, 3, body), "kick", 20.0)


def fake_film(
    performance: Performance, channel: int, rng: np.random.Generator
) -> Iterator[EventStream]:
    """One event a centisecond in the image's middle."""
    t = np.arange(0, 2_500_000, 10_000)
    yield EventStream.from_arrays(0 * t + 173, 0 * t + 130, t, t % 2, 346, 260)


def test_artefacts_are_what_the_reference_filters_remove() -> None:
    words = artefact_words(np.random.default_rng(2), 3_000_000, START, STOP)
    assert (np.diff(words.t) >= 0).all()
    address = words.address.astype(np.int64)
    camera, raw_x, raw_y = address & 0xF, (address >> 12) & 0x3FF, (address >> 22) & 0x1FF
    assert not (address & 0x400).any()
    inside = (camera < 4) & (raw_x < 346) & (raw_y < 260)
    assert np.count_nonzero(~inside) == 200
    pixels = ((camera * 260 + raw_y) * 346 + raw_x)[inside & (words.t > START) & (words.t < STOP)]
    counts = np.bincount(pixels)
    assert np.count_nonzero(counts >= 10_000) == 4
    assert np.count_nonzero(counts > 8000) == 8
    # The masks of the facts, in their mosaic coordinates; what is left are the eight loud pixels.
    X, Y = 346 - raw_x + camera * 346, 260 - raw_y
    masked = (X > 780) & (X < 810) & (Y > 115) & (Y < 145)
    masked |= (X > 1252) & (X < 1259) & (Y > 136) & (Y < 144)
    assert np.count_nonzero(masked) > 5000
    assert np.unique(address[inside & ~masked] >> 12).size <= 8 + 200


def test_known_recordings_keep_their_faults_and_most_have_two_marks() -> None:
    every = recordings(17, 33)
    assert len(every) == len(set(every)) == 561
    kinds = [special_of(np.random.default_rng(i), which) for i, which in enumerate(every)]
    found = dict(zip(every, kinds, strict=True))
    assert {which for which in every if found[which] == "corrupt"} == CORRUPT
    assert {which for which in every if found[which] == "none"} == UNMARKED
    assert set(every) >= WRAPPING
    assert 0.7 < kinds.count("two") / 561 < 0.9


def test_the_plan_follows_the_sessions() -> None:
    assert recordings(2, 10)[7:12] == [(1, 1, 8), (1, 2, 1), (1, 2, 2), (2, 1, 1), (2, 1, 2)]
    last = [which[1:] for which in recordings(1, 33) if which[2] == 6]
    assert last == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6)]


def test_markers_sit_rigidly_on_the_bones(body: Body, kick: Performance) -> None:
    """Recovered by averaging in the frames of the moving bones, computed here from smplx's."""
    markers = vicon_markers(np.random.default_rng(3), kick) / 1000
    assert markers.shape == (2000, 13, 3)
    window = slice(kick.start, kick.stop)
    rotations = torch.from_numpy(kick.motion.rotations[window]).float()
    betas = torch.from_numpy(kick.subject.betas).float().expand(2000, -1)
    root = body.rest_joints(betas[:1])[0, 0]
    transl = torch.from_numpy(kick.motion.translation[window]).float() - root
    joints = body.joints(betas, rotations[:, 0], rotations[:, 1:], transl).numpy()
    for marker, joint in enumerate(DHP19_TO_SMPL):
        frame, above = rotations[:, joint], body.parents[joint]
        while above >= 0:
            frame, above = rotations[:, above] @ frame, body.parents[above]
        arm = markers[:, marker] @ WORLD_TO_DHP19 - joints[:, joint]
        local = np.einsum("nji,nj->ni", frame.numpy(), arm)
        seen = ~np.isnan(local[:, 0])
        offset = local[seen].mean(axis=0)
        np.testing.assert_allclose(offset, kick.subject.offsets[marker], atol=5e-4)
        assert np.linalg.norm(offset) < MARKER_REACH_M + 5e-4
        np.testing.assert_allclose((local[seen] - offset).std(), 0.002, rtol=0.1)


def test_some_markers_are_hidden_for_a_while(kick: Performance) -> None:
    markers = vicon_markers(np.random.default_rng(3), kick)
    hidden = np.isnan(markers)
    assert (hidden.all(axis=2) == hidden.any(axis=2)).all()
    assert 0.005 < hidden.mean() < 0.06
    edges = np.diff(hidden[:, :, 0].astype(int), axis=0)
    assert 10 < np.count_nonzero(edges == 1) < 60


def test_a_subject_is_the_same_in_every_recording_and_unlike_the_others(body: Body) -> None:
    first, again, other = (draw_subject(2, number, body) for number in (3, 3, 4))
    np.testing.assert_array_equal(first.betas, again.betas)
    np.testing.assert_array_equal(first.offsets, again.offsets)
    np.testing.assert_array_equal(first.outfit.albedo, again.outfit.albedo)
    assert abs(first.betas - other.betas).max() > 0.1
    lengths = np.linalg.norm([first.offsets, other.offsets], axis=2)
    assert lengths.max() <= MARKER_REACH_M
    assert np.median(lengths) > MARKER_REACH_M / 2
    assert "sport" in first.outfit.names
    assert "sport" in other.outfit.names


def test_subjects_stand_on_the_floor_and_face_the_two_cameras(
    body: Body, kick: Performance
) -> None:
    i = kick.start
    rotations = torch.from_numpy(kick.motion.rotations[i : i + 1]).float()
    betas = torch.from_numpy(kick.subject.betas).float()[None]
    transl = torch.from_numpy(kick.motion.translation[i : i + 1]).float()
    transl -= body.rest_joints(betas)[:, 0]
    with torch.no_grad():
        posed = body(betas, rotations[:, 0], rotations[:, 1:], transl)
    vertices = posed.vertices[0].numpy() @ WORLD_TO_DHP19.T
    assert abs(vertices[:, 2].min()) < 0.03
    assert np.linalg.norm(vertices[:, :2].mean(axis=0)) < 0.4
    facing = WORLD_TO_DHP19 @ kick.motion.rotations[i, 0] @ [0, 0, 1]
    assert facing[1] < -0.8
    for channel in (2, 3):
        camera = dhp19_camera(channel)
        assert (-camera.R.T @ camera.t) @ facing > 0


@pytest.mark.parametrize("channel", range(4))
def test_each_view_shows_the_joints_where_the_published_matrix_puts_them(
    kick: Performance, channel: int
) -> None:
    view, motion = before(kick, channel)
    pelvis = motion.translation[::50]
    seen = view.to_camera(pelvis) @ view.K.T
    column, row = (seen[:, :2] / seen[:, 2:]).T
    millimetres = 1000 * kick.motion.translation[::50] @ WORLD_TO_DHP19.T
    u, v, w = DHP19_MATRICES[channel] @ np.c_[millimetres, np.ones(len(pelvis))].T
    np.testing.assert_allclose(column, u / w, atol=1e-6)
    np.testing.assert_allclose(row, 260 - v / w, atol=1e-6)
    assert ((column > 0) & (column < 345) & (row > 0) & (row < 259)).all()
    down = motion.rotations[::50, 0] @ [0, -1, 0]
    feet = view.to_camera(pelvis + 0.8 * down) @ view.K.T
    assert (feet[:, 1] / feet[:, 2] > row).all()


def test_a_recording_has_its_three_files_and_is_made_once(tmp_path: Path, body: Body) -> None:
    filmed = []

    def film(
        performance: Performance, channel: int, rng: np.random.Generator
    ) -> Iterator[EventStream]:
        filmed.append(channel)
        return fake_film(performance, channel, rng)

    def make(seed: int = 1) -> dict[str, object]:
        return clone_recording(tmp_path, 2, 1, 8, duration_s=2.0, seed=seed, body=body, film=film)

    entry = make()
    files = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file())
    assert files == [
        "DVS_movies/S2/session1/mov8.aedat",
        "Vicon_data/S2_1_8.mat",
        "truth/S2_1_8.h5",
    ]
    assert make() == entry
    assert filmed == [0, 1, 2, 3]
    contents = [(tmp_path / f).read_bytes() for f in files]
    (tmp_path / files[1]).unlink()
    assert make() == entry
    assert [(tmp_path / f).read_bytes() for f in files] == contents
    assert loadmat(tmp_path / files[1])["XYZPOS"]["head"][0, 0].shape == (200, 3)
    with pytest.raises(InputError, match="Another clone"):
        make(seed=2)


def test_the_truth_poses_the_body_as_the_markers_say(tmp_path: Path, body: Body) -> None:
    clone_recording(tmp_path, 2, 2, 3, film=fake_film, duration_s=2.0, body=body)
    which = RawRecording(2, 2, 3)
    with h5py.File(truth_path(tmp_path, which)) as file:
        truth = {name: torch.from_numpy(file[name][:]) for name in file}
        assert file.attrs["body_sha256"] == body.sha256
    vectors = torch.cat([truth["global_orient"], truth["body_pose"]], 1).reshape(200, 24, 3)
    rotations = roma.rotvec_to_rotmat(vectors)
    betas = truth["betas"].expand(200, -1)
    joints = body.joints(betas, rotations[:, 0], rotations[:, 1:], truth["transl"]).numpy()
    np.testing.assert_allclose(joints, truth["joints"].numpy(), atol=1e-5)
    xyz = loadmat(which.vicon_path(tmp_path))["XYZPOS"]
    for name, joint, offset in zip(FIELDS, DHP19_TO_SMPL, truth["marker_offsets"], strict=True):
        gap = np.linalg.norm(xyz[name][0, 0] / 1000 - joints[:, joint], axis=1)
        assert abs(np.nanmean(gap) - np.linalg.norm(offset)) < 1e-3


@pytest.mark.parametrize("session", range(1, 6))
def test_everybody_stays_where_the_four_cameras_look(kick: Performance, session: int) -> None:
    for (of, movement), name in DHP19_MOVEMENTS.items():
        if of != session:
            continue
        performance = perform(np.random.default_rng(movement), kick.subject, name, 15.0)
        pelvis = performance.motion.translation[::20] @ WORLD_TO_DHP19.T
        for channel in range(4):
            camera = dhp19_camera(channel)
            column, row = camera.project(camera.to_camera(pelvis)).T
            assert column.min() > 30, name
            assert column.max() < 316, name
            assert row.min() > 30, name
            assert row.max() < 230, name


def test_the_simulated_events_are_where_the_markers_are(kick: Performance) -> None:
    performance = perform(np.random.default_rng(4), kick.subject, "star_jump", 2.0)
    rng = np.random.default_rng(0)
    markers = vicon_markers(rng, performance)
    P = DHP19_MATRICES[1]
    u, v, w = np.moveaxis(markers @ P[:, :3].T + P[:, 3], -1, 0)
    places = np.stack([u / w, 260 - v / w], axis=-1)  # (N, 13, 2)
    batches = list(film_in_studio(performance, 1, rng))
    t, x, y = (np.concatenate([getattr(b, name) for b in batches]) for name in "txy")
    assert (np.diff(t) >= 0).all()
    assert t[-1] < (len(performance.motion.translation) - 1) * 10_000
    on_body = np.concatenate([b.surface for b in batches]) != NO_SURFACE
    near, mirrored = [], []
    for k in range(0, 200, 4):
        t0 = (performance.start + k) * 10_000 - 20_000
        window = on_body & (t >= t0) & (t < t0 + 40_000)
        if np.count_nonzero(window) < 500:
            continue  # hardly moving
        tree = KDTree(np.stack([x, y], axis=1)[window])
        near += tree.query(np.nan_to_num(places[k], nan=-1e9))[0].tolist()
        mirrored += tree.query(np.nan_to_num([345, 0] - [1, -1] * places[k], nan=-1e9))[0].tolist()
    near, mirrored = (np.array(d)[np.array(d) < 1e6] for d in (near, mirrored))
    assert len(near) > 100
    assert np.median(near) < 4 < np.median(mirrored)
    assert np.percentile(near, 90) < 12
