"""The overlay's frames: the camera's picture, the person in the world, the flow, and the key."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.rendering.errors import JointErrors, draw_skeleton
from eventhpe.rendering.flow_view import FlowView, full_speed
from eventhpe.rendering.key import key_picture
from eventhpe.rendering.moments import Moment, Pose, as_seen
from eventhpe.rendering.overlay import (
    ALPHA,
    BACKGROUND,
    TRUTH_COLOUR,
    Figure,
    Layout,
    Picture,
    draw_figures,
    draw_region,
    estimate_figure,
    event_picture,
    write_text,
)
from eventhpe.rendering.world_views import WORLD_VIEWS, Extent, WorldView, shares
from eventhpe.sequence import ABSENT, HELD, STATE_NAMES, MotionSequence
from eventhpe.world import world_of

VIEWS = ("camera", "side", "top", "flow")
_CAPTION, _GAP, _NOTICE = 32, 6, 28
_LEAST_ROWS = 450
_SEPARATOR = (90,) * 3
_ERRORS = "MPJPE {} mm, hips aligned {} mm"
_NOTICES = {
    ABSENT: "ABSENT: nobody is seen",
    HELD: "HELD: nothing moves, the pose is kept",
}


@dataclass(frozen=True)
class Place:
    """A rectangle of the frame, pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, frame: Picture) -> Picture:
        """The part of a frame that it is."""
        return frame[self.y : self.y + self.height, self.x : self.x + self.width]


