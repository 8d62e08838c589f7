"""ROS bags: EventArray messages of dvs_msgs or prophesee_event_msgs, their images and IMU.

The library rosbags finds the messages, in a ROS 1 bag or in a ROS 2 bag's folder. The events in
one are unpacked here, all at once, where the library would make an object of each:

- ROS 1: 13 bytes an event: x u16, y u16, seconds u32, nanoseconds u32, polarity u8;
- ROS 2 (CDR, little-endian): the same fields, each aligned to its own size, so that events come
  every 16 bytes but the first one's x and y lie two bytes later than the others'.

Message times are those of the recording computer: events are found by their own. The bag's index
is by message time, so it is not used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.frames import Frames, StreamedFrames, require_increasing
from eventhpe.events.inertia import Inertia
from eventhpe.events.recording import CHUNK_EVENTS, RawChunk, Recording, choose_geometry

EVENT_TYPES = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
IMAGE_TYPE = "sensor_msgs/msg/Image"
IMU_TYPE = "sensor_msgs/msg/Imu"
GREY = ("mono8", "8UC1")
_ROS1_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
_CDR_TAIL = np.dtype(
    {
        "names": ["y", "s", "ns", "p", "next_x"],
        "formats": ["<u2", "<i4", "<u4", "u1", "<u2"],
        "offsets": [0, 4, 8, 12, 14],
        "itemsize": 16,
    }
)
_EVENT_FIELDS = ["x", "y", "ts", "polarity"]
_ARRAY_FIELDS = ["header", "height", "width", "events"]
_AGAIN = "Copy or record it again."


class _Message(NamedTuple):
    """One EventArray; times in ns since the epoch."""

    width: int
    height: int
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    ns: NDArray[np.int64]
    p: NDArray[np.uint8]


def open_rosbag(
    path: Path, width: int | None = None, height: int | None = None, camera: int | str | None = None
) -> Recording:
    """Open the events of a ROS 1 bag, or of a ROS 2 bag's folder.

    Args:
        path: the bag.
        width, height: sensor size where the messages state none.
        camera: in a bag of several event cameras the topic, or its number in their sorted order.

    Raises:
        InputError: rosbags is missing, a damaged bag, no events, or none of the cameras chosen.
    """
    with _opened(path) as reader:
        topics = {c.topic: c.msgtype for c in reader.connections}
        found = sorted(topic for topic, kind in topics.items() if kind in EVENT_TYPES)
        topic = _choose_topic(path, topics, found, camera)
        for connection in reader.connections:
            if connection.topic == topic:
                _check_definition(path, connection)
        first = next(_messages(path, reader, topic), None)
    stated = (first.width, first.height) if first and first.width and first.height else None
    return _RosRecording(path, topic, choose_geometry(path, stated, (width, height)))


def _choose_topic(
    path: Path, topics: dict[str, str], found: list[str], camera: int | str | None
) -> str:
    if not found:
        shown = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(topics.items())[:8])
        expected = " or ".join(kind.replace("/msg/", "/") for kind in EVENT_TYPES)
        raise InputError(path, f"topics {shown or '(none)'}", expected, "Record events too.")
    if camera is None and len(found) == 1:
        return found[0]
    if isinstance(camera, int) and 0 <= camera < len(found):
        return found[camera]
    if camera in found:
        return str(camera)
    have = ", ".join(f"{i}: {topic}" for i, topic in enumerate(found))
    asked = "" if camera is None else f" and --channel {camera}"
    raise InputError(
        path, f"event topics {have}{asked}", "one of them", "Choose it with --channel N."
    )


class _RosRecording(Recording):
    """Times count from the first event's."""

    def __init__(self, path: Path, topic: str, size: tuple[int, int]) -> None:
        super().__init__(path, "rosbag", *size, 0)
        self.topic = topic
        self._origin_ns = 0
        with _opened(path) as reader:
            first = next((m for m in _messages(path, reader, topic) if len(m.ns)), None)
        if first is not None:
            self._origin_ns = int(first.ns[0])
            self.t_origin = self._origin_ns // 1000

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        with _opened(self.path) as reader:
            waiting: list[_Message] = []
            held = 0
            for message in _messages(self.path, reader, self.topic):
                waiting.append(message)
                held += len(message.ns)
                if held >= CHUNK_EVENTS:
                    yield self._joined(waiting)
                    waiting, held = [], 0
            if waiting:
                yield self._joined(waiting)

    def _joined(self, messages: list[_Message]) -> RawChunk:
        x, y, ns, p = (
            np.concatenate([getattr(m, name) for m in messages]) for name in ("x", "y", "ns", "p")
        )
        return RawChunk(x, y, self._microseconds(ns), p)

    def _microseconds(self, ns: NDArray[np.int64]) -> NDArray[np.int64]:
        return ns // 1000 - self.t_origin

    def inertia(self) -> Inertia | None:
        """Of the topics beside the events', the first by name. How it lies to the camera is written
        nowhere in a bag."""
        with _opened(self.path) as reader:
            topic = next(iter(self._beside(reader, IMU_TYPE)), None)
            if topic is None:
                return None
            read, t, force = _deserializer(self.path), [], []
            for data in _raw(reader, topic):
                sample = read(data, IMU_TYPE)
                t.append(_stamp(sample))
                a = sample.linear_acceleration
                force.append((a.x, a.y, a.z))
        return Inertia(self._microseconds(np.array(t, np.int64)), np.array(force).reshape(-1, 3))

    def _beside(self, reader: Any, kind: str) -> list[str]:
        """Topics of a type in the namespace of the events' topic, sorted."""
        beside = self.topic.rpartition("/")[0]
        return sorted(
            c.topic
            for c in reader.connections
            if c.msgtype == kind and c.topic.rpartition("/")[0] == beside
        )

    def frames(self) -> Frames | None:
        """Images of the topics beside the events': the first by name with the sensor's size."""
        with _opened(self.path) as reader:
            for topic in self._beside(reader, IMAGE_TYPE):
                images = _images(self.path, reader, topic)
                first = next(images, None)
                if first is None or (first.width, first.height) != (self.width, self.height):
                    continue
                _grey(self.path, first)
                stamps = [_stamp(image) for image in _images(self.path, reader, topic)]
                t = self._microseconds(np.array(stamps, np.int64))
                require_increasing(self.path, topic, t)
                grey = self._greys(topic)
                return StreamedFrames(self.path, t, self.width, self.height, grey)
        return None

    def _greys(self, topic: str) -> Callable[[], Iterator[NDArray[np.uint8]]]:
        def images() -> Iterator[NDArray[np.uint8]]:
            with _opened(self.path) as reader:
                for image in _images(self.path, reader, topic):
                    yield _grey(self.path, image)

        return images


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2
    except ImportError as error:
        found = "a ROS bag, which needs the package rosbags"
        raise InputError(path, found, "rosbags", "Run `pip install eventhpe[io]`.") from error
    try:
        with (Reader2 if path.is_dir() else Reader1)(path) as reader:
            yield reader
    except (InputError, GeneratorExit, KeyboardInterrupt):
        raise
    except Exception as error:
        raise InputError(
            path, f"a bag that cannot be read ({error})", "a whole bag", _AGAIN
        ) from error


