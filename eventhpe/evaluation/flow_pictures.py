"""Pictures of optical flow: every method's flow beside the truth, and what it does to events."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from datasets.prepared import PreparedRecording
from eventhpe.evaluation.flow import TruePixels, event_truth, surface_truth
from eventhpe.evaluation.flow_methods import FlowMethod, FlowWindow
from eventhpe.evaluation.focus import CONSTANT, RegionEvents, best_constant_flow
from eventhpe.files import atomic_path
from eventhpe.rendering.overlay import BACKGROUND, Picture, event_picture, write_text
from flownet.colours import flow_to_colour, wheel
from flownet.warping import splat

TILE, CAPTION, GAP, COLUMNS = 320, 22, 4, 4
FULL_COLOUR_PERCENTILE = 95.0  # of the true flow's lengths
WHITE_PERCENTILE = 99.5  # of the counts of events as they came


def flow_picture(
    recording: PreparedRecording, methods: Sequence[FlowMethod], window: FlowWindow
) -> Picture:
    """The window's region as a sheet of tiles: events, true flow of the surfaces that fired, flow
    of the body seen at the start, each method's flow at the event pixels, and the colour wheel.

    Returns:
        (height, width, 3) uint8. Full colour is the 95th percentile of the true event flow's
        length, at least a pixel; the wheel's caption says it.
    """
    fired, seen = event_truth(recording, window), surface_truth(recording, window)
    speeds = np.linalg.norm(fired.flow, axis=1)
    full = max(1.0, float(np.percentile(speeds, FULL_COLOUR_PERCENTILE)) if len(speeds) else 0.0)
    flows = {"truth: surface that fired": fired, "truth: seen at the start": seen}
    for method in methods:
        flow = method.at(window, fired.pixels)
        error = float(np.linalg.norm(flow - fired.flow, axis=1).mean()) if len(flow) else 0.0
        flows[f"{method.name}: AEE {error:.1f} px"] = TruePixels(fired.pixels, flow)
    x0, y0, x1, y1 = window.whole_pixels()
    title = f"{recording.path.stem}, {window.t0 / 1e6:.2f} s: {len(window.events):,} events"
    tiles = [_tile(title, event_picture(window.events)[y0:y1, x0:x1])]
    tiles += [_tile(name, _painted(flow, window, full)) for name, flow in flows.items()]
    tiles.append(_tile(f"full colour: {full:.1f} px a window", _bytes(wheel(TILE))))
    return sheet(tiles)


def focus_picture(methods: Sequence[FlowMethod], window: FlowWindow) -> Picture:
    """The window's region as a sheet of images of events: as they came, and carried to the
    window's middle along each method's flow and along the best constant flow.

    All have one scale of grey, and their contrast over that of the first as title.
    """
    events = RegionEvents.of(window)
    zero = np.zeros(2, np.float32)
    flows = {"no motion": zero}
    flows |= {method.name: method.at(window, events.pixels) for method in methods}
    flows[CONSTANT] = best_constant_flow(events)
    images = {name: _image(events.warped(flow), window) for name, flow in flows.items()}
    white = max(1.0, float(np.percentile(images["no motion"], WHITE_PERCENTILE)))
    still = events.contrast(zero)
    tiles = []
    for name, image in images.items():
        grey = np.minimum(255 * image / white, 255).astype(np.uint8)
        title = f"{name}: {events.contrast(flows[name]) / still:.2f}"
        tiles.append(_tile(title, np.repeat(grey[..., None], 3, axis=2)))
    return sheet(tiles)


def sheet(tiles: Sequence[Picture]) -> Picture:
    """Tiles of one size, four in a row."""
    height, width = tiles[0].shape[:2]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    picture = np.full(shape, BACKGROUND, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        picture[top : top + height, left : left + width] = tile
    return picture


def write_png(picture: Picture, path: Path) -> None:
    """Write a picture atomically."""
    with atomic_path(path) as partial:
        Image.fromarray(picture).save(partial, "PNG")


def _tile(title: str, content: Picture) -> Picture:
    """The content, as large as fits, under its title."""
    height, width = content.shape[:2]
    scale = TILE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Growing without smoothing shows the sensor's pixels; shrinking by area loses no lone pixel.
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    tile = np.full((CAPTION + TILE, TILE, 3), BACKGROUND, np.uint8)
    tile[CAPTION : CAPTION + size[1], : size[0]] = np.asarray(
        Image.fromarray(content).resize(size, how)
    )
    write_text(tile, title, CAPTION)
    return tile


def _image(points: NDArray[np.float32], window: FlowWindow) -> NDArray[np.float32]:
    """Bilinear counts of points (N, 2) over the region's whole pixels."""
    x0, y0, x1, y1 = window.whole_pixels()
    x, y = torch.from_numpy(points - np.array([x0, y0], np.float32)).T[:, None]
    layer = torch.zeros(x.shape, dtype=torch.int64)
    return splat(x, y, torch.ones(1, *x.shape), layer, (1, y1 - y0, x1 - x0))[0, 0, 0].numpy()


def _painted(known: TruePixels, window: FlowWindow, full: float) -> Picture:
    """Flow at pixels as colours over the region's whole pixels."""
    x0, y0, x1, y1 = window.whole_pixels()
    flow: NDArray[np.float32] = np.full((2, y1 - y0, x1 - x0), np.nan, np.float32)
    x, y = known.pixels.astype(np.int64).T
    flow[:, y - y0, x - x0] = known.flow.T
    return _bytes(flow_to_colour(torch.from_numpy(flow), full))


def _bytes(colours: torch.Tensor) -> Picture:
    """(3, H, W) in 0..1 as a picture (H, W, 3)."""
    return (255 * colours).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
