"""Hold simulated recordings against a real one: a table of statistics and a picture.

``python -m scripts.realism --walker REAL`` simulates the DVS128 recording of a person who walks
away from the camera, ``--turning REAL`` the DVXplorer's of a head and shoulders that turn. Each is
made several times, with another person, dress, gait, light and room every time, by one camera in
the middle of its kind's ranges (docs/realism.md says what those ranges know of the recordings).
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.rendering.overlay import BACKGROUND, event_picture, write_text
from eventhpe.simulation.motion.performance import Motion, perform
from eventhpe.simulation.motion.posing import posture
from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.motion.stage import Stage
from eventhpe.simulation.realism import WINDOW_US, frame_statistics, stream_statistics
from eventhpe.simulation.renderer import Renderer
from eventhpe.simulation.scene.look import random_look
from eventhpe.simulation.scene.outfit import rest_shape
from eventhpe.simulation.scene.people import Person
from eventhpe.simulation.scene.scene import Scene
from eventhpe.simulation.scene.views import WORLD_TO_LEVEL_CAMERA, View, edge_of, intrinsics
from eventhpe.simulation.scene.wardrobe import dress
from eventhpe.simulation.sensor import SensorParameters
from eventhpe.simulation.sensors import SENSORS

Rng = np.random.Generator
Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

COUNTS = (1000, 3000)
MOMENTS = 7
CAPTION = 22
SEEDS = 6
TYPICAL_DRAWS = 201
LENS_BLUR_PX = 0.55
"""The median of `eventhpe.simulation.simulate.random_blur`."""

# The real hair line moves by 17 px one way and back in 0.9 s, some 60 px from the neck's axis:
# 0.3 rad, at most 1.2 rad/s.
TURNING_PERIOD_S, TURNING_RAD_S = 0.9, (0.6, 1.2)


class Match(NamedTuple):
    """How a real recording is simulated: through a level camera of its sensor's kind.

    Attributes:
        sensor: a name in `SENSORS`.
        focal: pixels.
        horizon: row of the horizon.
        camera_m: its height.
        near_m, far_m: the person is that far away, and starts at the nearer end.
        motion: of (rng, seconds, stage, rest joints (24, 3)).
        span_us: what of the real recording is used; all when None.
    """

    sensor: str
    focal: float
    horizon: float
    camera_m: float
    near_m: float
    far_m: float
    motion: Callable[[Rng, float, Stage, Array], Motion]
    span_us: tuple[int, int] | None


def walk_away(rng: Rng, seconds: float, stage: Stage, rest_joints: Array) -> Motion:
    """A walk straight away from the camera, starting where the real one does."""
    # On a long and narrow stage the goal lies straight ahead and is not reached.
    lane = Stage(stage.near, stage.near + 1000.0, 0.0, stage.edge)
    segment = MOTIONS["walk"].make(rng, seconds + 1.5 / RATE_HZ)
    walk = perform(rng, segment, lane, ("walk",), 0.0, rest_joints=rest_joints)
    path = walk.translation - walk.translation[0] * [1, 0, 1] + [0, 0, stage.near]
    return Motion(walk.rotations, path, walk.names)


def turn(rng: Rng, seconds: float, stage: Stage, rest_joints: Array) -> Motion:
    """Standing more or less towards the camera, the whole body turning to and fro."""
    segment = posture(rng, seconds + 1.5 / RATE_HZ)
    angle = 2 * np.pi * np.arange(len(segment)) / (TURNING_PERIOD_S * RATE_HZ)
    segment.turn += rng.uniform(*TURNING_RAD_S) * np.sin(angle + rng.uniform(0, 2 * np.pi))
    yaw = np.pi + rng.normal(0, 0.5)
    return perform(rng, segment, stage, ("turn",), yaw, rest_joints=rest_joints)


MATCHES = {
    # Measured: 115 px tall (rows 7 to 121) at 0.8 s, 75 px (rows 29 to 104) at 2.5 s. That is a
    # 12 mm lens on 40 um pixels.
    "walker": Match("dvs128", 300.0, 70.0, 0.79, 4.5, 8.0, walk_away, (800_000, 3_000_000)),
    # Measured: the head is 115 px tall, its top in row 25. Of focal length and distance only the
    # ratio is known.
    "turning": Match("dvxplorer", 600.0, 119.5, 1.52, 1.24, 1.26, turn, None),
}


def view_of(match: Match) -> View:
    """The camera that saw a real recording."""
    kind = SENSORS[match.sensor]
    K = intrinsics(match.focal, (kind.width - 1) / 2, match.horizon)
    stage = Stage(match.near_m, match.far_m, 0.05, edge_of(K, kind.width))
    centre = np.array([0.0, match.camera_m, 0.0])
    return View(kind.width, kind.height, K, WORLD_TO_LEVEL_CAMERA, centre, stage)


def typical(name: str) -> SensorParameters:
    """A camera in the middle of its kind's ranges: each characteristic's median over draws."""
    rng = np.random.default_rng(0)
    draws = [SENSORS[name].draw(rng) for _ in range(TYPICAL_DRAWS)]
    # An odd number of draws: the median is one of them, so whole numbers stay whole.
    middle = {
        field.name: np.median([getattr(draw, field.name) for draw in draws]).item()
        for field in fields(SensorParameters)
    }
    whole = {name: int(middle[name]) for name in ("hot_pixels", "timestamp_us")}
    return SensorParameters(**{**middle, **whole})


def simulate_match(match: Match, seed: int, seconds: float) -> EventStream:
    """The events of one person, drawn by ``seed``, in the scene of a real recording."""
    rng, body, parameters = np.random.default_rng(seed), load_body(), typical(match.sensor)
    view = view_of(match)
    betas = np.clip(rng.normal(size=10), -2.5, 2.5)
    outfit = dress(rng, body, betas)
    motion = match.motion(rng, seconds, view.stage, rest_shape(body, betas)[1])
    person = Person(body, betas, outfit, motion, view)
    look = random_look(rng, view, outfit.albedo, parameters.threshold_on, flicker=False)
    renderer = Renderer(Scene(view, look, person, LENS_BLUR_PX), parameters, rng)
    batches = list(renderer.batches(round(seconds * RATE_HZ) + 1))
    x, y, t, p = (np.concatenate([getattr(b, name) for b in batches]) for name in "xytp")
    return EventStream(x, y, t, p, view.width, view.height)


def measures(events: EventStream, counts: Sequence[int]) -> dict[str, float]:
    """Every statistic by its caption; those of frames that the stream does not fill are left out.

    Raises:
        ValueError: the stream is shorter than one window.
    """
    s = stream_statistics(events, int(events.t[0]), int(events.t[-1]) + 1)
    found = {
        "events/s": s.events_per_s,
        "moving pixels (of 50 ms)": s.moving_pixels,
        "events/s and moving pixel": s.moving_pixel_hz,
        "share of ON events": s.on_share,
        "interval of a pixel's events, median, ms": s.interval_us[1] / 1e3,
        "intervals < 1 ms, share": s.intervals_1ms,
        "intervals < 10 ms, share": s.intervals_10ms,
        "repeated within 10 us, share": s.doubles,
        "OFF, then ON within 3 ms, share": s.off_rebound,
        "ON, then OFF within 3 ms, share": s.on_rebound,
        "isolated events, share": s.isolated,
        "noise floor, Hz/pixel": s.noise_hz,
        "noise floor, share of ON": s.noise_on_share,
        "noise floor, dispersion (Poisson: 1)": s.noise_dispersion,
        "swing of the rate": s.rate_variation,
    }
    for count in (count for count in counts if count <= len(events)):
        f = frame_statistics(events, count)
        found[f"{count:,} events: milliseconds"] = f.milliseconds
        found[f"{count:,} events: active pixels, share"] = f.active
        found[f"{count:,} events: thickness, px"] = f.thickness
        found[f"{count:,} events: pixels of both polarities, share"] = f.mixed
    return found


def table(real: EventStream, simulated: Sequence[EventStream], counts: Sequence[int]) -> str:
    """A Markdown table: statistic, real, mean and range of the simulated ones, mean over real.

    Raises:
        ValueError: a stream is shorter than one window.
    """
    lines = ["| statistic | real | simulated, mean | range | ratio |", "|---|---|---|---|---|"]
    columns = [measures(events, counts) for events in simulated]
    for name, wanted in measures(real, counts).items():
        values = [column[name] for column in columns if name in column]
        if not values:
            continue
        mean = float(np.mean(values))
        defined = math.isfinite(mean) and math.isfinite(wanted) and wanted != 0
        ratio = f"{mean / wanted:.2f}" if defined else "-"
        ends = f"{min(values):.3g} to {max(values):.3g}"
        lines.append(f"| {name} | {wanted:.3g} | {mean:.3g} | {ends} | {ratio} |")
    return "\n".join(lines)


def picture(streams: dict[str, EventStream], counts: Sequence[int]) -> Picture:
    """Rows of `MOMENTS` frames of equal counts, one row a count and stream, evenly over time."""
    rows: list[Picture] = []
    for count in counts:
        for name, events in streams.items():
            tiles = []
            for t in np.linspace(int(events.t[0]), int(events.t[-1]), MOMENTS + 1)[1:]:
                stop = max(int(np.searchsorted(events.t, t, side="right")), min(count, len(events)))
                frame = events.slice(max(0, stop - count), stop)
                tiles.append(event_picture(frame, max(1, 256 // events.height)))
            rows += captioned(f"{name}: {count:,} events a frame", tiles)
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    )


def captioned(text: str, tiles: Sequence[Picture]) -> list[Picture]:
    """A caption and, below it, the pictures side by side."""
    strip = np.concatenate(tiles, axis=1)
    caption = np.full((CAPTION, strip.shape[1], 3), BACKGROUND, np.uint8)
    write_text(caption, text, CAPTION)
    return [caption, strip]


def compare(name: str, real_path: Path, seeds: int, to: Path) -> str:
    """Simulate the match of a real recording, draw it into the folder ``to``; the table.

    Raises:
        InputError: another sensor's recording, or one shorter than two windows; no seeds.
    """
    match = MATCHES[name]
    real = open_recording(real_path).read(*(match.span_us or (None, None)))
    size = SENSORS[match.sensor].width, SENSORS[match.sensor].height
    remedy = f"Give the recording that --{name} is about."
    if (real.width, real.height) != size:
        wanted = f"{size[0]}x{size[1]}, as {match.sensor} has"
        raise InputError(real_path, f"{real.width}x{real.height} pixels", wanted, remedy)
    windows = (int(real.t[-1] - real.t[0]) if len(real) else 0) // WINDOW_US + 1
    if windows < 2:
        raise InputError(real_path, f"{len(real):,} events in no time", "100 ms of events", remedy)
    if seeds < 1:
        raise InputError("--seeds", str(seeds), "1 or more", "Mend it.")
    seconds = windows * WINDOW_US * 1e-6
    simulated = [simulate_match(match, seed, seconds) for seed in range(seeds)]
    text = table(real, simulated, COUNTS)
    shown = {"real": real} | {f"simulated, seed {i}": e for i, e in enumerate(simulated[:2])}
    save(picture(shown, COUNTS), to / f"{name}.png")
    return text


def save(image: Picture, path: Path) -> None:
    """Write a PNG."""
    with atomic_path(path) as partial:
        Image.fromarray(image).save(partial, format="png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--walker", type=Path, metavar="REAL", help="the DVS128 recording")
    what.add_argument("--turning", type=Path, metavar="REAL", help="the DVXplorer recording")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="persons simulated")
    parser.add_argument("--out", type=Path, default=Path("out/realism"), help="for the picture")
    options = parser.parse_args()
    try:
        for name in MATCHES:
            if real := getattr(options, name):
                print(compare(name, real, options.seeds, options.out))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
