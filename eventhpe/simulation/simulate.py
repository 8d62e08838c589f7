"""A whole recording: motion, rendering, sensor, and the truth beside the events, in one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import roma
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.simulation.frames import write_frames
from eventhpe.simulation.imaging import NEAR
from eventhpe.simulation.motion.performance import Motion, Plan, random_motion, single_motion
from eventhpe.simulation.motion.retargeting import ground_height
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.motion.takes import Take, place_on_stage
from eventhpe.simulation.renderer import PERIOD_US, Renderer
from eventhpe.simulation.scene.boxes import random_things
from eventhpe.simulation.scene.look import MeshSource, random_look
from eventhpe.simulation.scene.outfit import rest_shape
from eventhpe.simulation.scene.people import Person
from eventhpe.simulation.scene.scene import Scene
from eventhpe.simulation.scene.views import (
    Framing,
    View,
    dhp19_view,
    given_K,
    mmhpsd_view,
    random_view,
)
from eventhpe.simulation.scene.wardrobe import dress
from eventhpe.simulation.sensor import NO_SURFACE, SensorParameters
from eventhpe.simulation.sensors import SENSORS, SensorKind

SIMULATOR_VERSION = 3
Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

STILL_START, LEAVES = 0.2, 0.1
"""Shares of the procedural performances that begin with a pause, or leave the view and return."""
TAKE_SPEEDS = 0.9, 1.1


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate; None means drawn at random.

    Attributes:
        duration_s: length of the recording.
        sensor: a name in `eventhpe.simulation.sensors.SENSORS`.
        person: whether there is a person; without one other things move, or nothing.
        motion: a name in `eventhpe.simulation.motion.registry.MOTIONS` for the whole recording.
        take: a take of a motion file on the simulation's body, which the person follows instead.
        dhp19_camera: view it from one of DHP19's cameras; the sensor must be a DAVIS346.
        framing: how much of a standing person is in the image, where the camera is drawn.
        shadow, flicker: whether there is a cast shadow; a lamp on the mains.
        heading: radians the motion is turned about the vertical; 0 first faces away.
        person_seed: of the person's shape, so that one person can appear in several recordings.
        exact_focal: whether the focal length given to a network is the true one.
        parameters: the event camera.
    """

    duration_s: float = 16.0
    sensor: str | None = None
    person: bool = True
    motion: str | None = None
    take: Take | None = None
    dhp19_camera: bool = False
    framing: Framing = "whole"
    shadow: bool | None = None
    flicker: bool | None = None
    heading: float | None = None
    person_seed: tuple[int, ...] | None = None
    exact_focal: bool = False
    parameters: SensorParameters | None = None


def simulate(
    config: SimulationConfig, out: str | Path, seed: int | list[int], body: Body
) -> dict[str, object]:
    """Simulate one recording into a DSEC-layout file with its truth.

    Beside ``events`` the file has a group ``truth`` (see `eventhpe.simulation.truth`), and
    ``frames`` where the sensor has frames (see `eventhpe.simulation.frames`).
    The same configuration, seed and body give the same bytes on the same machine.

    Args:
        config: what is fixed; the rest is drawn.
        out: the HDF5 file, written atomically.
        seed: of every random choice.
        body: the body model.

    Returns:
        The description that is also stored as JSON in the attributes of ``truth``.

    Raises:
        InputError: ``out`` cannot be written, or the camera never sees the person.
    """
    rng = np.random.default_rng(seed)
    drawn = draw(rng, config, body)
    renderer = Renderer(drawn.scene, drawn.parameters, rng)
    samples = round(config.duration_s * RATE_HZ) + 1
    description = {"seed": seed, "simulator_version": SIMULATOR_VERSION, **describe(drawn, config)}
    view = drawn.scene.view
    with (
        atomic_path(out) as partial,
        DsecWriter(partial, view.width, view.height) as writer,
    ):
        description["num_events"] = write_events(writer, renderer, samples)
        if SENSORS[drawn.sensor_name].frames:
            write_frames(writer.file, drawn.scene, samples, seed)
        write_truth(writer.file, drawn, samples, body, description)
    return description


