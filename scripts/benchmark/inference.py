"""The rows of a user's run: recording in, motion out, and the two networks inside."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from eventhpe.estimator import load_networks
from eventhpe.events import open_recording
from flownet.model import FlowNet, flow_in_sides
from scripts.benchmark.inputs import HEIGHT, WIDTH, busy_recording
from scripts.benchmark.rows import Measured, median_wall_seconds, row
from shapenet.model import PRESETS, ShapeNet, ShapeNetState, upright_rotations


@row("infer")
def bench_infer() -> Measured:
    """`infer` on ten seconds of a million events a second, 20 steps/s: recording over wall time.

    The events fall at random into a person-sized box. Both cores work, as for a user; the
    overlay is not drawn.
    """
    from eventhpe.body import load_body
    from eventhpe.camera import Camera
    from eventhpe.inference import infer

    seconds = 10
    networks, body = load_networks(), load_body()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        busy_recording(path, seconds)
        camera = Camera.from_fov(WIDTH, HEIGHT)

        def run(stop_s: int) -> float:
            start = time.perf_counter()
            recording = open_recording(path)
            infer(recording, networks, body, camera, stop_us=stop_s * 1_000_000, progress=False)
            return time.perf_counter() - start

        run(1)
        wall = float(np.median([run(seconds) for _ in range(3)]))
    return Measured("infer", seconds / wall, "x real time", 1.0, note="346x260, 20 steps/s")


@row("networks")
def bench_networks() -> Measured:
    """Steps that both released networks do in a second, one window after the other, two threads;
    the published networks (`paper` presets, 256x256 pixels) beside them in the same run."""
    torch.set_num_threads(2)
    released = load_networks()
    small = _steps_per_second(
        released.flownet, released.shapenet, released.flow_recipe.size, released.recipe.size
    )
    size = PRESETS["paper"].image_size
    flow, shape = FlowNet.preset("paper").eval(), ShapeNet.preset("paper").eval()
    note = f"{released.flow_recipe.size}x and {released.recipe.size}x pixels, 2 threads"
    paper = Measured(
        "networks.paper",
        _steps_per_second(flow, shape, size, size),
        "steps/s",
        note="as published, untrained, 256x pixels, 2 threads",
    )
    return Measured("networks", small, "steps/s", 50, note=note, also=(paper,))


def _steps_per_second(flow: FlowNet, shape: ShapeNet, flow_size: int, size: int) -> float:
    bins = flow.config.in_channels
    events, flow_events = (
        torch.randn(1, bins, size, size),
        torch.randn(1, bins, flow_size, flow_size),
    )
    place = torch.zeros(1, 1, 4)
    state: ShapeNetState | None = None
    if shape.config.head == "increments":
        start = upright_rotations()[None], torch.tensor([[0.0, 0.0, 3.0]]), torch.zeros(1, 10)
        state = shape.start_state(*start)

    def step() -> None:
        found = flow_in_sides(flow, flow_events, size)
        shape(torch.cat([events, found], dim=1)[None], place, state)

    with torch.inference_mode():
        return 1.0 / median_wall_seconds(step, 21)
