"""The whole chain on a recording whose truth is known: simulate, infer, overlay, compare."""

from pathlib import Path

from eventhpe.body import load_body
from eventhpe.camera import Camera
from eventhpe.estimator import load_networks
from eventhpe.evaluation import mean_pose, pose_errors, pose_table
from eventhpe.events.recording import open_recording
from eventhpe.inference import infer
from eventhpe.rendering import contact_sheet, load_truth, render_overlay
from eventhpe.simulation.simulate import SimulationConfig, simulate
from eventhpe.simulation.truth import SimulatedTruth

DURATION_S = 4.0
SENSOR = "davis240"


def demo(out: Path, seed: int) -> str:
    """Simulate a four-second walk, estimate it, draw it; return the comparison as a table.

    Args:
        out: folder for ``recording.h5``, ``motion.npz``, ``overlay.mp4``, ``contact_sheet.png``.
        seed: of the simulation; training never used this family of seeds.

    Raises:
        InputError: ``out`` cannot be written, or the weights are missing.
    """
    body, networks = load_body(), load_networks()
    path = out / "recording.h5"
    config = SimulationConfig(duration_s=DURATION_S, sensor=SENSOR, motion="walk")
    simulate(config, path, [0, seed], body)
    recording, truth = open_recording(path), SimulatedTruth.load(path)
    camera = Camera(truth.K, recording.width, recording.height)
    motion = infer(recording, networks, body, camera, command="eventhpe demo").motion
    motion.save(out / "motion.npz")
    known = load_truth(path, motion, body)
    backend = render_overlay(motion, recording, body, out / "overlay.mp4", truth=known)
    contact_sheet(motion, recording, body, out / "contact_sheet.png", backend=backend)
    rows = {
        "EventHPE": pose_errors(motion, truth, body),
        "mean pose in the region": pose_errors(mean_pose(motion, networks, body), truth, body),
    }
    return pose_table(rows) + f"\nresults: {out} (meshes drawn by {backend})"
