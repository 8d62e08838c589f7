"""The rows of a DHP19 evaluation: which methods, by which protocols, on a part of a split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.dhp19 import CameraRecording, Fit, Markers, skewless_camera
from datasets.dhp19_frames import FRAME_EVENTS
from datasets.dhp19_layout import CHANNELS
from datasets.folders import recording_paths
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.evaluation.dhp19 import (
    Moments,
    WorldMotion,
    distances,
    frame_moments,
    hips_centred,
    label_pixels,
    pixels,
    triangulate,
)
from eventhpe.evaluation.pose import mean_pose
from eventhpe.evaluation.pose_rows import HEIGHTS_M, MEAN_POSE, STEP_US, Entrant
from eventhpe.evaluation.pose_set import SetRecording, motion_of_takes, take_steps
from eventhpe.fusion import fuse
from eventhpe.inference import standing_height
from eventhpe.sequence import MotionSequence

Float64 = NDArray[np.float64]

ONE_CAMERA, TWO_CAMERAS, IMAGE = "one camera, 3D", "two cameras, 3D", "2D"
ALL_CAMERAS = "four cameras, one mesh"
PAIR = (3, 2)  # matrices P2 and P3: the cameras of the headline results
NO_ALIGNMENT, HIPS_ALIGNED = "none", "hips' midpoint"


@dataclass(frozen=True)
class Method:
    """What gives the 13 labels.

    Attributes:
        height: whether the person's true height was given.
        markers: how labels are made of the body: its joints, or joints with marker offsets.
    """

    name: str
    height: bool = False
    markers: str = "nominal joints"


FIT = "floor: the fitted body"
CUT = Method("floor: labels cut to whole pixels", True, "the markers themselves")
TRAINED_MARKERS = "joints + training subjects' mean offsets"
OWN_MARKERS = "joints + the subject's offsets"


@dataclass(frozen=True)
class Protocol:
    """By which distances: see the module `eventhpe.evaluation.dhp19`."""

    name: str
    alignment: str
    unit: str


PROTOCOLS = (
    Protocol(ONE_CAMERA, NO_ALIGNMENT, "mm"),
    Protocol(ONE_CAMERA, HIPS_ALIGNED, "mm"),
    Protocol(TWO_CAMERAS, NO_ALIGNMENT, "mm"),
    Protocol(IMAGE, NO_ALIGNMENT, "px"),
    Protocol(ALL_CAMERAS, NO_ALIGNMENT, "mm"),
    Protocol(ALL_CAMERAS, HIPS_ALIGNED, "mm"),
)
Scores = dict[tuple[Protocol, Method], list[Float64]]
"""Distances of labels, an array for each recording (and camera, where one is looked at)."""

Labels = Mapping[Method, Callable[[Float64], Float64]]
"""What methods say of one recording by one camera: from times (F,) us to (F, 13, 3) mm."""


@dataclass(frozen=True)
class Seen:
    """One camera's view of a recording, as methods answer it: ``labels``, the span [first_us,
    last_us] in which they do, and the ``motions`` of those that several cameras' are fused of."""

    labels: Labels
    first_us: int
    last_us: int
    motions: Mapping[Method, MotionSequence] = field(default_factory=dict)


Predict = Callable[[int, Path], Seen]
"""From a recording's index in its folder, and its path."""


def evaluate_dhp19(
    folder: Path,
    predict: Predict,
    body: Body,
    events_a_frame: int = FRAME_EVENTS,
    progress: bool = True,
) -> Scores:
    """Score methods, and the floors beside them, on a part of a split.

    The two-camera rows need a recording's channels 3 and 2 in the part, those of four cameras all
    of them; they are left out elsewhere.

    Args:
        folder: links that `datasets.dhp19_splits.write_splits` made.
        predict: the methods.
        body: the fits' body.
        events_a_frame: of all four cameras together.

    Raises:
        InputError: the folder holds something else, or a recording without its other cameras, its
            markers or its fit.
    """
    captures = captures_of(folder)
    scores: Scores = {}
    for capture in tqdm(captures.values(), desc="score", unit="rec", disable=not progress):
        one = next(iter(capture.values()))[1]
        markers, fit = Markers.load(one.vicon), Fit.load(one.fit, body)
        moments = frame_moments(_four_cameras(one), markers, events_a_frame)
        seen = {channel: predict(index, rec.path) for channel, (index, rec) in capture.items()}
        moments = moments.within(
            max(view.first_us for view in seen.values()),
            min(view.last_us for view in seen.values()),
        )
        floors = _floors(fit)
        answers = {
            channel: {
                method: labels(moments.t_us) for method, labels in {**floors, **view.labels}.items()
            }
            for channel, view in seen.items()
        }
        _score(scores, answers, moments)
        if set(CHANNELS) <= set(seen):
            _score_fused(scores, seen, floors, moments, body)
    return scores


def captures_of(folder: Path) -> dict[str, dict[int, tuple[int, CameraRecording]]]:
    """A folder's recordings by name and channel, each with its index in the folder.

    Raises:
        InputError: there is none, or one that is not DHP19's.
    """
    captures: dict[str, dict[int, tuple[int, CameraRecording]]] = {}
    for index, path in enumerate(recording_paths(folder)):
        recording = CameraRecording.of(path)
        if recording is None:
            raise InputError(
                path,
                "a recording that is no link into a prepared DHP19",
                "a part of a split",
                "Run: python scripts/split_dhp19.py OUT",
            )
        captures.setdefault(recording.name, {})[recording.channel] = (index, recording)
    return captures