@dataclass(frozen=True)
class Drawn:
    """Everything about a recording but its events.

    Attributes:
        sensor_name, parameters: the event camera.
        scene: what it sees.
        person: who moves; None without a person.
        motions: what was performed, or the kind of things that move.
        K_given: (3, 3) intrinsics that a network is given.
    """

    sensor_name: str
    parameters: SensorParameters
    scene: Scene
    person: Person | None
    motions: tuple[str, ...]
    K_given: Array


def draw(rng: Rng, config: SimulationConfig, body: Body) -> Drawn:
    """Draw what the configuration leaves open.

    Raises:
        InputError: the camera never sees the person.
    """
    sensor = SENSORS[config.sensor or str(rng.choice(list(SENSORS)))]
    view = make_view(rng, config, sensor)
    parameters = config.parameters or sensor.draw(rng)
    person: Person | None = None
    source: MeshSource | None
    if config.person:
        source = person = make_person(rng, config, view, body)
        albedo, motions = person.outfit.albedo, person.motions
    else:
        samples = round(config.duration_s * RATE_HZ) + 1
        source, albedo, kind = random_things(rng, view, samples)
        motions = (kind,)
    look = random_look(rng, view, albedo, parameters.threshold_on, config.shadow, config.flicker)
    scene = Scene(view, look, source, random_blur(rng))
    K_given = view.K if config.exact_focal else given_K(rng, view.K)
    return Drawn(sensor.name, parameters, scene, person, motions, K_given)


def describe(drawn: Drawn, config: SimulationConfig) -> dict[str, object]:
    """What a table of recordings would show, as JSON can hold it."""
    scene, look = drawn.scene, drawn.scene.look
    return {
        "motion": list(drawn.motions),
        "take": config.take.name if config.take else None,
        "sensor_name": drawn.sensor_name,
        "sensor": asdict(drawn.parameters),
        "framing": config.framing,
        "camera_height_m": float(scene.view.centre[1]),
        "blur_px": scene.blur_px,
        "exposure": look.exposure,
        "ambient": look.ambient,
        "shadow": look.shadow is not None,
        "flicker": look.flicker is not None,
        "occluder": bool(look.room.occluder.any()),
        "clothes": list(drawn.person.outfit.names) if drawn.person else [],
    }


def make_view(rng: Rng, config: SimulationConfig, sensor: SensorKind) -> View:
    """One of DHP19's four cameras, MMHPSD's for a CeleX-V, or any."""
    if config.dhp19_camera:
        return dhp19_view(int(rng.integers(4)))
    if sensor.name == "celex5":
        return mmhpsd_view(rng)
    return random_view(rng, (sensor.width, sensor.height), config.framing)


def make_person(rng: Rng, config: SimulationConfig, view: View, body: Body) -> Person:
    """Somebody of random or given shape, dressed at random, in motion.

    Raises:
        InputError: the camera never sees the person.
    """
    shape = rng if config.person_seed is None else np.random.default_rng(config.person_seed)
    betas = np.clip(shape.normal(size=10), -2.5, 2.5)
    if config.take is not None and config.take.betas.any():
        betas = config.take.betas
    motion = make_motion(rng, config, view, body, betas)
    person = Person(body, betas, dress(rng, body, betas), motion, view)
    if not in_view(person.joints, view).any():
        raise InputError(
            ", ".join(motion.names),
            "a motion that the camera never sees",
            "one that stays before the camera for a moment",
            "Choose another seed, heading or framing.",
        )
    return person


def make_motion(rng: Rng, config: SimulationConfig, view: View, body: Body, betas: Array) -> Motion:
    """The motion of a person of shape ``betas``: from the take, of the kind asked for, or drawn."""
    if config.take is not None:
        take = config.take.mirrored() if rng.uniform() < 0.5 else config.take
        spare = max(0.0, take.duration_s - config.duration_s)
        motion = take.motion(rng.uniform(0, spare), config.duration_s, rng.uniform(*TAKE_SPEEDS))
        placed = place_on_stage(rng, motion, view.stage, config.heading)
        ground = ground_height(placed.rotations, placed.translation, body, betas)
        return Motion(placed.rotations, placed.translation - [0, ground, 0], placed.names)
    _, rest_joints = rest_shape(body, betas)
    if config.motion is not None:
        plan = Plan(heading=config.heading)
        return single_motion(
            rng, config.motion, config.duration_s, view.stage, plan, rest_joints=rest_joints
        )
    still, leaves = rng.uniform() < STILL_START, rng.uniform() < LEAVES
    plan = Plan(rng.uniform(1.0, 3.0) if still else 0.0, leaves, heading=config.heading)
    return random_motion(rng, config.duration_s, view.stage, plan, rest_joints=rest_joints)


