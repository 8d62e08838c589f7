"""The contact sheet: a motion's moments in one picture."""

from pathlib import Path

import numpy as np
from PIL import Image

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.files import atomic_path
from eventhpe.rendering.moments import Orient, moments
from eventhpe.rendering.overlay import (
    Layout,
    draw_body,
    event_picture,
    write_text,
)
from eventhpe.sequence import MotionSequence

_COLUMNS = 4
_TILE_ROWS = 230
_GAP = 6


def contact_sheet(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    out_png: str | Path,
    count: int = 12,
    start_us: int | None = None,
    stop_us: int | None = None,
    *,
    orient: Orient | None = None,
    backend: str | None = None,
) -> str:
    """Write moments at even distances as a grid of overlays with labels, four in a row.

    Args:
        out_png: the picture, written atomically.
        count: moments at most; fewer where the motion has fewer steps.
        start_us, stop_us: only steps that end in [start_us, stop_us); None means no bound.
        orient, backend: as in `render_overlay`.

    Returns:
        The name of the backend that drew the meshes.

    Raises:
        InputError: no step in that span, or the motion is not of this recording and body.
        ValueError: ``count`` is not positive.
    """
    if count <= 0:
        raise ValueError(f"a contact sheet needs at least one moment, not {count}")
    steps = _choose(motion, count, start_us, stop_us)
    stream = moments(motion, recording, body, steps, orient)
    layout = Layout(motion.width, motion.height, rows=_TILE_ROWS)
    across, down = layout.panel[0] + _GAP, layout.panel[1] + layout.caption + _GAP
    columns = min(_COLUMNS, len(steps))
    rows = -(-len(steps) // columns)
    sheet = np.full((rows * down - _GAP, columns * across - _GAP, 3), 255, dtype=np.uint8)
    with layout.renderer(motion.K, backend) as renderer:
        for k, moment in enumerate(stream):
            row, column = divmod(k, columns)
            tile = sheet[row * down :, column * across :][: down - _GAP, : across - _GAP]
            panel = tile[layout.caption :]
            panel[:] = event_picture(moment.events, layout.scale)
            mesh = None if moment.vertices is None else (moment.vertices, body.faces)
            draw_body(panel, mesh, moment.label, layout, renderer)
            write_text(tile, moment.label.text, layout.caption)
        with atomic_path(out_png) as partial:
            Image.fromarray(sheet).save(partial, format="png")
        return renderer.backend


def _choose(motion: MotionSequence, count: int, start_us: int | None, stop_us: int | None) -> range:
    """Indices of at most ``count`` steps at one even distance within the span."""
    low = 0 if start_us is None else int(np.searchsorted(motion.t_us, start_us))
    high = len(motion.t_us) if stop_us is None else int(np.searchsorted(motion.t_us, stop_us))
    if low >= high:
        raise InputError(
            "motion",
            f"no step between {start_us} and {stop_us} us",
            "a span that holds at least one step",
            "Choose times within the motion.",
        )
    stride = max(1, (high - low - 1) // max(1, count - 1))
    return range(low, high, stride)[:count]
