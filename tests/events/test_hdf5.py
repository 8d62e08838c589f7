"""HDF5 layouts written here in their exact form and read back, and every kind of damage."""

import re
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import DsecWriter, EventStream, open_recording, recording, time_windows
from eventhpe.events.convert import convert
from eventhpe.events.formats import hdf5
from tests.events.event_samples import assert_same_events, random_events

EVENTS = random_events(5000, 20, 12, 2_000_000)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunk borders in small files."""
    monkeypatch.setattr(hdf5, "CHUNK_EVENTS", 300)
    monkeypatch.setattr(recording, "CHUNK_EVENTS", 300)


def write(path: Path, **datasets: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = values
    return path


def columns(events: EventStream = EVENTS, **changed: object) -> dict[str, object]:
    found = {f"events__{name}": getattr(events, name) for name in "xytp"}
    return found | {f"events__{name}": values for name, values in changed.items()}


def ms_to_idx(t: np.ndarray) -> np.ndarray:
    return np.searchsorted(t, np.arange(0, t[-1] + 1000, 1000))


def relative(events: EventStream = EVENTS) -> EventStream:
    return EventStream(events.x, events.y, events.t - events.t[0], events.p, 20, 12)


def test_dsec_with_offset(tmp_path: Path) -> None:
    path = tmp_path / "named.wrongly"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file.create_dataset(
                f"events/{name}", data=getattr(EVENTS, name).astype("u4"),
                chunks=(512,), compression=hdf5plugin.Blosc(),
            )  # fmt: skip
        file["ms_to_idx"] = ms_to_idx(EVENTS.t)
        file["t_offset"] = 49599300523
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == ("dsec", 640, 480)
    assert (opened.t_origin, opened.num_events) == (49599300523, 5000)
    assert opened.duration_us == EVENTS.t[-1] + 1
    found = opened.read()
    for name in "xytp":
        np.testing.assert_array_equal(getattr(found, name), getattr(EVENTS, name))
    assert not opened.repairs


@pytest.mark.parametrize("offset", [None, 5])
def test_dsec_seeks_to_any_stretch(tmp_path: Path, offset: int | None) -> None:
    late = EventStream(EVENTS.x, EVENTS.y, EVENTS.t + 7_000, EVENTS.p, 20, 12)
    extra = {} if offset is None else {"t_offset": offset}
    path = write(
        tmp_path / "a.h5", ms_to_idx=ms_to_idx(late.t), events__width=20, events__height=12,
        **columns(late), **extra,
    )  # fmt: skip
    expected = late if offset is not None else relative(late)
    opened = open_recording(path)
    assert opened.t_origin == (late.t[0] if offset is None else offset)
    for t0, t1 in ((0, 1), (0, 10**9), (999, 1000), (1000, 1001), (1_234_567, 1_300_001),
                   (-5, 3), (10**8, 10**9), (int(expected.t[-1]), 10**9)):  # fmt: skip
        assert_same_events(opened.read(t0, t1), expected.between(t0, t1))


def test_rvt_with_backward_times_and_minus_one(tmp_path: Path) -> None:
    t = EVENTS.t.copy()
    t[[299, 300, 301, 2000]] = [t[299] + 9000, t[298], t[298] - 5, t[2000] - 4000]
    signs = EVENTS.p.astype("i1") * 2 - 1
    path = write(tmp_path / "a.h5", **columns(t=t.astype("i8"), p=signs), events__height=12,
                 events__width=20)  # fmt: skip
    opened = open_recording(path)
    found = opened.read()
    raised = np.maximum.accumulate(t)
    assert_same_events(found, EventStream(EVENTS.x, EVENTS.y, raised - t[0], EVENTS.p, 20, 12))
    assert opened.repairs.backward_timestamps == np.count_nonzero(raised != t) > 3
    middle = found.between(100_000, 900_000)
    assert_same_events(open_recording(path).read(100_000, 900_000), middle)


@pytest.mark.parametrize("names", ["xs ys ts ps", "x y ts p"])
def test_monash_seconds_with_epoch_origin(tmp_path: Path, names: str) -> None:
    epoch = 1_605_537_493.718345
    seconds = epoch + relative().t * 1e-6
    data = (EVENTS.x.astype("i2"), EVENTS.y.astype("i2"), seconds, EVENTS.p.astype(bool))
    datasets = dict(zip((f"events__{n}" for n in names.split()), data, strict=True))
    path = write(tmp_path / "a.h5", **datasets)
    with h5py.File(path, "a") as file:
        file.attrs["sensor_resolution"] = (12, 20)
    opened = open_recording(path)
    assert opened.format == ("monash" if "xs" in names else "monash-legacy")
    assert opened.t_origin == pytest.approx(epoch * 1e6, abs=1)
    assert_same_events(opened.read(), relative())
    with h5py.File(path, "a") as file:
        file.attrs["sensor_resolution"] = (11, 19)  # as its writer infers it: one short
    assert_same_events(open_recording(path).read(), relative())
    with h5py.File(path, "a") as file:
        file.attrs["sensor_resolution"] = (11, 10)  # a crop: events beyond it are dropped
    cropped = open_recording(path)
    inside = (EVENTS.x < 10) & (EVENTS.y < 11)
    assert len(cropped.read()) == inside.sum()
    assert cropped.repairs.out_of_sensor == (~inside).sum()
    with h5py.File(path, "a") as file:
        del file.attrs["sensor_resolution"]
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    assert_same_events(open_recording(path, width=20, height=12).read(), relative())


def test_mvsec_left_and_right(tmp_path: Path) -> None:
    left = np.stack([EVENTS.x, EVENTS.y, 1.5e9 + relative().t * 1e-6, EVENTS.p * 2.0 - 1], 1)
    path = write(tmp_path / "a.hdf5", davis__left__events=left, davis__right__events=left[:7])
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == ("mvsec", 346, 260)
    found = opened.read()
    for name in "xytp":
        np.testing.assert_array_equal(getattr(found, name), getattr(relative(), name))
    assert open_recording(path, camera="right").num_events == 7
    with pytest.raises(InputError, match="camera left or right"):
        open_recording(path, camera="top")


def test_v2e_matrix(tmp_path: Path) -> None:
    table = np.stack([EVENTS.t, EVENTS.x, EVENTS.y, EVENTS.p], 1).astype("u4")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("events", data=table, compression="gzip")
    opened = open_recording(path, width=20, height=12)
    assert (opened.format, opened.t_origin) == ("v2e", 0)
    assert_same_events(opened.read(), EVENTS)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)


@pytest.mark.parametrize("side", ["left", "right"])
def test_m3ed(tmp_path: Path, side: str) -> None:
    t = EVENTS.t + 5_000_000
    both = {}
    for name in ("left", "right"):
        group = f"prophesee__{name}__"
        both |= {group + "x": EVENTS.x, group + "y": EVENTS.y, group + "p": EVENTS.p.astype("i1")}
        both |= {group + "t": t if name == side else t + 17, group + "ms_map_idx": ms_to_idx(t)}
    path = write(tmp_path / "a.h5", **both)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path, camera=side)
    with h5py.File(path, "a") as file:
        file[f"prophesee/{side}/calib/resolution"] = [20, 12]
    opened = open_recording(path, camera=side)
    assert (opened.format, opened.width, opened.height) == ("m3ed", 20, 12)
    assert (opened.t_origin, opened.index) == (t[0], f"prophesee/{side}/ms_map_idx")
    assert_same_events(opened.read(), relative())
    for t0, t1 in ((0, 1), (999, 1000), (1_234_567, 1_300_001), (10**8, 10**9)):
        assert_same_events(opened.read(t0, t1), relative().between(t0, t1))
    with pytest.raises(InputError, match="camera left or right"):
        open_recording(path, camera="top")


@pytest.mark.parametrize("width", [4, 5, 6])
def test_eventego3d_and_its_size_beside_it(tmp_path: Path, width: int) -> None:
    table = np.stack([EVENTS.x, EVENTS.y, EVENTS.t, EVENTS.p, EVENTS.x, EVENTS.y], 1)
    path = write(tmp_path / "a.h5", event=table[:, :width].astype("i8"))
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    meta = tmp_path / "event_meta.json"
    meta.write_text('{"height": 12, "width": 20}')
    opened = open_recording(path)
    assert (opened.format, opened.index) == ("eventego3d", None)
    assert_same_events(opened.read(), relative())
    for wrong in ("{", "[1]", '{"height": 12}', '{"height": [], "width": "x"}'):
        meta.write_text(wrong)
        with pytest.raises(InputError, match=r"event_meta\.json"):
            open_recording(path)


COLUMNS = {"x": EVENTS.x, "y": EVENTS.y, "t": EVENTS.t, "p": EVENTS.p}
WAYS = {
    "as it is": lambda values: values,
    "wider": lambda values: values.astype("i8"),
    "widest": lambda values: values.astype(">u8"),
    "negated": lambda values: -values.astype("i8"),
    "cut": lambda values: values[:-1],
    "as floats": lambda values: values.astype("f8"),
    "of another byte order": lambda values: values.astype(values.dtype.newbyteorder()),
}
HARMLESS = {"as it is", "wider", "widest", "of another byte order"}


@given(
    st.sampled_from(["dsec", "rvt", "m3ed"]),
    st.permutations("xytp"),
    st.tuples(*[st.sampled_from(sorted(WAYS))] * 4),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
def test_columns_of_any_kind_are_right_or_refused(
    tmp_path: Path, layout: str, order: list[str], ways: tuple[str, ...]
) -> None:
    group = "prophesee/left" if layout == "m3ed" else "events"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, source, way in zip("xytp", order, ways, strict=True):
            file[f"{group}/{name}"] = WAYS[way](COLUMNS[source])
        if layout == "dsec":
            file["ms_to_idx"] = ms_to_idx(EVENTS.t)
    opened = None
    try:
        opened = open_recording(tmp_path / "a.h5", width=20, height=12)
        found = opened.read()
    except InputError:
        assert order != ["x", "y", "t", "p"] or not set(ways) <= HARMLESS
        return
    if "".join(order) == "xytp" and set(ways) <= HARMLESS | {"as floats"}:
        assert_same_events(found, relative())
        assert not opened.repairs
        return
    # Columns that change places by chance pass for others only with repairs that say so.
    assert opened.repairs or set(ways) & {"cut"}


@given(
    st.sampled_from(["mvsec", "v2e", "eventego3d"]),
    st.permutations("xytp"),
    st.tuples(*[st.sampled_from([1, 1, 1, -1])] * 4),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[*HealthCheck])
def test_matrices_of_any_order_are_right_or_refused(
    tmp_path: Path, layout: str, order: list[str], signs: tuple[int, ...]
) -> None:
    seconds = {"mvsec": 1e-6}.get(layout, 1)
    sources = {**COLUMNS, "t": EVENTS.t * seconds, "p": EVENTS.p}
    dtype = {"mvsec": "f8"}.get(layout, "i8")
    right = {"mvsec": "xytp", "v2e": "txyp", "eventego3d": "xytp"}[layout]
    name = {"mvsec": "davis/left/events", "v2e": "events", "eventego3d": "event"}[layout]
    parts = [s * sources[c].astype(dtype) for c, s in zip(order, signs, strict=True)]
    write(tmp_path / "a.h5", **{name.replace("/", "__"): np.stack(parts, 1)})
    size = {} if layout == "mvsec" else {"width": 20, "height": 12}
    try:
        opened = open_recording(tmp_path / "a.h5", **size)
        found = opened.read()
    except InputError:
        assert "".join(order) != right or -1 in signs
        return
    origin = 0 if layout == "v2e" else EVENTS.t[0]
    if "".join(order) == right and -1 not in signs:
        np.testing.assert_array_equal(found.t, EVENTS.t - origin)
        np.testing.assert_array_equal(found.x, EVENTS.x)
        assert not opened.repairs
    elif layout != "mvsec" or sorted(order[:2]) != ["x", "y"]:
        # On MVSEC's fixed 346x260 nothing tells x and y of a smaller sensor apart.
        assert opened.repairs


def test_out_of_sensor_events_are_dropped_and_counted(tmp_path: Path) -> None:
    x = EVENTS.x.astype("i4")
    x[[0, 10, 4999]] = [20, -1, 70000]
    path = write(tmp_path / "a.h5", **columns(x=x), events__width=20, events__height=12)
    opened = open_recording(path)
    assert len(opened.read()) == 4997
    assert opened.repairs.out_of_sensor == 3
    assert "3 events outside" in str(opened.repairs)


@pytest.mark.parametrize("times", [[], [5], [9, 9, 9]])
def test_none_one_and_equal_times(tmp_path: Path, times: list[int]) -> None:
    t = np.array(times, "i8")
    zeros = t * 0
    path = write(tmp_path / "a.h5", events__x=zeros, events__y=zeros, events__t=t, events__p=zeros,
                 events__width=4, events__height=4)  # fmt: skip
    opened = open_recording(path)
    assert opened.read().t.tolist() == [0] * len(times)
    assert opened.duration_us == (1 if times else 0)
    assert len(list(time_windows(opened, 1, 1))) == (1 if times else 0)
    out = tmp_path / "out.h5"
    assert convert(opened, out).events == len(times)
    assert open_recording(out).read().t.tolist() == [0] * len(times)


BAD_COLUMNS = {
    "polarity values 0, 1, 2": columns(p=np.r_[EVENTS.p[:-1], 2]),
    "polarity values -1, 0, 1": columns(p=np.r_[-1, 0, EVENTS.p[2:].astype("i1")]),
    "fractional x": columns(x=EVENTS.x + 0.5),
    "columns of equal length": columns(t=EVENTS.t[:-1]),
    "integer microseconds": columns(t=EVENTS.t * 1e-6),
}


@pytest.mark.parametrize("message", BAD_COLUMNS)
def test_bad_columns_are_named(tmp_path: Path, message: str) -> None:
    path = write(tmp_path / "a.h5", events__width=99, events__height=99, **BAD_COLUMNS[message])
    with pytest.raises(InputError, match=message):
        open_recording(path).read()


@pytest.mark.parametrize("where", [0, 1234])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_times_that_are_no_numbers(tmp_path: Path, where: int, value: float) -> None:
    seconds = EVENTS.t * 1e-6
    seconds[where] = value
    path = write(tmp_path / "a.h5", events__x=EVENTS.x, events__y=EVENTS.y, events__ts=seconds,
                 events__p=EVENTS.p)  # fmt: skip
    with pytest.raises(InputError, match="NaN or infinite"):
        open_recording(path, width=20, height=12).read()


DAMAGE = {
    "s after the start": columns(t=np.where(EVENTS.t == EVENTS.t[100], 10**15, EVENTS.t)),
    "a timestamp of": columns(t=EVENTS.t.astype(np.uint64) + np.uint64(1 << 63)),
    "/events/x as |S4": columns(x=EVENTS.x.astype("S4")),
    "outside the sensor": columns(x=EVENTS.x + 100),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_values_are_named(tmp_path: Path, message: str) -> None:
    path = write(tmp_path / "a.h5", events__width=20, events__height=12, **DAMAGE[message])
    with pytest.raises(InputError, match=re.escape(message)):
        open_recording(path).read()


@pytest.mark.parametrize("side", [np.nan, "a", np.zeros(0), 10**5])
def test_a_size_that_is_none(tmp_path: Path, side: object) -> None:
    path = write(tmp_path / "a.h5", events__width=side, events__height=12, **columns())
    with pytest.raises(InputError, match=r"/events/width|a sensor of"):
        open_recording(path)


def test_times_beyond_64_bits(tmp_path: Path) -> None:
    seconds = EVENTS.t * 1e-6
    seconds[-1] = 1e300
    path = write(tmp_path / "a.h5", events__x=EVENTS.x, events__y=EVENTS.y, events__ts=seconds,
                 events__p=EVENTS.p)  # fmt: skip
    with pytest.raises(InputError, match="beyond 64 bits"):
        open_recording(path, width=20, height=12).read()


def test_columns_that_are_groups(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            file.create_group(f"events/{name}")
    with pytest.raises(InputError, match="/events/x as a group"):
        open_recording(tmp_path / "a.h5")


def test_times_before_the_origin_are_raised_to_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.h5", events=np.stack([[-5, -1, 3], [1, 1, 1], [2, 2, 2], [0, 1, 0]]).T
    )
    opened = open_recording(path, width=20, height=12)
    assert opened.read().t.tolist() == [0, 0, 3]
    assert opened.repairs.backward_timestamps == 2


@pytest.mark.parametrize("index", [7, [10**9] * 400, [-5] * 400, ["a"]])
def test_a_wrong_millisecond_index_loses_nothing(tmp_path: Path, index: object) -> None:
    path = write(tmp_path / "a.h5", t_offset=0, ms_to_idx=index, events__width=20,
                 events__height=12, **columns())  # fmt: skip
    middle = int(EVENTS.t[len(EVENTS) // 2])
    expected = EVENTS.between(middle, int(EVENTS.t[-1]) + 1)
    assert_same_events(open_recording(path).read(middle), expected)


def test_unknown_groups_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", something__else=[1])
    with pytest.raises(InputError, match=r"/something/else.*DSEC .*MVSEC"):
        open_recording(path)
    dhp19 = write(tmp_path / "b.h5", DVS=np.zeros((1, 2, 2, 4)))
    with pytest.raises(InputError, match="frames, not events"):
        open_recording(dhp19)
    named = dhp19.rename(tmp_path / "S3_session2_mov7_7500events.h5")
    with pytest.raises(InputError, match=r"DVS_movies/S3/session2/mov7\.aedat"):
        open_recording(named)


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    text = tmp_path / "text.h5"
    text.write_text("hello world\n")
    empty = tmp_path / "empty.h5"
    empty.touch()
    whole = write(tmp_path / "whole.h5", **columns(), events__width=20, events__height=12)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for path, found in ((text, "text starting 'hello"), (empty, "an empty file"),
                        (cut, "cannot be read"), (tmp_path, "a folder"),
                        (tmp_path / "none", "No such file")):  # fmt: skip
        with pytest.raises(InputError, match=found):
            open_recording(path)


def test_geometry_contradiction_and_half_geometry(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", **columns(), events__width=20, events__height=12)
    with pytest.raises(InputError, match="20x12"):
        open_recording(path, width=21, height=12)
    with pytest.raises(InputError, match="both width and height"):
        open_recording(path, width=21)


def test_convert_keeps_every_event_and_indexes_milliseconds(tmp_path: Path) -> None:
    source = tmp_path / "a.h5"
    with DsecWriter(source, 20, 12, t_origin=123) as writer:
        for start in range(0, 5000, 777):
            writer.append(EVENTS.slice(start, min(5000, start + 777)))
    out = tmp_path / "folder" / "b.h5"
    assert convert(open_recording(source), out).events == 5000
    assert [p.name for p in out.parent.iterdir()] == ["b.h5"]
    again = open_recording(out)
    assert (again.format, again.t_origin) == ("dsec", 123)
    assert_same_events(again.read(), EVENTS)
    with h5py.File(out) as file:
        index, t = file["ms_to_idx"][:].astype(int), file["events/t"][:]
    assert len(index) == t[-1] // 1000 + 2
    for ms, i in enumerate(index):
        assert i == len(t) or t[i] >= ms * 1000
        assert i == 0 or t[i - 1] < ms * 1000


def test_convert_of_a_damaged_recording_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", **columns(p=np.r_[EVENTS.p[:-1], 7]), events__width=20,
                 events__height=12)  # fmt: skip
    with pytest.raises(InputError, match="polarity"):
        convert(open_recording(path), tmp_path / "b.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5"]


def test_writer_refuses_what_would_break_the_layout(tmp_path: Path) -> None:
    with DsecWriter(tmp_path / "a.h5", 20, 12) as writer:
        writer.append(EVENTS.slice(100, 200))
        with pytest.raises(ValueError, match="step back"):
            writer.append(EVENTS.slice(0, 10))
        with pytest.raises(ValueError, match="4x4"):
            writer.append(EventStream.empty(4, 4))
