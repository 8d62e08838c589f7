"""ROS bags written by the library rosbags, whose own encoding of the messages is the oracle."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats import rosbag
from tests.events.event_samples import assert_same_events, random_events

pytest.importorskip("rosbags", reason="rosbags is an optional package")
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

EVENTS = random_events(1000, 20, 12, 900_000, seed=4)
RELATIVE = EventStream(EVENTS.x, EVENTS.y, EVENTS.t - EVENTS.t[0], EVENTS.p, 20, 12)
EPOCH_S = 1_605_537_493
EVENT = "uint16 x\nuint16 y\ntime ts\nbool polarity"
EVENT_ARRAY = "std_msgs/Header header\nuint32 height\nuint32 width\nEvent[] events"


def types(ros2: bool, package: str, event: str = EVENT) -> Any:
    store = get_typestore(Stores.ROS2_HUMBLE if ros2 else Stores.ROS1_NOETIC)
    event = event.replace("time ts", "builtin_interfaces/Time ts") if ros2 else event
    store.register(get_types_from_msg(event, f"{package}/msg/Event"))
    store.register(get_types_from_msg(EVENT_ARRAY, f"{package}/msg/EventArray"))
    return store


def header(store: Any, us: int, frame: str) -> Any:
    stamp = store.types["builtin_interfaces/msg/Time"](EPOCH_S + us // 10**6, us % 10**6 * 1000)
    kind = store.types["std_msgs/msg/Header"]
    fields = {"stamp": stamp, "frame_id": frame}
    return kind(seq=0, **fields) if "seq" in kind.__annotations__ else kind(**fields)


def array(store: Any, package: str, events: EventStream, frame: str = "cam") -> Any:
    time, event = store.types["builtin_interfaces/msg/Time"], store.types[f"{package}/msg/Event"]
    listed = [
        event(x=int(x), y=int(y), ts=time(EPOCH_S + t // 10**6, t % 10**6 * 1000 + 999),
              polarity=bool(p))
        for x, y, t, p in zip(events.x, events.y, events.t.tolist(), events.p, strict=True)
    ]  # fmt: skip
    return store.types[f"{package}/msg/EventArray"](
        header=header(store, 0, frame), height=12, width=20, events=listed
    )


def image(store: Any, us: int, pixels: np.ndarray, encoding: str = "mono8") -> Any:
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, 0), (0, 4)))  # rows may be longer than the picture is wide
    return store.types["sensor_msgs/msg/Image"](
        header=header(store, us, "cam"), height=height, width=width, encoding=encoding,
        is_bigendian=0, step=width + 4, data=padded.ravel(),
    )  # fmt: skip


def write_bag(path: Path, messages: list[tuple[str, str, Any]], store: Any, ros2: bool) -> Path:
    """Messages as (topic, type, message), one a microsecond."""
    connections = {}
    with Writer2(path, version=9) if ros2 else Writer1(path) as writer:
        for i, (topic, kind, message) in enumerate(messages):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            data = (store.serialize_cdr if ros2 else store.serialize_ros1)(message, kind)
            writer.write(connections[topic], 10**18 + i * 1000, bytes(data))
    return path


def parts(count: int = 7) -> list[EventStream]:
    borders = np.linspace(0, len(EVENTS), count + 1).astype(int)
    return [EVENTS.slice(a, b) for a, b in itertools.pairwise(borders)]


@pytest.mark.parametrize("ros2", [False, True])
@pytest.mark.parametrize("package", ["dvs_msgs", "prophesee_event_msgs"])
def test_events_come_back(
    tmp_path: Path, ros2: bool, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rosbag, "CHUNK_EVENTS", 300)
    store, kind = types(ros2, package), f"{package}/msg/EventArray"
    messages = [("/dvs/events", kind, array(store, package, part)) for part in parts()]
    messages.insert(3, ("/dvs/events", kind, array(store, package, EVENTS.slice(0, 0))))
    path = write_bag(tmp_path / "content.decides", messages, store, ros2)
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == ("rosbag", 20, 12)
    assert opened.t_origin == EPOCH_S * 10**6 + EVENTS.t[0]
    assert_same_events(opened.read(), RELATIVE)
    assert_same_events(opened.read(1000, 500_000), RELATIVE.between(1000, 500_000))
    assert opened.frames() is None


@given(st.integers(0, 9), st.sampled_from(["", "c", "cam", "camera_frame"]))
@settings(max_examples=60, deadline=None)
def test_unpacking_agrees_with_the_library(count: int, frame: str) -> None:
    """Every length of the header's name, on which the alignment of ROS 2 depends."""
    events = EVENTS.slice(0, count)
    for ros2, unpack in ((False, rosbag._from_ros1), (True, rosbag._from_cdr)):
        store = types(ros2, "dvs_msgs")
        message = array(store, "dvs_msgs", events, frame)
        encode = store.serialize_cdr if ros2 else store.serialize_ros1
        data = bytes(encode(message, "dvs_msgs/msg/EventArray"))
        found = unpack(data)
        assert (found.width, found.height) == (20, 12)
        np.testing.assert_array_equal(found.x, events.x)
        np.testing.assert_array_equal(found.y, events.y)
        np.testing.assert_array_equal(found.p, events.p)
        ns = (events.t + EPOCH_S * 10**6) * 1000 + 999
        np.testing.assert_array_equal(found.ns, ns)
        for cut in {*range(0, len(data) - 3, 7), *range(len(data) - 3 * ros2)}:
            with pytest.raises((ValueError, IndexError)):
                unpack(data[:cut])


