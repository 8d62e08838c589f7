"""From a recording to a MotionSequence: windows, region, flow, pose, one pass forward in time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.body import Body, load_body
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.estimator import Estimator, Networks, Step
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import Recording
from eventhpe.events.replay import Latency, Replay
from eventhpe.events.stream import EventStream
from eventhpe.events.undistortion import Undistortion
from eventhpe.events.windows import Packet, Window, packet_windows, packets_of
from eventhpe.gravity import Up, measured_up, settle
from eventhpe.scene import SceneWatch
from eventhpe.sequence import HELD, TRACKED, MotionSequence

STEP_RANGE_US = (10_000, 100_000)


@dataclass(frozen=True)
class InferenceResult:
    """What `infer` returns.

    Attributes:
        motion: the steps that were done.
        interrupted: Ctrl-C came before the end.
        warnings: one line for each assumption about the scene that does not hold, and for an IMU
            that cannot be used.
        undistortion: how many events left the image, where the camera has a lens that bends.
        latency: of the steps of a replay.
    """

    motion: MotionSequence
    interrupted: bool
    warnings: tuple[str, ...] = ()
    undistortion: Undistortion | None = None
    latency: Latency | None = None


def infer(
    recording: Recording,
    networks: Networks,
    body: Body,
    camera: Camera,
    *,
    step_us: int = 50_000,
    start_us: int | None = None,
    stop_us: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    orient: Callable[[EventStream], EventStream] | None = None,
    height_m: float | None = None,
    start: MotionSequence | None = None,
    up: Up | None = None,
    command: str = "",
    progress: bool = True,
    replay: Replay | None = None,
) -> InferenceResult:
    """Estimate a person's motion from a recording.

    Args:
        recording: where events come from; memory is bounded by the window.
        networks: see `load_networks`.
        body: the body to answer with.
        camera: intrinsics of the events after ``orient``; its size is theirs. Distortion is
            taken out of the events, so regions are those of the undistorted image.
        step_us: distance of poses, 10,000 to 100,000 microseconds.
        start_us, stop_us: span of the recording to use.
        roi: x, y, width, height in pixels after ``orient``; events outside are ignored.
        orient: turns or mirrors events.
        height_m: the person's true height; fixes the scale that one camera cannot know.
        start: its last pose stands until the first motion, and its betas are kept.
        up: where it is known; otherwise see `eventhpe.gravity`.
        command: recorded in the motion.
        progress: show a bar on stderr.
        replay: of ``recording``; gives its events at the pace of their timestamps. The motion is
            the same, and the latency of its steps is measured.

    Raises:
        InputError: a step or height out of range, an ROI outside the image, a start pose of
            another body, or a span without a window.
    """
    if height_m is not None:
        _check_height(height_m)
    windows, count, undistortion = prepared_windows(
        recording, networks.recipe, camera, step_us, start_us, stop_us, roi, orient, replay
    )
    # The networks know the body they were trained on; other bodies are moved to and from it.
    trained = load_body()
    first = None if start is None else _start_step(start, body, trained)
    estimator = Estimator(networks, camera, first)
    scene = SceneWatch(camera.width, camera.height, roi)
    steps: list[Step] = []
    ages: list[int] = []
    interrupted = False
    if replay is not None:
        _warm_up(Estimator(networks, camera, first))
    bar = tqdm(total=count, unit="step", disable=not progress)
    try:
        for window in windows:
            steps.append(estimator.step(window, step_us))
            if replay is not None:
                ages.append(replay.age_us(window.t1))
            scene.update(estimator.filtered, window.t0, window.t1)
            bar.update()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    if not steps:
        raise InputError(
            recording.path,
            f"{max(recording.duration_us - (start_us or 0), 0) / 1e6:.3f} s of events"
            + (f" ({recording.repairs})" if recording.repairs else ""),
            f"at least one window of {networks.recipe.window_us / 1000:.0f} ms",
            "Choose a longer span or another recording.",
        )
    betas = mean_betas(steps) if first is None else first.betas
    motion = motion_of_steps(steps, betas, trained, camera, networks, step_us, height_m, command)
    unused = None
    if up is None:
        stop = int(motion.t_us[-1])
        up, unused = measured_up(camera, recording, start_us or 0, stop)
    return InferenceResult(
        settle(motion.on_body(trained, body), body, up),
        interrupted,
        scene.warnings() if unused is None else (*scene.warnings(), unused),
        undistortion,
        Latency.of(ages, step_us) if ages else None,
    )


def _warm_up(estimator: Estimator) -> None:
    """One step of an estimator that is then forgotten: the first one loads compiled code.

    Noise in the middle third is enough for the networks to be asked.
    """
    camera, window_us = estimator.camera, estimator.networks.recipe.window_us
    random = np.random.default_rng(0)
    x, y = (
        side // 3 + random.integers(0, side // 3, 5000) for side in (camera.width, camera.height)
    )
    t = np.linspace(0, window_us - 1, len(x))
    events = EventStream.from_arrays(x, y, t, x & 1, camera.width, camera.height)
    estimator.step(Window(0, window_us, events), window_us)


class PreparedWindows(NamedTuple):
    """What an `Estimator` is fed with.

    Attributes:
        windows: in order.
        total: how many there are.
        undistortion: what moves the events, where the camera has a lens that bends.
    """

    windows: Iterator[Window]
    total: int
    undistortion: Undistortion | None


def prepared_windows(
    recording: Recording,
    recipe: InputRecipe,
    camera: Camera,
    step_us: int,
    start_us: int | None,
    stop_us: int | None,
    roi: tuple[int, int, int, int] | None,
    orient: Callable[[EventStream], EventStream] | None,
    replay: Replay | None = None,
) -> PreparedWindows:
    """The windows that an `Estimator` is fed with (arguments of `infer`).

    Raises:
        InputError: a step out of range, an ROI outside the image, or a span without a window.
    """
    _check(recording, recipe, step_us, start_us, stop_us)
    begin, end = start_us or 0, recording.duration_us
    if stop_us is not None:  # one step of silence may follow the last event, not hours of it
        end = min(stop_us, end + step_us)
    prepare, undistortion = _preparation(camera, roi, orient)
    packets: Iterator[Packet]
    if replay is None:
        packets = packets_of(recording.chunks(begin, end))
    else:
        packets = replay.packets(begin, end)
    # Each event is prepared once, though windows overlap.
    prepared = (Packet(prepare(packet.events), packet.until) for packet in packets)
    empty = EventStream.empty(camera.width, camera.height)
    windows = packet_windows(prepared, recipe.window_us, step_us, begin, end, empty)
    count = max((end - begin - recipe.window_us) // step_us + 1, 0)
    return PreparedWindows(windows, count, undistortion)


def _check(
    recording: Recording,
    recipe: InputRecipe,
    step_us: int,
    start_us: int | None,
    stop_us: int | None,
) -> None:
    low, high = STEP_RANGE_US
    if not low <= step_us <= high:
        raise InputError(
            "--step-ms",
            f"{step_us / 1000:g} ms",
            f"{low // 1000} to {high // 1000} ms",
            "The window's length is fixed by the weights; choose a step in this range.",
        )
    begin = start_us or 0
    if begin < 0 or (stop_us is not None and stop_us - begin < recipe.window_us):
        raise InputError(
            "--from/--to",
            f"{begin / 1e6:g} s to {'the end' if stop_us is None else f'{stop_us / 1e6:g} s'}",
            f"a span of at least {recipe.window_us / 1000:.0f} ms after 0 s",
            f"The recording {recording.path.name} lasts {recording.duration_us / 1e6:.3f} s.",
        )
    if begin > 0 and begin >= recording.duration_us:
        raise InputError(
            recording.path,
            f"{recording.duration_us / 1e6:.3f} s of events",
            f"events after --from {begin / 1e6:g} s",
            "Begin earlier.",
        )


def _preparation(
    camera: Camera,
    roi: tuple[int, int, int, int] | None,
    orient: Callable[[EventStream], EventStream] | None,
) -> tuple[Callable[[EventStream], EventStream], Undistortion | None]:
    """Reorient events, take the lens's distortion out, and drop those outside the ROI; and what
    takes the distortion out."""
    if roi is not None:
        x0, y0, width, height = roi
        inside = x0 >= 0 and y0 >= 0
        inside &= x0 + width <= camera.width and y0 + height <= camera.height
        if not inside or min(width, height) < 8:
            raise InputError(
                "--roi",
                f"{x0},{y0},{width},{height}",
                f"X,Y,W,H inside {camera.width}x{camera.height}, at least 8 pixels a side",
                "Coordinates are those after --rotate and --flip.",
            )

    undistort = Undistortion(camera) if camera.bends else None

    def prepare(events: EventStream) -> EventStream:
        if orient is not None:
            events = orient(events)
        if undistort is not None:
            events = undistort(events)
        if roi is None:
            return events
        x, y = events.x.astype(np.int32), events.y.astype(np.int32)
        return events.masked((x >= x0) & (x < x0 + width) & (y >= y0) & (y < y0 + height))

    return prepare, undistort


def _start_step(start: MotionSequence, body: Body, trained: Body) -> Step:
    if start.body_sha256 != body.sha256:
        raise InputError(
            "--start",
            f"a pose of body {start.body_id}",
            f"one of body {body.body_id}",
            "Give the same body with --body.",
        )
    if len(start) == 0:
        raise InputError("--start", "a motion without steps", "at least one pose", "Take another.")
    start = start.on_body(body, trained)
    orient, pose = start.matrices()
    rotations = torch.cat([orient[-1:], pose[-1]]).numpy()
    pelvis = start.transl[-1] + _rest_pelvis(trained, start.betas)
    region = tuple(float(v) for v in start.region[-1])
    return Step(
        0,
        rotations,
        start.betas.astype(np.float32),
        pelvis.astype(np.float32),
        (region[0], region[1], region[2], region[3]),
        1.0,
        HELD,
    )


def mean_betas(steps: list[Step]) -> NDArray[np.float32]:
    """One shape for the recording: the mean over tracked steps, weighted by confidence."""
    weight = np.array([s.confidence if s.state == TRACKED else 0.0 for s in steps])
    if weight.sum() == 0:
        return np.zeros(10, np.float32)
    return np.average([s.betas for s in steps], axis=0, weights=weight).astype(np.float32)


def motion_of_steps(
    steps: list[Step],
    betas: NDArray[np.float32],
    body: Body,
    camera: Camera,
    networks: Networks,
    step_us: int,
    height_m: float | None,
    command: str,
) -> MotionSequence:
    """The steps as a motion with one shape.

    Args:
        steps: of a whole recording or a part of it, in order.
        betas: (10,).
        body: the body that the networks were trained on.
        height_m: the person's true height, which replaces that of ``betas`` and scales distance.
        others: as in `MotionSequence` and `infer`.
    """
    pelvis = np.stack([s.pelvis for s in steps])
    if height_m is not None:
        betas, scale = betas_of_height(body, betas, height_m)
        pelvis = pelvis * scale
    rotations = torch.from_numpy(np.stack([s.rotations for s in steps]))
    return MotionSequence.from_matrices(
        rotations[:, 0],
        rotations[:, 1:],
        t_us=np.array([s.t_us for s in steps], np.int64),
        betas=betas,
        transl=pelvis - _rest_pelvis(body, betas),
        body_id=body.body_id,
        body_sha256=body.sha256,
        K=camera.K,
        distortion=np.array(camera.distortion),
        distortion_model=camera.model,
        width=camera.width,
        height=camera.height,
        frame="camera",
        region=np.array([s.region for s in steps]),
        confidence=np.array([s.confidence for s in steps]),
        state=np.array([s.state for s in steps]),
        window_us=networks.recipe.window_us,
        step_us=step_us,
        weights=networks.hashes,
        command=command,
    )


def betas_of_height(
    body: Body, betas: NDArray[np.float32], height_m: float
) -> tuple[NDArray[np.float32], float]:
    """The nearest betas of a given standing height, and its ratio to the old height.

    Height is linear in betas while the top and bottom vertices stay the same ones; the smallest
    change of betas then runs along its gradient. Two rounds let those vertices change.

    Raises:
        InputError: a height that no adult has.
    """
    _check_height(height_m)
    value = torch.from_numpy(betas.astype(np.float32)).clone().requires_grad_(True)
    first = None
    for _ in range(2):
        height = standing_height(body, value)
        first = float(height.detach()) if first is None else first
        (gradient,) = torch.autograd.grad(height, value)
        change = (height_m - height.detach()) * gradient / gradient.square().sum()
        value = (value.detach() + change).requires_grad_(True)
    return value.detach().numpy(), height_m / (first or height_m)


def _check_height(height_m: float) -> None:
    if not 1.2 <= height_m <= 2.3:
        raise InputError(
            "--height", f"{height_m:g} m", "1.2 to 2.3 m", "Give the person's height in metres."
        )


def standing_height(body: Body, betas: torch.Tensor) -> torch.Tensor:
    """Height () of the unposed body with shape ``betas`` (10,), metres."""
    eye = torch.eye(3).expand(1, 24, 3, 3)
    vertices = body(betas[None], eye[:, 0], eye[:, 1:], torch.zeros(1, 3)).vertices[0, :, 1]
    return vertices.max() - vertices.min()


def _rest_pelvis(body: Body, betas: NDArray[np.floating]) -> NDArray[np.float32]:
    rest = body.rest_joints(torch.from_numpy(betas.astype(np.float32))[None])
    return rest[0, 0].detach().numpy()
