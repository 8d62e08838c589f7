"""Takes: ShapeNet's input and its labels, made once and read many times.

A take is a stretch of consecutive windows of one recording, as a network is given them: events on
the region's grid, FlowNet's flow beside them, and the truth at each window's end. Flow costs more
than all of ShapeNet's training step, so it is computed when a take is made, by the FlowNet that
will work in the pipeline. Training takes are augmented at the events (regions, roll, lost and added
events, step lengths); what costs nothing (mirrors, polarity) is drawn when a clip is read.

A recording's folder holds, N windows of all its takes one after the other:

===============  ================  ==============================================================
``events.npy``   (N, C, S, S)      int8, the recipe's grid times `EVENT_SCALE`
``flow.npy``     (N, 2, S, S)      float16, displacement over the window in sides of the region
``labels.npz``   rows a window     `Takes` describes them
===============  ================  ==============================================================
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.augmentation import (
    NO_AUGMENTATION,
    Augmentation,
    disturbed,
    jitter,
    moved,
    rolled,
    rolled_points,
    turn,
)
from datasets.folders import changed_at, load_recording, recording_paths
from datasets.networks import load_flownet
from datasets.prepared import PreparedRecording
from eventhpe.body import Body, load_body
from eventhpe.camera import Crop, project
from eventhpe.events.recipe import CLIP, InputRecipe
from eventhpe.events.region import MARGIN, TRACKER_ID, RegionTracker
from eventhpe.events.stream import EventStream
from flownet.model import FlowNet, flow_in_sides

TAKES_VERSION = 1
EVENT_SCALE = 25.0  # int8 steps a unit of the recipe's grid, which is clipped to +-5
CLOCK_US = 10_000  # moments are multiples of it, so that labels need no interpolation
FLOW_BATCH = 32
assert CLIP * EVENT_SCALE <= 127

Region = Literal["tracked", "truth"]


@dataclass(frozen=True)
class TakeSpec:
    """Everything that shapes takes; its digest names their folder.

    Attributes:
        recipe: ShapeNet's input recipe.
        flow_size: side of the grid that FlowNet reads.
        flownet_sha256: of the FlowNet's tensors.
        takes: of a recording; 0 is the recording whole, once, as it is.
        windows: most windows of a take (of a whole recording, all of them).
        steps_us: step lengths to draw from, microseconds, multiples of 10,000.
        truth_share: share of the takes whose regions are drawn around the truth, not tracked.
        roll: largest turn of the camera about its axis, degrees.
        augmentation: of the events and regions; what it says of mirrors, polarity and busy moments
            is drawn with clips, not here.
        seed: of the draw.
    """

    recipe: InputRecipe
    flow_size: int
    flownet_sha256: str
    takes: int
    windows: int
    steps_us: tuple[int, ...]
    truth_share: float = 0.25
    roll: float = 10.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the folder: what one looks for, and a digest of everything."""
        content = json.dumps([TAKES_VERSION, TRACKER_ID, asdict(self)], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        steps = "-".join(f"{step // 1000}" for step in sorted(set(self.steps_us)))
        kind = f"{self.takes}x{self.windows}" if self.takes else "whole"
        return f"takes-{kind}-{steps}ms-{self.recipe.size}px-{digest}"


def whole_recordings(
    recipe: InputRecipe,
    flow_size: int,
    flownet_sha256: str,
    step_us: int = 50_000,
    region: Region = "tracked",
) -> TakeSpec:
    """The takes that validation and tests read: whole recordings, as inference sees them."""
    return TakeSpec(
        recipe,
        flow_size,
        flownet_sha256,
        takes=0,
        windows=0,
        steps_us=(step_us,),
        truth_share=float(region == "truth"),
        roll=0.0,
        augmentation=NO_AUGMENTATION,
    )


@dataclass(frozen=True)
class Takes:
    """The takes of a recording; N windows in all, K takes.

    Attributes:
        name: of the recording.
        events, flow: see the module; memory-mapped.
        first: (K + 1,) take k holds the windows first[k] to first[k + 1].
        step_us: (K,).
        angle: (K,) roll of the take, radians.
        t_us: (N,) the windows' ends.
        region: (N, 3) centre column, centre row and side of the crop, pixels.
        activity: (N,) events in the region since the window before.
        located: (N,) whether the tracker had found anything.
        labelled: whether there is truth; without, the next four are zero.
        rotations: (N, 24, 3, 3); pelvis: (N, 3); present: (N,); betas: (10,).
        intrinsics: (4,) fx, fy, cx, cy.
        width: of the sensor, pixels.
    """

    name: str
    events: NDArray[np.int8]
    flow: NDArray[np.float16]
    first: NDArray[np.int64]
    step_us: NDArray[np.int64]
    angle: NDArray[np.float32]
    t_us: NDArray[np.int64]
    region: NDArray[np.float32]
    activity: NDArray[np.int64]
    located: NDArray[np.bool_]
    labelled: bool
    rotations: NDArray[np.float32]
    pelvis: NDArray[np.float32]
    present: NDArray[np.bool_]
    betas: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    width: int

    def __len__(self) -> int:
        return len(self.step_us)

    @classmethod
    def open(cls, folder: Path) -> "Takes":
        """Read a recording's folder; the images stay on disk."""
        images = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("events", "flow")
        }
        with np.load(folder / "labels.npz") as archive:
            labels = {name: archive[name] for name in archive.files}
        labelled, width = bool(labels.pop("labelled")), int(labels.pop("width"))
        return cls(folder.name, **images, **labels, labelled=labelled, width=width)


