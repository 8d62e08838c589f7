"""IMU samples beside events: written here and read back, and those of real recordings."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from eventhpe.events.formats import faery_formats
from eventhpe.events.inertia import Inertia
from eventhpe.events.recording import open_recording
from eventhpe.gravity import angles_of_up
from tests.events.event_samples import random_events
from tests.events.test_rosbag import array, header, types, write_bag

faery = pytest.importorskip("faery", reason="faery is an optional package")

SENSORS = ("accelerometer", "gyroscope", "magnetometer")
IMU_FIELDS = ["temperature", *(f"{sensor}_{axis}" for sensor in SENSORS for axis in "xyz")]
IMU_DTYPE = [("t", "<u8"), *((name, "<f4") for name in IMU_FIELDS)]
ORIGIN_US = 1_605_537_493_000_000


def node(name: str, attributes: dict[str, Any], nodes: list[Any]) -> Any:
    known = {
        key: faery.aedat.DescriptionAttribute("int" if isinstance(value, int) else "string", value)
        for key, value in attributes.items()
    }
    return faery.aedat.DescriptionNode(name, f"/mainloop/{name}/", known, nodes)


def stream(number: int, kind: str, **info: int) -> Any:
    return node(str(number), {"typeIdentifier": kind}, [node("info", {"source": "x", **info}, [])])


def test_samples_of_an_aedat4_file(tmp_path: Path) -> None:
    events = random_events(2000, 320, 240, 500_000, seed=5)
    packet = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, field in (("x", "x"), ("y", "y"), ("p", "on")):
        packet[field] = getattr(events, name)
    packet["t"] = events.t + ORIGIN_US
    samples = np.zeros(20, IMU_DTYPE)
    samples["t"] = ORIGIN_US + int(events.t[0]) - 50 + 1000 * np.arange(20)
    # Level and upright; turned to the right as seen from behind, x (to the left) comes to point up.
    samples["accelerometer_x"], samples["accelerometer_y"] = np.sin(0.3), -np.cos(0.3)
    streams = [stream(0, "EVTS", sizeX=320, sizeY=240), stream(1, "IMUS"), stream(2, "IMUS")]
    path = tmp_path / "a.aedat4"
    description = [node("outInfo", {}, streams)]
    with faery.aedat.Encoder(path, description, faery.aedat.LZ4_FASTEST) as encoder:
        encoder.write(0, packet)
        encoder.write(1, samples[:12])
        encoder.write(2, samples)
        encoder.write(1, samples[12:])
    found = open_recording(path).inertia()
    assert found is not None
    assert found.t_us.tolist() == (-50 + 1000 * np.arange(20)).tolist()
    np.testing.assert_allclose(np.linalg.norm(found.force, axis=1), 9.80665, rtol=1e-6)
    assert found.to_camera is not None
    up = found.to_camera @ found.force[0] / 9.80665
    np.testing.assert_allclose(angles_of_up(up), (0, np.degrees(0.3)), atol=1e-4)


@pytest.mark.parametrize("ros2", [False, True])
def test_samples_of_a_bag(tmp_path: Path, ros2: bool) -> None:
    pytest.importorskip("rosbags", reason="rosbags is an optional package")
    store, kind = types(ros2, "dvs_msgs"), "dvs_msgs/msg/EventArray"
    events = random_events(100, 20, 12, 900_000, seed=4)
    messages = [("/dvs/events", kind, array(store, "dvs_msgs", events))]
    forces = np.random.default_rng(2).normal(0, 5, (6, 3))
    for topic, scale in (("/dvs/imu", 1.0), ("/robot/imu", 7.0)):
        for k, force in enumerate(forces):
            sample = imu(store, int(events.t[0]) + 1000 * k, scale * force)
            messages.append((topic, "sensor_msgs/msg/Imu", sample))
    found = open_recording(write_bag(tmp_path / "bag", messages, store, ros2)).inertia()
    assert found is not None
    assert found.t_us.tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    np.testing.assert_array_equal(found.force, forces)
    assert found.to_camera is None


def imu(store: Any, us: int, force: NDArray[np.float64]) -> Any:
    vector, turn = (store.types[f"geometry_msgs/msg/{name}"] for name in ("Vector3", "Quaternion"))
    zeros = np.zeros(9)
    return store.types["sensor_msgs/msg/Imu"](
        header=header(store, us, "imu"),
        orientation=turn(0.0, 0.0, 0.0, 1.0),
        orientation_covariance=zeros,
        angular_velocity=vector(0.0, 0.0, 0.0),
        angular_velocity_covariance=zeros,
        linear_acceleration=vector(*force.tolist()),
        linear_acceleration_covariance=zeros,
    )


def test_other_formats_have_none(simulated_recording: Path) -> None:
    assert open_recording(simulated_recording).inertia() is None


def angles(found: Inertia | None) -> tuple[float, float]:
    assert found is not None
    assert found.to_camera is not None
    force = found.to_camera @ np.median(found.force, axis=0)
    assert 9 < np.linalg.norm(force) < 11
    return angles_of_up(force / np.linalg.norm(force))


def test_real_cameras_stand_upright(shared_data: Path) -> None:
    folder = shared_data / "recordings"
    # The face is seen from below its chin.
    pitch, roll = angles(open_recording(folder / "tonic_sample_dvxplorer320x240.aedat4").inertia())
    assert 15 < pitch < 30
    assert abs(roll) < 10
    # Posts and a table in an office; its accelerometer is not calibrated.
    pitch, roll = angles(open_recording(folder / "aestream_davis346.aedat4").inertia())
    assert abs(pitch) < 10
    assert abs(roll) < 5


def test_the_axes_are_those_that_move_the_picture(shared_data: Path) -> None:
    """A real DAVIS346 shakes a little: its gyroscope, turned by the accelerometer's axes, must
    predict how the picture moves. Between two spans of time a constant offset drops out."""
    path = shared_data / "recordings" / "aestream_davis346.aedat4"
    frames, times, samples = [], [], []
    for track, packet in faery.aedat.Decoder(path):
        if track.data_type == "frame":
            frames.append(packet.pixels.astype(np.float64))
            times.append(packet.t)
        elif track.data_type == "imus":
            samples.append(packet)
    gyroscope = np.concatenate(samples)
    rate = np.stack([gyroscope[f"gyroscope_{axis}"] for axis in "xyz"], axis=1)
    turns = []
    for start, stop in itertools.pairwise(times):
        within = (gyroscope["t"] >= start) & (gyroscope["t"] < stop)
        turns.append(rate[within].mean(axis=0) * (stop - start) * 1e-6)
    turn = faery_formats._IMU_TO_CAMERA @ np.radians(turns[0] - turns[1])
    moved = [picture_motion(a, b) for a, b in itertools.pairwise(frames)]
    right, down, clockwise = moved[0] - moved[1]
    # A camera that turns about x moves the picture down, about y to the left, about z the other
    # way round; the focal length is not known.
    assert clockwise == pytest.approx(-turn[2], rel=0.4)
    assert -right / turn[1] == pytest.approx(500, rel=0.4)
    assert down / turn[0] == pytest.approx(500, rel=0.4)


def picture_motion(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels to the right and down, and radians clockwise, by least squares on grey levels (Lucas
    and Kanade 1981), blurred, for noise would make motion look smaller."""
    first, second = gaussian_filter(first, 2.0), gaussian_filter(second, 2.0)
    down, right = np.gradient((first + second) / 2)
    rows, columns = np.indices(first.shape, dtype=np.float64)
    x, y = columns - columns.mean(), rows - rows.mean()
    design = np.stack([right, down, down * x - right * y], axis=-1).reshape(-1, 3)
    return np.linalg.lstsq(design, (first - second).ravel(), rcond=None)[0]
