"""The viewer's panel and keys: what is to be seen, and the text about the moment shown."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventhpe.rendering.errors import JointErrors
from eventhpe.rendering.viewer.player import SPEEDS, Player
from eventhpe.rendering.viewer.poses import Pose
from eventhpe.sequence import STATE_NAMES

if TYPE_CHECKING:
    import viser

SPAN_MS = (20, 500)


@dataclass
class Shown:
    """What is to be seen of a moment, by the panel's check boxes and its slider.

    Attributes:
        mesh, skeleton, joints: of every person.
        other: the person compared with.
        cloud: the events in space and time, of ``span_ms`` around the moment.
        camera: the camera and its picture.
        floor: the grid.
    """

    mesh: bool = True
    skeleton: bool = False
    joints: bool = False
    other: bool = True
    cloud: bool = True
    camera: bool = True
    floor: bool = True
    span_ms: int = 200


@dataclass(frozen=True)
class Moment:
    """What is told of the moment shown.

    Attributes:
        time_s: seconds from the recording's origin.
        end_s: the last moment.
        pose: None where nobody is there.
        distance: to the person compared with, where both are there; None otherwise.
        events: in the span; None without a recording.
        points: how many of them are drawn; None where the cloud is not shown.
    """

    time_s: float
    end_s: float
    pose: Pose | None
    distance: JointErrors | None
    events: int | None
    points: int | None


def describe(moment: Moment, compared: bool) -> str:
    """The panel's lines about a moment, as HTML."""
    lines = [("time", f"{moment.time_s:.3f} of {moment.end_s:.3f} s")]
    pose = moment.pose
    if pose is None:
        lines.append(("person", STATE_NAMES[0]))
    else:
        lines.append(("person", f"{STATE_NAMES[pose.state]}, confidence {pose.confidence:.2f}"))
    if compared:
        apart = moment.distance
        lines += [
            ("MPJPE", f"{apart.mpjpe:.0f} mm" if apart else "–"),
            ("PEL-MPJPE", f"{apart.pel:.0f} mm" if apart else "–"),
        ]
    if moment.events is not None:
        drawn = f", {moment.points:,} drawn" if moment.points not in (None, moment.events) else ""
        lines.append(("events", f"{moment.events:,}{drawn}"))
    return _table(lines)


def _table(lines: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td style="opacity:0.65;padding-right:0.8em;vertical-align:top">{html.escape(name)}'
        f"</td><td>{html.escape(value)}</td></tr>"
        for name, value in lines
    )
    style = "font-size:0.85em;padding:0.2em 0.9em;font-variant-numeric:tabular-nums"
    return f'<table style="{style}">{rows}</table>'


class Panel:
    """The controls. They act on the player and on ``shown``, which the viewer's loop looks at.

    Args:
        server: on which the panel appears.
        player: what the time's controls steer.
        shown: what the check boxes and the span's slider set.
        about: names and values of what is the same at every moment.
        compared: whether there is a person to compare with.
        with_events: whether there is a recording.
        look: moves a client's eye to the event camera.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        player: Player,
        shown: Shown,
        about: list[tuple[str, str]],
        *,
        compared: bool,
        with_events: bool,
        look: Callable[[viser.ClientHandle], None],
    ) -> None:
        self._gui, self._player, self._shown = server.gui, player, shown
        self._compared, self._was_playing = compared, False
        server.gui.configure_theme(
            dark_mode=True, show_logo=False, show_share_button=False, control_width="medium"
        )
        server.gui.set_panel_label("EventHPE")
        self._text = self._gui.add_html("")
        self._add_time()
        with self._gui.add_folder("Show"):
            self._add_boxes(compared, with_events)
        button = self._gui.add_button("Look through the camera", hint="Its picture's height fits")

        @button.on_click
        def _(event: viser.GuiEvent[Any]) -> None:
            if event.client is not None:
                look(event.client)

        with self._gui.add_folder("About", expand_by_default=False):
            self._gui.add_html(_table(about))
        self._add_keys()

    def show(self, moment: Moment) -> None:
        """Tell of that moment; while time runs the slider follows it."""
        self._text.content = describe(moment, self._compared)
        playing = self._player.playing
        # Not while it is dragged: the hand is ahead of what is shown.
        if playing or self._was_playing:
            self._follow(moment.time_s)
        self._was_playing = playing
        self._play.label = "Pause" if playing else "Play"

    def _add_time(self) -> None:
        ticks = self._player.ticks
        first, last = float(ticks[0]) / 1e6, float(ticks[-1]) / 1e6
        # viser refuses a slider without extent.
        step = max((last - first) / max(len(ticks) - 1, 1), 1e-3)
        self._time = self._gui.add_slider(
            "time, s", first, max(last, first + 1e-3), round(step, 3), self._player.now_s
        )
        self._play = self._gui.add_button("Play", hint="Space bar")
        speed = self._gui.add_slider("speed", *SPEEDS, 0.1, self._player.speed)

        @self._time.on_update
        def _(event: viser.GuiEvent[Any]) -> None:
            if event.client is not None:  # or the viewer itself has moved the slider
                self._player.seek(self._time.value)

        @self._play.on_click
        def _(_event: viser.GuiEvent[Any]) -> None:
            self._player.toggle()

        @speed.on_update
        def _(_event: viser.GuiEvent[Any]) -> None:
            self._player.set_speed(speed.value)

    def _add_boxes(self, compared: bool, with_events: bool) -> None:
        boxes = [("mesh", "mesh"), ("skeleton", "skeleton"), ("joints", "joints")]
        if compared:
            boxes.append(("other", "compared"))
        if with_events:
            boxes.append(("cloud", "event cloud"))
        boxes += [("camera", "camera"), ("floor", "floor")]
        for field, label in boxes:
            self._add_box(field, label)
        if with_events:
            span = self._gui.add_slider("cloud, ms", *SPAN_MS, 10, self._shown.span_ms)

            @span.on_update
            def _(_event: viser.GuiEvent[Any]) -> None:
                self._shown.span_ms = span.value
                self._player.touch()

    def _add_box(self, field: str, label: str) -> None:
        box = self._gui.add_checkbox(label, getattr(self._shown, field))

        @box.on_update
        def _(_event: viser.GuiEvent[Any]) -> None:
            setattr(self._shown, field, box.value)
            self._player.touch()

    def _add_keys(self) -> None:
        # Not the arrows: the slider that was touched last takes them, too.
        play = self._gui.add_command("Play or pause", hotkey="space")
        back = self._gui.add_command("Back a moment", hotkey="J")
        on = self._gui.add_command("On a moment", hotkey="L")

        @play.on_trigger
        def _(_event: viser.CommandEvent) -> None:
            self._player.toggle()

        @back.on_trigger
        def _(_event: viser.CommandEvent) -> None:
            self._step(-1)

        @on.on_trigger
        def _(_event: viser.CommandEvent) -> None:
            self._step(1)

    def _step(self, ticks: int) -> None:
        self._player.step(ticks)
        self._follow(self._player.now_s)

    def _follow(self, seconds: float) -> None:
        # mypy takes viser's property for read-only: its setter is not next to it.
        self._time.value = seconds  # type: ignore[misc]
