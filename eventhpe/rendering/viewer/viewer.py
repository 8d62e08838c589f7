"""The viewer: a loop that shows the player's moment whenever it, or what is wanted, changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.events.undistortion import Undistortion
from eventhpe.rendering.errors import JointErrors
from eventhpe.rendering.moments import check_match
from eventhpe.rendering.overlay import TRUTH_COLOUR
from eventhpe.rendering.viewer.events import (
    METRES_A_SECOND,
    EventReader,
    Prepare,
    event_cloud,
)
from eventhpe.rendering.viewer.panel import Moment, Panel, Shown
from eventhpe.rendering.viewer.places import first_view, same_view, sight, surroundings
from eventhpe.rendering.viewer.player import Player, ticks_of
from eventhpe.rendering.viewer.poses import Pose, Poses
from eventhpe.rendering.viewer.scene import (
    BONES_COLOUR,
    CameraNode,
    CloudNode,
    Figure,
    Floor,
    set_world,
)
from eventhpe.rendering.viewer.server import LOOPBACK, start_server, stop_server
from eventhpe.sequence import ABSENT, MotionSequence
from eventhpe.world import world_of

if TYPE_CHECKING:
    import viser

_FRAME_S = 1 / 20
_PICTURE_M = 0.6  # how far before the camera its picture stands
_PICTURE_ROWS = 300  # at least; smaller sensors are enlarged without smoothing
_POINT_PX = 0.4  # half the side of an event's square
_BEHIND_M = 0.4  # the cloud's front is so far behind the person


class Viewer:
    """A motion in a browser; use as a context manager, and let `run` serve it.

    Args:
        motion: what is shown.
        body: the one that it belongs to.
        recording: its events; None shows none.
        other: a motion to compare with, at the same moments and of the same body.
        host, port: where the page is served; port 0 takes one that is free.

    Attributes:
        player: the moment shown.
        shown: what is to be seen of it.
        server: viser's, with the scene.
        note: what is to be said of the motion compared with; '' if nothing.

    Raises:
        InputError: the motion is empty, or not of this recording or body, or see `start_server`.
    """

    def __init__(
        self,
        motion: MotionSequence,
        body: Body,
        recording: Recording | None = None,
        other: MotionSequence | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 8080,
    ) -> None:
        if not len(motion):
            raise InputError("motion", "no steps", "at least one", "Infer over a longer stretch.")
        if recording is not None:
            check_match(motion, recording, body)
        self._motion, self._host = motion, host
        self.note = ""
        if other is not None and not same_view(motion, other):
            self.note = "not on these events: its camera has another focal length or centre"
        self.player, self.shown = Player(ticks_of(motion.t_us)), Shown()
        self._poses = Poses(motion, body, self.player.ticks)
        self._others = None if other is None else Poses(other, body, self.player.ticks)
        self._reader = None if recording is None else EventReader(recording, _prepare(motion))
        self._world = world_of(motion, body, "z")
        self._around = surroundings(motion, body, self._world)
        self.server = start_server(host, port)
        present = np.flatnonzero(motion.state != ABSENT)
        if len(present):  # the first steps of a recording are often without a person
            self.player.seek(float(motion.t_us[present[0]]) / 1e6)
        try:
            self._fill(body)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server.get_port()}"

    def run(self) -> None:
        """Show what the browsers ask for, until Ctrl-C."""
        while True:
            self.player.wait(_FRAME_S)
            self.player.advance(time.monotonic())
            self.draw()

    def draw(self) -> None:
        """Bring the scene and the panel's text to the player's moment."""
        player, shown = self.player, self.shown
        tick = player.tick
        pose = self._poses.at(tick)
        other = self._others.at(tick) if self._others else None
        visible = other if shown.other else None
        parts = {"mesh": shown.mesh, "skeleton": shown.skeleton, "joints": shown.joints}
        with self.server.atomic():
            self._figure.show(pose, **parts)
            self._other.show(visible, **parts)
            self._floor.show(visible=shown.floor)
            events, points = self._draw_events(int(player.ticks[tick]), [pose, visible])
            apart = JointErrors.of(pose.joints, other.joints) if pose and other else None
            now_s, end_s = (float(player.ticks[k]) / 1e6 for k in (tick, -1))
            self._panel.show(Moment(now_s, end_s, pose, apart, events, points))

    def close(self) -> None:
        """End the server."""
        stop_server(self.server)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, body: Body) -> None:
        scene, motion, around = self.server.scene, self._motion, self._around
        set_world(scene, self._world)
        self._figure = Figure(scene, "person", body.faces, None, BONES_COLOUR)
        self._other = Figure(scene, "other", body.faces, TRUTH_COLOUR, TRUTH_COLOUR)
        scale = -(-_PICTURE_ROWS // motion.height)
        self._camera = CameraNode(scene, sight(motion, _PICTURE_M), scale)
        self._cloud = CloudNode(scene)
        middle = self._world.points(np.median(around.pelvis, axis=0))
        self._floor = Floor(scene, around.floor, middle[:2], 20.0)
        self._panel = Panel(
            self.server,
            self.player,
            self.shown,
            self._about(),
            compared=self._others is not None,
            with_events=self._reader is not None,
            look=self._look_through,
        )
        view = self.server.initial_camera
        view.position, view.look_at = first_view(around, self._world)
        view.fov = np.radians(50)
        self.draw()

    def _draw_events(self, now_us: int, people: list[Pose | None]) -> tuple[int | None, int | None]:
        """`Moment.events` and `Moment.points`."""
        shown, reader = self.shown, self._reader
        if reader is None:
            self._camera.show(None, visible=shown.camera)
            return None, None
        half = shown.span_ms * 500
        events = reader.between(now_us - max(half, self._motion.window_us), now_us + half)
        window = events.between(now_us - self._motion.window_us, now_us)
        self._camera.show(window, visible=shown.camera)
        around = events.between(now_us - half, now_us + half)
        if not shown.cloud:
            self._cloud.show(None, 0.0)
            return len(around), None
        seen = [float(pose.joints[0, 2]) for pose in people if pose is not None]
        depth = max(seen, default=self._around.depth) + _BEHIND_M + METRES_A_SECOND * half / 1e6
        cloud = event_cloud(around, self._motion.K, now_us, depth)
        self._cloud.show(cloud, _POINT_PX * depth / float(self._motion.K[0, 0]))
        return len(around), len(cloud.points)

    def _look_through(self, client: viser.ClientHandle) -> None:
        """Put a browser's eye where the event camera is; heights in its picture then agree."""
        world, seen = self._world, sight(self._motion, 1.0)
        top, bottom = seen.corners[0], seen.corners[2]
        with client.atomic():
            client.camera.fov = float(np.arctan(bottom[1]) - np.arctan(top[1]))
            client.camera.up_direction = world.rotation @ (0.0, -1.0, 0.0)
            client.camera.position = world.offset
            client.camera.look_at = world.points(np.array([0.0, 0.0, self._around.depth]))

    def _about(self) -> list[tuple[str, str]]:
        motion, known = self._motion, self._around.floor_known
        lines = [
            ("up", motion.up_source),
            ("floor", "known" if known else "not known: under the feet"),
            ("poses", f"{len(motion)}, every {motion.step_us / 1000:g} ms"),
            ("body", motion.body_id),
            ("keys", "space: play or pause; J, L: a moment back or on"),
        ]
        if self._others is not None:
            lines.append(("yellow", "; ".join(filter(None, ["the motion compared", self.note]))))
        if self._reader is not None:
            lines.append(("events", "orange brighter, blue darker; the older, the further behind"))
        return lines


def _prepare(motion: MotionSequence) -> Prepare:
    """Events as the motion's camera would see them without its lens's bending."""
    lens = Undistortion(motion.camera) if motion.camera.bends else None

    def prepare(events: EventStream) -> EventStream:
        turned = motion.turn(events)
        return turned if lens is None else lens(turned)

    return prepare
