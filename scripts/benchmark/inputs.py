"""The sensor and the events that several rows measure with."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.events import DsecWriter, EventStream
from eventhpe.sequence import TRACKED, MotionSequence

WIDTH, HEIGHT = 346, 260
EVENTS, WINDOW_US = 1_000_000, 50_000


def random_events(duration_us: int = WINDOW_US) -> EventStream:
    """A million events, evenly at random over the sensor and the duration, sorted by time."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, duration_us, EVENTS))
    x, y = rng.integers(0, WIDTH, EVENTS), rng.integers(0, HEIGHT, EVENTS)
    return EventStream.from_arrays(x, y, t, rng.integers(0, 2, EVENTS), WIDTH, HEIGHT)


def davis_words(events: EventStream) -> bytes:
    """The events as AEDAT 2.0 of a DAVIS346: big-endian address and time, eight bytes each."""
    address = (np.uint32(HEIGHT - 1) - events.y.astype(np.uint32)) << np.uint32(22)
    address |= (np.uint32(WIDTH - 1) - events.x.astype(np.uint32)) << np.uint32(12)
    address |= events.p.astype(np.uint32) << np.uint32(11)
    return np.stack([address, events.t.astype(np.uint32)], axis=1).astype(">u4").tobytes()


def upright_motion(
    body: Body,
    camera: Camera,
    body_pose: NDArray[np.floating],
    transl: NDArray[np.floating],
    region: tuple[int, int, int, int],
) -> MotionSequence:
    """Somebody upright who faces the camera, tracked, a step every `WINDOW_US`.

    Args:
        body_pose: (T, 69) axis-angle.
        transl: (T, 3) metres.
        region: x0, y0, width, height, pixels.
    """
    steps = len(body_pose)
    return MotionSequence(
        t_us=WINDOW_US * np.arange(1, steps + 1),
        betas=np.zeros(10, np.float32),
        global_orient=np.tile(np.array([np.pi, 0, 0], np.float32), (steps, 1)),
        body_pose=body_pose,
        transl=transl,
        body_id=body.body_id,
        body_sha256=body.sha256,
        K=camera.K,
        distortion=np.zeros(0),
        width=camera.width,
        height=camera.height,
        frame="camera",
        region=np.tile(np.array(region, np.float32), (steps, 1)),
        confidence=np.full(steps, 0.8, np.float32),
        state=np.full(steps, TRACKED),
        window_us=WINDOW_US,
        step_us=WINDOW_US,
        weights={},
        command="",
    )


def busy_recording(path: Path, seconds: int) -> None:
    """Write a million events a second, at random in a person-sized box, as a recording."""
    block = random_events(1_000_000)
    x = (block.x // 3 + 115).astype(np.uint16)
    with DsecWriter(path, WIDTH, HEIGHT) as writer:
        for second in range(seconds):
            t = block.t + second * 1_000_000
            writer.append(EventStream(x, block.y, t, block.p, WIDTH, HEIGHT))
