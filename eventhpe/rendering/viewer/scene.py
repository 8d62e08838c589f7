"""What stands in the viewer's scene: a person, the camera with its picture, the cloud, the floor.

Everything but the floor hangs below one node that carries the camera's frame (x right, y down, z
forward) into the world (z up, the floor at height 0), and so is given in the camera's frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.joints import PARENTS
from eventhpe.events.stream import EventStream
from eventhpe.rendering.overlay import (
    POLARITY_COLOURS,
    STATE_COLOURS,
    Colour,
    Picture,
    event_picture,
)
from eventhpe.rendering.viewer.events import Cloud
from eventhpe.rendering.viewer.places import Sight
from eventhpe.rendering.viewer.poses import Pose
from eventhpe.sequence import STATE_NAMES
from eventhpe.world import World

if TYPE_CHECKING:
    import viser

BONES_COLOUR: Colour = (235, 235, 235)
_CAMERA = "/camera"
_LINES: Colour = (150, 150, 150)
_BONES = np.array([(parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0])
_SEEN_THROUGH = 0.45  # opacity of a mesh whose bones are shown
_VEIL = 90  # of 255, opacity of the picture where there was no event


def set_world(scene: viser.SceneApi, world: World) -> None:
    """Have z point up, and hang the camera's frame into the world (which has z up, too)."""
    from viser.transforms import SO3

    scene.set_up_direction("+z")
    turn = SO3.from_matrix(world.rotation).wxyz
    scene.add_frame(_CAMERA, show_axes=False, wxyz=turn, position=world.offset)


class Figure:
    """A person: a mesh, and its bones and joints.

    Args:
        name: of its nodes, unlike any other's.
        faces: (F, 3) of the body.
        colour: of the mesh; None: that of the state.
        bones: colour of the skeleton.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        name: str,
        faces: NDArray[np.int32],
        colour: Colour | None,
        bones: Colour,
    ) -> None:
        self._scene, self._name, self._faces, self._colour = scene, name, faces, colour
        self._bones = bones
        self._mesh: viser.MeshHandle | None = None
        self._lines: viser.LineSegmentsHandle | None = None
        self._points: viser.PointCloudHandle | None = None

    def show(self, pose: Pose | None, *, mesh: bool, skeleton: bool, joints: bool) -> None:
        """Put the person into that pose, and show what is asked for; nothing of None."""
        if pose is not None:
            self._show_mesh(pose, mesh, _SEEN_THROUGH if skeleton or joints else None)
            self._show_bones(pose, skeleton, joints)
            return
        for node in (self._mesh, self._lines, self._points):
            if node is not None:
                node.visible = False

    def _show_mesh(self, pose: Pose, visible: bool, opacity: float | None) -> None:
        colour = self._colour or STATE_COLOURS[STATE_NAMES[pose.state]]
        if self._mesh is None:
            name = f"{_CAMERA}/{self._name}/mesh"
            self._mesh = self._scene.add_mesh_simple(name, pose.vertices, self._faces)
        self._mesh.visible = visible
        if visible:
            self._mesh.vertices = pose.vertices
            self._mesh.color, self._mesh.opacity = colour, opacity

    def _show_bones(self, pose: Pose, skeleton: bool, joints: bool) -> None:
        lines = pose.joints[_BONES]
        if self._lines is None or self._points is None:
            name = f"{_CAMERA}/{self._name}"
            self._lines = self._scene.add_line_segments(
                f"{name}/skeleton", lines, self._bones, thickness=0.02
            )
            self._points = self._scene.add_point_cloud(
                f"{name}/joints",
                pose.joints,
                self._bones,
                point_size=0.025,
                point_shape="circle",
                precision="float32",
            )
        self._lines.visible, self._points.visible = skeleton, joints
        if skeleton:
            self._lines.points = lines
        if joints:
            self._points.points = pose.joints


class CameraNode:
    """The event camera: four rays to the corners of its picture, and the picture.

    Args:
        sight: where the picture stands.
        scale: how many times the picture is enlarged, without smoothing.
    """

    def __init__(self, scene: viser.SceneApi, sight: Sight, scale: int) -> None:
        self._scene, self._sight, self._scale = scene, sight, scale
        self._picture: viser.ImageHandle | None = None
        lines = np.concatenate([sight.rays, sight.outline])
        self._frustum = scene.add_line_segments(
            f"{_CAMERA}/frustum", lines, _LINES, thickness=2.0, thickness_units="screen"
        )

    def show(self, events: EventStream | None, *, visible: bool) -> None:
        """Show the events as a picture; without events only the camera."""
        self._frustum.visible = visible
        if events is not None and visible:
            picture = _see_through(events, self._scale)
            if self._picture is None:
                self._picture = self._scene.add_image(
                    f"{_CAMERA}/picture",
                    picture,
                    *self._sight.size,
                    position=self._sight.centre,
                    cast_shadow=False,
                    receive_shadow=False,
                )
            else:
                self._picture.image = picture
        if self._picture is not None:
            self._picture.visible = visible and events is not None


def _see_through(events: EventStream, scale: int) -> Picture:
    """The events' picture (H scale, W scale, 4), a veil where there is none: one sees through."""
    picture = np.full((events.height, events.width, 4), _VEIL, dtype=np.uint8)
    picture[..., :3] = event_picture(events)
    picture[events.y, events.x, 3] = 255
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


class CloudNode:
    """The events around the moment shown as points."""

    def __init__(self, scene: viser.SceneApi) -> None:
        self._scene = scene
        self._points: viser.PointCloudHandle | None = None

    def show(self, cloud: Cloud | None, point_m: float) -> None:
        """Show a cloud, each point a square of half that side in metres; nothing of None."""
        if cloud is not None and len(cloud.points):
            colours = POLARITY_COLOURS[cloud.polarity]
            if self._points is None:
                self._points = self._scene.add_point_cloud(
                    f"{_CAMERA}/events",
                    cloud.points,
                    colours,
                    precision="float32",
                    point_shading="flat",
                )
            self._points.points, self._points.colors = cloud.points, colours
            self._points.point_size = point_m
        if self._points is not None:
            self._points.visible = cloud is not None and len(cloud.points) > 0


class Floor:
    """A grid of metres.

    Args:
        height: metres.
        centre: (2,) where it is, metres.
    """

    def __init__(
        self, scene: viser.SceneApi, height: float, centre: NDArray[np.float64], side: float
    ) -> None:
        self._grid = scene.add_grid(
            "/floor",
            side,
            side,
            plane="xy",
            cell_color=(50, 50, 50),
            section_color=(90, 90, 90),
            cell_size=0.5,
            section_size=1.0,
            position=(float(centre[0]), float(centre[1]), height),
        )

    def show(self, *, visible: bool) -> None:
        """Show it, or do not."""
        self._grid.visible = visible
