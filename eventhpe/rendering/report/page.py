"""The page: video, 3D player, plots, contact sheet and words in one file without a network."""

import base64
import hashlib
import json
import tempfile
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.files import atomic_path
from eventhpe.rendering.moments import check_match
from eventhpe.rendering.report.charts import charts_of
from eventhpe.rendering.report.facts import Rows, parameters_of, warnings_of
from eventhpe.rendering.report.player import packed, player_data
from eventhpe.rendering.report.plots import Plot, draw, draw_states
from eventhpe.rendering.report.scores import errors_of, score_rows
from eventhpe.rendering.report.survey import Survey, survey
from eventhpe.rendering.sheet import contact_sheet
from eventhpe.rendering.video import render_overlay
from eventhpe.sequence import STATE_NAMES, TRACKED, MotionSequence

_SCRIPTS = ("actor.js", "player.js", "page.js")
_TRUTH_SWITCH = '<label><input type="checkbox" id="truth" checked> truth</label>'
_KEY = '<span class="swatch tracked"></span>tracked <span class="swatch held"></span>held'
_TRUTH_KEY = '<span class="swatch truth"></span>truth'


def write_report(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    out: Path,
    *,
    truth: MotionSequence | None = None,
    backend: str | None = None,
    command: str = "",
    progress: bool = True,
) -> str:
    """Write the report of a motion as one HTML page, which needs neither network nor other files.

    Args:
        recording: what the motion was made from, as the file has it; ``motion.turned`` turns it.
        body: the one that the motion belongs to. Its mesh and skinning weights go into the page.
        out: the page, written atomically.
        truth: at the motion's moments, as `eventhpe.rendering.truth.load_truth` gives it.
        backend: see `MeshRenderer`.
        command: recorded in the page.
        progress: show bars on stderr.

    Returns:
        The name of the backend that drew the meshes.

    Raises:
        InputError: the motion is empty or not of this recording and body, no video writer is
            installed, or ``out`` cannot be written.
    """
    if not len(motion):
        raise InputError("motion", "no steps", "at least one", "Infer over a longer stretch.")
    check_match(motion, recording, body)
    events = survey(motion, recording, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        video, sheet = Path(folder) / "overlay.mp4", Path(folder) / "sheet.png"
        drawn_by = render_overlay(
            motion,
            recording,
            body,
            video,
            views=("camera",),  # the player shows the world
            truth=truth,
            backend=backend,
            progress=progress,
        )
        contact_sheet(motion, recording, body, sheet, backend=drawn_by)
        video_url, sheet_url = _data_url(video, "video/mp4"), _data_url(sheet, "image/png")
    parts = _written(motion, recording, body, events, truth, command)
    page = Template(_asset("page.html")).substitute(
        parts | {"video": video_url, "sheet": sheet_url}
    )
    with atomic_path(out) as partial:
        # File names need not be text: what is none is shown as a question mark.
        partial.write_text(page, encoding="utf-8", errors="replace")
    return drawn_by


def _written(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    events: Survey,
    truth: MotionSequence | None,
    command: str,
) -> dict[str, str]:
    """The page's parts but for its pictures."""
    first, last = motion.t_us[0] * 1e-6, motion.t_us[-1] * 1e-6
    # A single step is no stretch of time: it is shown for as long as it stands.
    span = (float(first), float(max(last, first + motion.step_us * 1e-6)))
    errors = None if truth is None else errors_of(motion, truth, body)
    plots = charts_of(motion, body, events, truth, errors)
    player = player_data(motion, body, truth)
    style = _asset("page.css")
    scripts = [_asset(name) for name in _SCRIPTS]
    bands = draw_states(motion.state, motion.t_us * 1e-6, span)
    drawn = [draw(plot, index, span) for index, plot in enumerate(plots)]
    mean, most = player.pop("deviation_mm")
    skinned = (
        "3D player",
        f"without pose blend shapes: its surface is off by {mean:.1f} mm in the mean, "
        f"{most:.0f} mm at most",
    )
    return {
        "policy": _policy(style, scripts),
        "title": escape(f"EventHPE: {recording.path.name}"),
        "summary": escape(_summary(motion, recording)),
        "warnings": _warnings(warnings_of(motion, events)),
        "style": style,
        "scripts": "".join(f"<script>{script}</script>\n" for script in scripts),
        "truth_switch": "" if truth is None else _TRUTH_SWITCH,
        "key": _KEY + ("" if truth is None else _TRUTH_KEY),
        "plot_note": "" if truth is None else "The truth is dashed.",
        "trust": drawn[0] + bands,  # beside the player: how far to trust what it shows
        "plots": "".join(drawn[1:]),
        "scores": "" if errors is None else _scores(score_rows(errors), len(errors.t_us)),
        "parameters": _table([*parameters_of(motion, recording, body, events, command), skinned]),
        "data": _json(_data(motion, span, plots, player)),
    }


def _data(
    motion: MotionSequence, span: tuple[float, float], plots: list[Plot], player: dict[str, Any]
) -> dict[str, Any]:
    """What the page's scripts work on."""
    return {
        "first_s": span[0],
        "last_s": span[1],
        "step_s": motion.step_us * 1e-6,
        "player": player,
        "plots": [
            {
                "seconds": packed(plot.seconds, "f4"),
                "curves": [packed(curve.values, "f4") for curve in plot.curves],
                "digits": plot.digits,
            }
            for plot in plots
        ],
    }


def _summary(motion: MotionSequence, recording: Recording) -> str:
    tracked = float((motion.state == TRACKED).mean())
    seconds = (motion.t_us[-1] - motion.t_us[0]) * 1e-6
    return (
        f"{recording.width} x {recording.height} pixels ({recording.format}), {seconds:.2f} s, "
        f"{len(motion)} steps of {motion.step_us / 1000:g} ms, {tracked:.0%} of them "
        f"{STATE_NAMES[TRACKED]}"
    )


def _warnings(lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div class='warnings'><strong>Warnings</strong><ul>{items}</ul></div>"


def _scores(rows: list[tuple[str, str, str]], steps: int) -> str:
    body = "".join(
        f"<tr><th scope='row'>{escape(title)}</th><td class='figure'>{escape(figure)}</td>"
        f"<td>{escape(alignment)}</td></tr>"
        for title, figure, alignment in rows
    )
    return (
        "<section><h2>Against the truth</h2><p class='note'>Means over "
        f"{steps} steps with a person; 24 joints; PVE every fifth step.</p><table><thead><tr>"
        "<th scope='col'>measure</th><th scope='col'>mean</th><th scope='col'>alignment</th></tr>"
        f"</thead><tbody>{body}</tbody></table></section>"
    )


def _table(rows: Rows) -> str:
    return "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows
    )


def _json(data: dict[str, Any]) -> str:
    # Inside of a script element only "<" could end it.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _policy(style: str, scripts: list[str]) -> str:
    """A Content-Security-Policy: nothing but what the page itself holds, and no network at all."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = " ".join(digest(script) for script in scripts)
    return (
        f"default-src 'none'; img-src data:; media-src data:; style-src {digest(style)}; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