def random_blur(rng: Rng) -> float:
    """Deviation of a lens's blur, pixels: 0.3 to 1.5, half of them below 0.55 (docs/realism.md)."""
    return float(0.3 * 5 ** (rng.uniform() ** 1.4))


def write_events(writer: DsecWriter, renderer: Renderer, samples: int) -> int:
    """Run the renderer into the file, surfaces beside the events; how many there were."""
    surfaces = writer.file.create_dataset(
        "truth/event_surface",
        shape=(0,),
        maxshape=(None,),
        chunks=(1 << 16,),
        dtype=np.uint16,
        compression=hdf5plugin.Blosc(cname="zstd", clevel=1),
    )
    for batch in renderer.batches(samples):
        writer.append(EventStream(batch.x, batch.y, batch.t, batch.p, writer.width, writer.height))
        surfaces.resize((writer.num_events,))
        if batch.surface is None:
            batch.surface = np.full(len(batch.t), NO_SURFACE)
        surfaces[writer.num_events - len(batch.t) :] = batch.surface
    return writer.num_events


def write_truth(
    file: h5py.File, drawn: Drawn, samples: int, body: Body, description: dict[str, object]
) -> None:
    """Fill the group ``truth``: SMPL parameters in the camera frame at 100 Hz, and the rest."""
    scene, person = drawn.scene, drawn.person
    group = file.require_group("truth")
    if person is None:
        vectors = np.zeros((samples, 24, 3), np.float32)
        transl, joints = np.zeros((samples, 3), np.float32), vectors
        betas = np.zeros(10, np.float32)
        inside = visible = np.zeros((samples, 24), bool)
    else:
        vectors = roma.rotmat_to_rotvec(torch.from_numpy(person.rotations)).numpy()
        transl, joints, betas = person.transl, person.joints, person.betas
        inside = in_view(joints, scene.view)
        visible = inside & ~behind_occluder(joints, scene)
        occluder = scene.look.room.occluder
        group.create_dataset("occluder", data=occluder, compression="gzip")
        for name, worn in person.outfit.to_arrays().items():
            group.create_dataset(f"outfit/{name}", data=worn, compression="gzip")
    arrays = {
        "t_us": np.arange(samples, dtype=np.int64) * round(PERIOD_US),
        "betas": betas,
        "global_orient": vectors[:, 0],
        "body_pose": vectors[:, 1:].reshape(samples, 69),
        "transl": transl,
        "joints": joints,
        "present": inside.any(axis=1),
        "visible": visible,
        "K": scene.view.K,
        "K_given": drawn.K_given,
    }
    for name, array in arrays.items():
        group[name] = array
    group.attrs["frame"] = "camera"
    group.attrs["body_id"] = body.body_id
    group.attrs["body_sha256"] = body.sha256
    group.attrs["description"] = json.dumps(description, sort_keys=True)


def pixels_of(joints: Float32, view: View) -> NDArray[np.float64]:
    """(..., 2) nearest whole pixels of camera-frame joints (..., 3); those behind are at -1."""
    safe = np.maximum(joints[..., 2:], NEAR)
    uv = np.rint((joints / safe) @ view.K.T)[..., :2]
    return np.where(joints[..., 2:] > NEAR, uv, -1.0)


def in_view(joints: Float32, view: View) -> NDArray[np.bool_]:
    """(M, 24) whether the camera-frame joints (M, 24, 3) project into the image."""
    uv = pixels_of(joints, view)
    return np.asarray(((uv >= 0) & (uv < [view.width, view.height])).all(axis=-1))


def behind_occluder(joints: Float32, scene: Scene) -> NDArray[np.bool_]:
    """(M, 24) whether something of the foreground hides the joints (M, 24, 3)."""
    view = scene.view
    u, v = np.clip(pixels_of(joints, view), 0, [view.width - 1, view.height - 1]).astype(int).T
    return np.asarray(scene.look.room.occluder[v, u].T)
