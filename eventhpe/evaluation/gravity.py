"""How well up and the floor are found in recordings whose camera is known."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.folders import recording_paths
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.evaluation.pose_rows import STEP_US, Entrant
from eventhpe.evaluation.pose_set import SetRecording, motion_of_takes, take_steps
from eventhpe.gravity import angles_of_up, settle, sole_heights
from eventhpe.refinement import refine
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence
from eventhpe.simulation.scene.views import View, upward
from eventhpe.simulation.sensors import SENSORS
from eventhpe.simulation.simulate import SimulationConfig, make_view
from eventhpe.simulation.truth import SimulatedTruth

STANDS_M = 0.03
"""The true body stands where the lowest point of its soles is no farther from the true floor."""


@dataclass(frozen=True)
class GravityErrors:
    """One recording's errors.

    Attributes:
        name: of the recording.
        pitch_deg, roll_deg: of the true camera.
        image_deg: between up and the image's upward direction.
        true_motion_deg: between up and what is found of it in the true motion.
        motion_deg: between up and what is found of it in the estimated, refined motion.
        floor_mm: how far the estimated motion's floor lies from the true one, as the camera's
            height above it.
        contact_mm: (N,) distance of the lowest point of the estimated soles from the estimated
            floor, at the tracked steps at which the true body stands.
    """

    name: str
    pitch_deg: float
    roll_deg: float
    image_deg: float
    true_motion_deg: float
    motion_deg: float
    floor_mm: float
    contact_mm: NDArray[np.float64]


def evaluate_gravity(
    folder: Path, entrant: Entrant, body: Body, workers: int = 1, progress: bool = True
) -> list[GravityErrors]:
    """Estimate and refine the motion of each recording of a set with truth, and judge its up.

    Recordings without a person, or in which none is tracked, are left out.

    Raises:
        InputError: the folder holds no recordings, or one without truth for this body, or one
            whose camera cannot be made again, or nobody is tracked in any.
    """
    found = []
    takes = entrant.takes(folder, STEP_US, workers=workers)
    networks = entrant.networks
    bar = tqdm(recording_paths(folder), desc="gravity", unit="recording", disable=not progress)
    for path, read in zip(bar, takes, strict=True):
        recording = SetRecording.open(path, networks.recipe, body)
        steps = take_steps(networks, recording, read)
        motion = refine(motion_of_takes(steps, networks, recording, body, STEP_US), body)
        if ((motion.state == TRACKED) & recording.truth.at(motion.t_us).present).any():
            found.append(_errors(motion, recording.truth, body))
    if not found:
        expected, remedy = "recordings with somebody to track", "Choose another set or network."
        raise InputError(folder, "nobody tracked", expected, remedy)
    return found


def true_view(truth: SimulatedTruth) -> View:
    """The camera of a simulated recording, drawn again from its seed.

    Raises:
        InputError: another camera than the recording's comes of it.
    """
    said = truth.description
    config = SimulationConfig(framing=said["framing"])
    rng = np.random.default_rng(said["seed"])
    view = make_view(rng, config, SENSORS[said["sensor_name"]])
    if not (np.allclose(view.K, truth.K) and np.isclose(view.centre[1], said["camera_height_m"])):
        raise InputError(
            truth.path,
            "a camera that its seed does not make",
            "a recording of scripts/simulate_dataset.py with a free camera",
            "Evaluate synhpe-v1's val or test.",
        )
    return view


def _errors(motion: MotionSequence, truth: SimulatedTruth, body: Body) -> GravityErrors:
    view = true_view(truth)
    up, pose = view.R @ upward(1.0), truth.at(motion.t_us)
    # From here on only steps with a person, the same ones of both motions.
    state = np.where(pose.present, motion.state, ABSENT)
    estimated = replace(motion, state=state)
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(pose.rotations)).numpy()
    exact = replace(
        motion,
        betas=pose.betas,
        global_orient=vectors[:, 0],
        body_pose=vectors[:, 1:].reshape(len(motion), -1),
        transl=pose.transl,
        state=state,
    )
    stands = np.abs(sole_heights(exact, body, up) + view.centre[1]) < STANDS_M
    heights = sole_heights(estimated, body, motion.up) - motion.floor_m
    return GravityErrors(
        truth.path.stem,
        *angles_of_up(up),
        _degrees(np.array([0.0, -1.0, 0.0]), up),
        _degrees(settle(exact, body).up, up),
        _degrees(motion.up, up),
        1000 * abs(motion.floor_m + float(view.centre[1])),
        1000 * np.abs(heights[stands]),
    )


def _degrees(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second)), first @ second)))


def gravity_table(rows: list[GravityErrors]) -> str:
    """A line a recording, then all of them: means of the angles, medians of the lengths."""
    lines = [
        "                camera          up is off by, degrees        camera's     soles off",
        "recording    pitch   roll    image  true motion  motion   height, mm  the floor, mm",
    ]
    for row in rows:
        lines.append(
            f"{row.name:<10}{row.pitch_deg:>8.1f}{row.roll_deg:>7.1f}{row.image_deg:>9.1f}"
            f"{row.true_motion_deg:>13.1f}{row.motion_deg:>8.1f}{row.floor_mm:>13.0f}"
            f"{_median(row.contact_mm):>15.1f}"
        )
    image, exact, motion = (
        np.array([getattr(row, name) for row in rows])
        for name in ("image_deg", "true_motion_deg", "motion_deg")
    )
    for name, pooled in (("mean", np.mean), ("median", np.median), ("largest", np.max)):
        angles = [float(pooled(values)) for values in (image, exact, motion)]
        lines.append(f"{name:<25}{angles[0]:>9.1f}{angles[1]:>13.1f}{angles[2]:>8.1f}")
    contact = np.concatenate([row.contact_mm for row in rows])
    lines.append(
        f"median over {len(contact):,} steps at which the true body stands: soles "
        f"{_median(contact):.1f} mm off the floor; over recordings: camera's height "
        f"{_median(np.array([row.floor_mm for row in rows])):.0f} mm off"
    )
    return "\n".join(lines)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