class Composer:
    """Draws frames; use as a context manager.

    Args:
        motion: all frames' poses; the views hold all of them.
        body: that of the motion.
        views: some of `VIEWS`, in any order.
        truth: as long as the motion.
        flownet: card of the network whose flow is shown.
        shown_us: the last so many microseconds of a moment's events are shown.
        note: stands at the end of each caption, such as the speed.
        backend: see `MeshRenderer`.

    Raises:
        InputError: an unknown view, a FlowNet of other windows, or a backend that does not work.
    """

    def __init__(
        self,
        motion: MotionSequence,
        body: Body,
        views: Sequence[str],
        *,
        truth: MotionSequence | None,
        flownet: Path,
        shown_us: int,
        note: str = "",
        backend: str | None = None,
    ) -> None:
        check_views(views)
        self._motion, self._body, self._truth = motion, body, truth
        self._shown_us, self._note = shown_us, note
        self._widest = ["0000.000 s", "00.00 M events/s", "tracked", "confidence 0.00"]
        if truth is not None:
            self._widest.append(_ERRORS.format("0000", "0000"))
        if note:
            self._widest.append(note)
        self._layout = Layout(motion.width, motion.height)
        joints = motion.joints(body)
        self._places = _arranged(views, self._layout.panel)
        self._canvas = _blank(self._places)
        self._renderer = self._layout.renderer(motion.K, backend)
        self._world_views = self._prepare_world(joints)
        self._flow: FlowView | None = None
        if "flow" in views:
            side = self._places["flow"].width
            self._flow = FlowView(flownet, motion, full_speed(joints, motion), side)
        key = self._places["key"]
        notes = _notes(motion) if self._world_views else []
        key.of(self._canvas)[:] = key_picture(
            (key.width, key.height), truth=truth is not None, notes=notes
        )

    @property
    def backend(self) -> str:
        """What draws the meshes."""
        return self._renderer.backend

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a frame, both even."""
        return self._canvas.shape[1], self._canvas.shape[0]

    def frame(self, step: int, moment: Moment, truth: Pose | None) -> Picture:
        """One frame, (height, width, 3).

        Args:
            step: index into the motion.
            moment: its events and pose.
            truth: the truth's pose at the same time, None where nobody is there.
        """
        frame = self._canvas.copy()
        errors = None
        if truth is not None and moment.pose is not None:
            errors = JointErrors.of(moment.pose.joints, truth.joints)
        if "camera" in self._places:
            self._draw_camera(self._places["camera"].of(frame), moment, truth, errors)
        figures = self._figures(
            None if moment.pose is None else moment.pose.vertices,
            moment.label.state,
            None if truth is None else truth.vertices,
        )
        for name, view in self._world_views.items():
            self._places[name].of(frame)[:] = view.draw(figures)
        if self._flow is not None:
            region = self._motion.region[step]
            flow = self._flow.draw(moment.events, moment.label.t_us, region)
            self._places["flow"].of(frame)[:] = flow
        write_text(frame, self._caption(moment, errors), _CAPTION, self._widest)
        return frame

    def _draw_camera(
        self, panel: Picture, moment: Moment, truth: Pose | None, errors: JointErrors | None
    ) -> None:
        label, layout = moment.label, self._layout
        shown = moment.events.between(label.t_us - self._shown_us, label.t_us)
        panel[:] = event_picture(shown, layout.scale)
        beside = None if truth is None else truth.seen
        figures = self._figures(moment.vertices, label.state, beside)
        if figures:
            draw_figures(panel, figures, self._renderer, ALPHA)
        draw_region(panel, label.region, layout.scale)
        if errors is not None and moment.pose is not None:
            motion = self._motion
            seen = as_seen(moment.pose.joints, motion.camera, motion.K).astype(np.float64)
            draw_skeleton(panel, project(seen, layout.intrinsics(motion.K)), errors)
        if label.state in _NOTICES:
            write_text(panel, _NOTICES[label.state], _NOTICE)

    def _figures(
        self,
        vertices: NDArray[np.float32] | None,
        state: int,
        truth: NDArray[np.float32] | None,
    ) -> list[Figure]:
        faces = self._body.faces
        estimate = estimate_figure(None if vertices is None else (vertices, faces), state)
        known = None if truth is None else Figure(truth, faces, TRUTH_COLOUR)
        return [figure for figure in (estimate, known) if figure is not None]

    def _caption(self, moment: Moment, errors: JointErrors | None) -> list[str]:
        label = moment.label
        shown = moment.events.between(label.t_us - self._shown_us, label.t_us)
        rate = len(shown) / (self._shown_us * 1e-6)
        texts = [
            f"{label.t_us / 1e6:.3f} s",
            f"{rate / 1e6:.2f} M events/s",
            STATE_NAMES[label.state],
            f"confidence {label.confidence:.2f}",
        ]
        if self._truth is not None:
            found = ("-", "-") if errors is None else (f"{errors.mpjpe:.0f}", f"{errors.pel:.0f}")
            texts.append(_ERRORS.format(*found))
        return [*texts, self._note] if self._note else texts

    def _prepare_world(self, joints: NDArray[np.floating]) -> dict[str, WorldView]:
        chosen = [view for view in WORLD_VIEWS if view in self._places]
        if not chosen:
            return {}
        world = world_of(self._motion, self._body)
        known = [joints[self._motion.state != ABSENT]]
        if self._truth is not None:
            known.append(self._truth.joints(self._body)[self._truth.state != ABSENT])
        extent = Extent.of(np.concatenate(known).reshape(-1, 3), world)
        first, last = self._places[chosen[0]], self._places[chosen[-1]]
        size = first.width, last.y + last.height - first.y
        y, views = first.y, {}
        for name, rows in zip(chosen, shares(extent, chosen, size), strict=True):
            self._places[name] = Place(first.x, y, first.width, rows)
            y += rows
            views[name] = WorldView(name, extent, world, self._motion, (first.width, rows))
        return views

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    def __enter__(self) -> "Composer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_views(views: Sequence[str]) -> None:
    """Refuse names that are none.

    Raises:
        InputError: an unknown view, or none at all.
    """
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        found = ", ".join(unknown) or "none"
        raise InputError("--views", found, f"some of {','.join(VIEWS)}", "Choose from these.")


def _arranged(views: Sequence[str], panel: tuple[int, int]) -> dict[str, Place]:
    """The camera's picture left, the world's views in the middle, flow and key right."""
    rows = max(panel[1], _LEAST_ROWS) if "camera" in views else _LEAST_ROWS
    places: dict[str, Place] = {}
    x, y = 0, _CAPTION
    if "camera" in views:
        places["camera"] = Place(0, y, *panel)
        x = panel[0] + _GAP
    world = [view for view in WORLD_VIEWS if view in views]
    for k, view in enumerate(world):
        edges = [rows * i // len(world) for i in (k, k + 1)]
        places[view] = Place(x, y + edges[0], rows, edges[1] - edges[0])
    x += rows + _GAP if world else 0
    side = rows // 2
    top = 0
    if "flow" in views:
        places["flow"] = Place(x, y, side, side)
        top = side + _GAP
    places["key"] = Place(x, y + top, side, rows - top)
    return places


def _blank(places: dict[str, Place]) -> Picture:
    """The empty frame; H.264 asks for even sides."""
    right = max(place.x + place.width for place in places.values())
    bottom = max(place.y + place.height for place in places.values())
    shape = (math.ceil(bottom / 2) * 2, math.ceil(right / 2) * 2, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for place in places.values():
        if place.x > 0:
            canvas[_CAPTION:, place.x - _GAP // 2] = _SEPARATOR
    return canvas


def _notes(motion: MotionSequence) -> list[str]:
    """What is known of the world, in words."""
    floor = "floor unknown" if np.isnan(motion.floor_m) else "thick line: floor"
    return [f"grid: 1 m; {floor}", f"up: {motion.up_source}"]