def prepare_takes(folder: Path, spec: TakeSpec, flownet: Path, workers: int = 1) -> list[Takes]:
    """The takes of every recording of a folder (kept in ``folder/cache``).

    Recordings that are done are kept: an interrupted call goes on where it stopped.

    Args:
        folder: of recordings, as `datasets.folders` reads them.
        spec: what takes to make.
        flownet: card of the FlowNet that the spec names.
        workers: processes.

    Raises:
        InputError: as `datasets.folders.load_recordings`.
    """
    out = folder / "cache" / spec.name
    paths = recording_paths(folder)
    stale = [path for path in paths if _stale(path, out / path.stem)]
    bar = tqdm(total=len(stale), desc=f"takes of {folder.name}", unit="rec", disable=not stale)
    if workers <= 1:
        for path in stale:
            _write(path, out / path.stem, spec, flownet)
            bar.update()
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(_write, path, out / path.stem, spec, flownet) for path in stale]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    bar.close()
    return [Takes.open(out / path.stem) for path in paths]


def _stale(path: Path, folder: Path) -> bool:
    return not folder.is_dir() or folder.stat().st_mtime < changed_at(path)


def _write(path: Path, folder: Path, spec: TakeSpec, flownet: Path) -> None:
    torch.set_num_threads(1)
    body = load_body()
    recording = load_recording(path, spec.recipe, body)
    network, _ = load_flownet(flownet)
    arrays = make_takes(recording, spec, network, body)
    partial = folder.with_name(folder.name + ".partial")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("events", "flow"):
        np.save(partial / f"{name}.npy", arrays.pop(name))
    np.savez(partial / "labels.npz", **arrays)
    partial.rename(folder)


def make_takes(
    recording: PreparedRecording, spec: TakeSpec, flownet: FlowNet, body: Body
) -> dict[str, Any]:
    """The arrays of `Takes` for a recording, by name."""
    rng = np.random.default_rng([spec.seed, *recording.path.stem.encode()])
    if spec.takes:
        takes = [_drawn(recording, spec, rng, body) for _ in range(spec.takes)]
        takes = [take for take in takes if len(take["t_us"])]
    else:
        takes = [_whole(recording, spec, body)]
    arrays: dict[str, Any] = {
        name: np.concatenate([take[name] for take in takes])
        for name in ("events", "t_us", "region", "activity", "located")
    }
    arrays["flow"] = np.concatenate([_flow(flownet, take["grids"], spec) for take in takes])
    lengths = [len(take["t_us"]) for take in takes]
    arrays["first"] = np.cumsum([0, *lengths])
    arrays["step_us"] = np.array([take["step_us"] for take in takes])
    arrays["angle"] = np.array([take["angle"] for take in takes], np.float32)
    arrays["width"] = recording.events.width
    angles = np.repeat(arrays["angle"], lengths)
    return arrays | _labels(recording, arrays["t_us"], angles)