def network_methods(entrant: Entrant, folder: Path, body: Body, workers: int = 1) -> Predict:
    """A ShapeNet, with and without the true height, and the mean pose in the same regions.

    Its labels are its nominal joints; and, where the split's training subjects are fitted, its
    joints with the mean of their marker offsets, which is how a network that is trained on the
    labels themselves knows where markers sit.
    """
    networks = entrant.networks
    tracked = entrant.takes(folder, STEP_US, "tracked", workers)
    offsets = training_offsets(folder.parent / "train", body)

    def predict(index: int, path: Path) -> Seen:
        takes = tracked[index]
        recording = SetRecording.open(path, networks.recipe, body)
        steps = take_steps(networks, recording, takes)
        height = float(standing_height(body, torch.from_numpy(takes.betas)))
        height = min(max(height, HEIGHTS_M[0]), HEIGHTS_M[1])
        plain = motion_of_takes(steps, networks, recording, body, STEP_US)
        tall = motion_of_takes(steps, networks, recording, body, STEP_US, height_m=height)
        channel = int(path.stem[-1])
        labels: dict[Method, Callable[[Float64], Float64]] = {}
        for name, given, motion in (
            (MEAN_POSE, False, mean_pose(plain, networks, body)),
            (entrant.name, False, plain),
            (entrant.name, True, tall),
        ):
            world = WorldMotion.of_camera(motion, channel, body)
            labels[Method(name, given)] = _labels(world, None)
            if offsets is not None:
                labels[Method(name, given, TRAINED_MARKERS)] = _labels(world, offsets)
        motions = {Method(entrant.name): plain, Method(entrant.name, True): tall}
        return Seen(labels, int(plain.t_us[0]), int(plain.t_us[-1]), motions)

    return predict


def training_offsets(folder: Path, body: Body) -> Float64 | None:
    """(13, 3) mean over the fitted subjects of a split's ``train``; None where there is none."""
    links = sorted(folder.glob("*.h5"))
    fits = {r.subject: r.fit for path in links if (r := CameraRecording.of(path)) is not None}
    found = [Fit.load(path, body).marker_offsets for path in fits.values() if path.exists()]
    return np.mean(found, axis=0) if found else None


def _floors(fit: Fit) -> Labels:
    world = WorldMotion.of_fit(fit)
    return {
        Method(FIT, True): _labels(world, None),
        Method(FIT, True, OWN_MARKERS): _labels(world, fit.marker_offsets),
    }


def _labels(world: WorldMotion, offsets: Float64 | None) -> Callable[[Float64], Float64]:
    return lambda t_us: world.labels_mm(t_us, offsets)


def _score(
    scores: Scores, answers: Mapping[int, Mapping[Method, Float64]], moments: Moments
) -> None:
    """Add one recording's distances by every protocol."""
    absolute, aligned, both, image = PROTOCOLS[:4]
    truth = moments.mm
    for channel, methods in answers.items():
        labels = label_pixels(truth, channel)
        _add(scores, image, CUT, distances(pixels(truth, channel), labels))
        for method, mm in methods.items():
            _add(scores, absolute, method, distances(mm, truth))
            _add(scores, aligned, method, distances(hips_centred(mm), hips_centred(truth)))
            _add(scores, image, method, distances(pixels(mm, channel), labels))
    if set(PAIR) <= set(answers):
        for method in answers[PAIR[0]]:
            views = np.stack([pixels(answers[channel][method], channel) for channel in PAIR])
            _add(scores, both, method, distances(triangulate(views, PAIR), truth))


def _score_fused(
    scores: Scores, seen: Mapping[int, Seen], floors: Labels, moments: Moments, body: Body
) -> None:
    """Add the distances of one mesh made of all cameras' motions."""
    answers = dict(floors)
    for method in seen[CHANNELS[0]].motions:
        views = [(seen[c].motions[method], skewless_camera(c)) for c in CHANNELS]
        answers[method] = _labels(WorldMotion.of_fused(fuse(views, body), body), None)
    absolute, aligned = PROTOCOLS[4:]
    for method, labels in answers.items():
        mm = labels(moments.t_us)
        _add(scores, absolute, method, distances(mm, moments.mm))
        _add(scores, aligned, method, distances(hips_centred(mm), hips_centred(moments.mm)))


def _add(scores: Scores, protocol: Protocol, method: Method, found: Float64) -> None:
    scores.setdefault((protocol, method), []).append(found)


def _four_cameras(recording: CameraRecording) -> list[Path]:
    """The recordings of all four cameras, whose events together make the frames.

    Raises:
        InputError: one is missing.
    """
    folder = recording.path.parent
    paths = [folder / f"{recording.name}-camera{channel}.h5" for channel in CHANNELS]
    for path in paths:
        if not path.exists():
            remedy = "Run python scripts/prepare_dhp19.py again."
            raise InputError(path, "no file", "all four cameras of a recording", remedy)
    return paths