@pytest.mark.parametrize("ros2", [False, True])
def test_one_of_two_cameras_and_its_frames(tmp_path: Path, ros2: bool) -> None:
    store, kind = types(ros2, "dvs_msgs"), "dvs_msgs/msg/EventArray"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 20), np.uint8)
    messages = [("/right/events", kind, array(store, "dvs_msgs", EVENTS.slice(0, 5)))]
    messages += [("/left/events", kind, array(store, "dvs_msgs", part)) for part in parts()]
    for i, picture in enumerate(pixels):
        message = image(store, 40_000 * i, picture)
        messages.append(("/left/image_raw", "sensor_msgs/msg/Image", message))
        small = image(store, 40_000 * i, picture[:5])
        messages.append(("/left/another", "sensor_msgs/msg/Image", small))
    path = write_bag(tmp_path / "a", messages, store, ros2)
    with pytest.raises(InputError, match="0: /left/events, 1: /right/events"):
        open_recording(path)
    with pytest.raises(InputError, match="--channel 2"):
        open_recording(path, camera=2)
    assert len(open_recording(path, camera="/right/events").read()) == 5
    opened = open_recording(path, camera=0)
    assert_same_events(opened.read(), RELATIVE)
    frames = opened.frames()
    assert frames is not None
    assert (frames.width, frames.height) == (20, 12)
    assert frames.t.tolist() == [40_000 * i - int(EVENTS.t[0]) for i in range(5)]
    for i in (0, 3, 4, 1, 1):
        assert np.array_equal(frames.read(i), pixels[i])
    with pytest.raises(IndexError):
        frames.read(5)


def test_images_that_are_not_grey_are_refused(tmp_path: Path) -> None:
    store, kind = types(False, "dvs_msgs"), "dvs_msgs/msg/EventArray"
    colour = image(store, 0, np.zeros((12, 20), np.uint8), "rgb8")
    messages = [("/dvs/events", kind, array(store, "dvs_msgs", EVENTS)),
                ("/dvs/image", "sensor_msgs/msg/Image", colour)]  # fmt: skip
    opened = open_recording(write_bag(tmp_path / "a.bag", messages, store, False))
    with pytest.raises(InputError, match="rgb8"):
        opened.frames()


@pytest.mark.parametrize(
    "event",
    ["uint16 y\nuint16 x\ntime ts\nbool polarity", "uint32 x\nuint32 y\ntime ts\nbool polarity",
     "uint16 x\nuint16 y\ntime ts\nint8 polarity", "uint16 x\nuint16 y\nbool polarity\ntime ts"],
)  # fmt: skip
def test_another_definition_of_the_same_name_is_refused(tmp_path: Path, event: str) -> None:
    store = types(False, "dvs_msgs", event)
    kind = "dvs_msgs/msg/EventArray"
    messages = [("/dvs/events", kind, array(store, "dvs_msgs", EVENTS))]
    path = write_bag(tmp_path / "a.bag", messages, store, False)
    with pytest.raises(InputError, match="EventArray of"):
        open_recording(path)


def test_bags_without_events(tmp_path: Path) -> None:
    store = types(False, "dvs_msgs")
    pixels = np.zeros((12, 20), np.uint8)
    messages = [("/cam/image", "sensor_msgs/msg/Image", image(store, 0, pixels))]
    path = write_bag(tmp_path / "a.bag", messages, store, False)
    with pytest.raises(InputError, match=r"/cam/image .*dvs_msgs/EventArray"):
        open_recording(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cut_and_changed_bags_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.bag"
    if not whole.exists():
        store, kind = types(False, "dvs_msgs"), "dvs_msgs/msg/EventArray"
        messages = [("/dvs/events", kind, array(store, "dvs_msgs", part)) for part in parts()]
        write_bag(whole, messages, store, False)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(14, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = folder / "damaged.bag"
    damaged.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        opened = open_recording(damaged)
        events = opened.read()
    except InputError:
        return
    assert (np.diff(events.t) >= 0).all()
    assert (events.x < opened.width).all()