def _drawn(
    recording: PreparedRecording, spec: TakeSpec, rng: np.random.Generator, body: Body
) -> dict[str, Any]:
    """One augmented take."""
    augmentation, window_us = spec.augmentation, spec.recipe.window_us
    step_us = int(rng.choice(spec.steps_us))
    most = (recording.duration_us - window_us) // step_us + 1
    windows = int(min(spec.windows, most))
    span = window_us + (windows - 1) * step_us
    latest = max((recording.duration_us - span) // CLOCK_US, 0)
    start = CLOCK_US * int(rng.integers(0, latest + 1))
    ends = start + window_us + step_us * np.arange(windows)
    around_truth = recording.truth is not None and rng.random() < spec.truth_share
    angle = float(np.radians(spec.roll) * rng.uniform(-1, 1))
    shift = jitter(augmentation, rng)
    events, _ = disturbed(recording.events.between(start, start + span), augmentation, rng)
    crops = [recording.crop(int(t), spec.recipe.size) for t in ends]
    if around_truth:
        crops = _true_crops(recording, ends, crops, body)
    if recording.truth is not None:
        events = rolled(events, recording.truth.K, angle)
        crops = [_rolled_crop(crop, recording.truth.K, angle) for crop in crops]
    else:
        angle = 0.0  # needs intrinsics
    crops = [moved(crop, *shift) for crop in crops]
    located = np.ones(windows, bool)
    return _images(events, ends, crops, step_us, spec) | {"located": located, "angle": angle}


def _whole(recording: PreparedRecording, spec: TakeSpec, body: Body) -> dict[str, Any]:
    """The recording as inference sees it: the tracker works step by step."""
    (step_us,), window_us = spec.steps_us, spec.recipe.window_us
    ends = np.arange(window_us, recording.duration_us + 1, step_us)
    events = recording.events
    tracker = RegionTracker(events.width, events.height)
    crops, located = [], []
    for t in ends.tolist():
        tracker.update(events.between(t - window_us, t), t - window_us, t)
        crops.append(tracker.crop(spec.recipe.size))
        located.append(tracker.located)
    if spec.truth_share:
        crops = _true_crops(recording, ends, crops, body)
    found = {"located": np.array(located, bool), "angle": 0.0}
    return _images(events, ends, crops, step_us, spec) | found


def _images(
    events: EventStream, ends: NDArray[np.int64], crops: list[Crop], step_us: int, spec: TakeSpec
) -> dict[str, Any]:
    """Grids for both networks, and where they lie."""
    recipe = spec.recipe
    window_us, flow_recipe = recipe.window_us, replace(recipe, size=spec.flow_size)
    windows, grids, activity = [], [], []
    for t, crop in zip(ends.tolist(), crops, strict=True):
        inside = events.between(t - window_us, t)
        windows.append(
            np.rint(recipe.prepare(inside, t - window_us, t, crop) * EVENT_SCALE).astype(np.int8)
        )
        flow_crop = replace(crop, size=spec.flow_size)
        grids.append(flow_recipe.prepare(inside, t - window_us, t, flow_crop))
        fresh = events.between(t - step_us, t)
        activity.append(int(crop.contains(fresh.x, fresh.y).sum()))
    return {
        "events": np.stack(windows),
        "grids": np.stack(grids),
        "t_us": ends,
        "region": np.array([(*crop.centre, crop.side) for crop in crops], np.float32),
        "activity": np.array(activity, np.int64),
        "step_us": step_us,
    }


def _flow(network: FlowNet, grids: NDArray[np.float32], spec: TakeSpec) -> NDArray[np.float16]:
    with torch.inference_mode():
        parts = [
            flow_in_sides(network, torch.from_numpy(grids[i : i + FLOW_BATCH]), spec.recipe.size)
            for i in range(0, len(grids), FLOW_BATCH)
        ]
    return torch.cat(parts).numpy().astype(np.float16)


def _labels(
    recording: PreparedRecording, t_us: NDArray[np.int64], angles: NDArray[np.float32]
) -> dict[str, Any]:
    count = len(t_us)
    if recording.truth is None:
        return {
            "labelled": False,
            "rotations": np.zeros((count, 24, 3, 3), np.float32),
            "pelvis": np.zeros((count, 3), np.float32),
            "present": np.zeros(count, bool),
            "betas": np.zeros(10, np.float32),
            "intrinsics": np.zeros(4, np.float32),
        }
    labels, K = recording.truth.labels, recording.truth.K
    rows = [labels.index(int(t)) for t in t_us]
    turns = np.stack([turn(angle) for angle in angles]).astype(np.float32)
    rotations = labels.rotations[rows]
    rotations[:, 0] = turns @ rotations[:, 0]
    return {
        "labelled": True,
        "rotations": rotations,
        "pelvis": np.einsum("nij,nj->ni", turns, labels.pelvis[rows]),
        "present": labels.present[rows],
        "betas": labels.betas,
        "intrinsics": np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32),
    }