def _raw(reader: Any, topic: str) -> Iterator[Any]:
    connections = [c for c in reader.connections if c.topic == topic]
    for _, _, data in reader.messages(connections=connections):
        yield data


def _messages(path: Path, reader: Any, topic: str) -> Iterator[_Message]:
    unpack = _from_cdr if path.is_dir() else _from_ros1
    for data in _raw(reader, topic):
        try:
            yield unpack(bytes(data))
        except (ValueError, IndexError) as error:
            found = f"a message of {topic} that cannot be read ({error})"
            raise InputError(path, found, "a whole EventArray", _AGAIN) from error


def _check_definition(path: Path, connection: Any) -> None:
    """A bag that brings its message definitions must mean by them what is unpacked here."""
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import get_types_from_msg

    if connection.msgdef.format != MessageDefinitionFormat.MSG:
        return
    types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    event_type = connection.msgtype.replace("EventArray", "Event")
    fields = [[name for name, _ in types[kind][1]] for kind in (connection.msgtype, event_type)]
    numbers = [str(kind[1][0]) for _, kind in types[event_type][1] if isinstance(kind[1], tuple)]
    if fields != [_ARRAY_FIELDS, _EVENT_FIELDS] or numbers != ["uint16", "uint16", "bool"]:
        found = f"{connection.msgtype} of {fields}"
        raise InputError(path, found, f"{_ARRAY_FIELDS} of events {_EVENT_FIELDS}", _AGAIN)


def _u32(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise ValueError(f"{len(data)} bytes")
    return int.from_bytes(data[at : at + 4], "little")


def _from_ros1(data: bytes) -> _Message:
    at = 16 + _u32(data, 12)  # the header: number, seconds, nanoseconds, length of the frame's name
    height, width, count = (_u32(data, at + 4 * i) for i in range(3))
    if len(data) != at + 12 + count * _ROS1_EVENT.itemsize:
        raise ValueError(f"{len(data)} bytes for {count:,} events")
    events = np.frombuffer(data, _ROS1_EVENT, offset=at + 12)
    return _Message(width, height, events["x"], events["y"], _ns(events), events["p"])


def _from_cdr(data: bytes) -> _Message:
    if data[1] != 1:
        raise ValueError(f"encapsulation {data[:4].hex()}, not little-endian CDR")
    body = data[4:]  # alignment counts from here
    at = 12 + _u32(body, 8)  # the header: seconds, nanoseconds, length of the frame's name
    at = -(-at // 4) * 4
    height, width, count = (_u32(body, at + 4 * i) for i in range(3))
    start = at + 12
    # From 0 on the first event's x, y, seconds, nanoseconds, polarity lie at 0, 2, 4, 8, 12, the
    # k-th's at 16k - 2, 16k, 16k + 4, 16k + 8, 16k + 12.
    if count and not 16 * count - 3 <= len(body) - start <= 16 * count:
        raise ValueError(f"{len(body)} bytes for {count:,} events")
    padded = body[start : start + 16 * count].ljust(16 * count, b"\0")
    events = np.frombuffer(padded, _CDR_TAIL, count=count)
    x, y = np.roll(events["next_x"], 1), events["y"].copy()
    if count:
        x[0], y[0] = np.frombuffer(padded, "<u2", count=2)
    return _Message(width, height, x, y, _ns(events), events["p"])


def _ns(events: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(events["s"].astype(np.int64) * 1_000_000_000 + events["ns"])


def _deserializer(path: Path) -> Callable[[Any, str], Any]:
    from rosbags.typesys import Stores, get_typestore

    ros2 = path.is_dir()
    types = get_typestore(Stores.ROS2_HUMBLE if ros2 else Stores.ROS1_NOETIC)
    return types.deserialize_cdr if ros2 else types.deserialize_ros1


def _images(path: Path, reader: Any, topic: str) -> Iterator[Any]:
    read = _deserializer(path)
    for data in _raw(reader, topic):
        yield read(data, IMAGE_TYPE)


def _stamp(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _grey(path: Path, image: Any) -> NDArray[np.uint8]:
    if image.encoding not in GREY or image.step < image.width:
        found = f"images encoded as {image.encoding}"
        raise InputError(path, found, " or ".join(GREY), "Record grey levels of 8 bits.")
    rows = np.asarray(image.data, np.uint8)[: image.height * image.step]
    if len(rows) < image.height * image.step:
        raise InputError(path, "an image cut short", "whole images", _AGAIN)
    return rows.reshape(image.height, image.step)[:, : image.width]