def _true_crops(
    recording: PreparedRecording, ends: NDArray[np.int64], tracked: list[Crop], body: Body
) -> list[Crop]:
    """Squares around the person's picture, as the tracker would draw them if it knew it; where
    nobody is in the image, the tracker's."""
    truth = recording.known
    labels = truth.labels
    limits = np.array([recording.events.width, recording.events.height])
    rows = np.array([labels.index(int(t)) for t in ends])
    betas = torch.from_numpy(labels.betas)[None]
    rest = body.rest_joints(betas)[0, 0].numpy()
    crops = list(tracked)
    for k in np.flatnonzero(labels.present[rows]):
        rotations = torch.from_numpy(labels.rotations[rows[k]])[None]
        place = torch.from_numpy(labels.pelvis[rows[k]] - rest)[None]
        with torch.no_grad():
            vertices = body(betas, rotations[:, 0], rotations[:, 1:], place).vertices[0].numpy()
        pixels = project(vertices, truth.K)
        low, high = (np.clip(edge, 0, limits) for edge in (pixels.min(axis=0), pixels.max(axis=0)))
        side = max(MARGIN * float((high - low).max()), 8.0)
        left, top = (low + high - side + 1) / 2
        crops[k] = Crop(float(left), float(top), side, tracked[k].size)
    return crops


def _rolled_crop(crop: Crop, K: NDArray[np.float64], angle: float) -> Crop:
    """A crop of the same side around the same content."""
    centre = rolled_points(np.array(crop.centre), K, angle)
    left, top = centre - (crop.side - 1) / 2
    return replace(crop, x0=float(left), y0=float(top))


def image_tensor(sample: dict[str, torch.Tensor]) -> torch.Tensor:
    """A network's input (..., C + 2, S, S) from stored ``events`` and ``flow``."""
    return torch.cat([sample["events"].float() / EVENT_SCALE, sample["flow"].float()], dim=-3)


def chordal_mean(takes: Sequence[Takes]) -> torch.Tensor:
    """(24, 3, 3) chordal mean of the labelled poses (Hartley et al., IJCV 2013, section 5)."""
    people = [take for take in takes if take.labelled and take.present.any()]
    total = sum(take.rotations[take.present].mean(axis=0) for take in people)
    u, _, vt = np.linalg.svd(total)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return torch.from_numpy((u @ vt).astype(np.float32))
