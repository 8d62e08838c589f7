"""NumPy files in every layout, memory order and wrong arrangement."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats import numpy_arrays
from tests.events.event_samples import assert_same_events, random_events

EVENTS = random_events(2000, 20, 12, 3_000_000, seed=1)
RELATIVE = EventStream(EVENTS.x, EVENTS.y, EVENTS.t - EVENTS.t[0], EVENTS.p, 20, 12)
SIZE = {"width": 20, "height": 12}
EPOCH = 1_605_537_493_718_345
PEDRO = np.stack([EVENTS.t + EPOCH, EVENTS.x, EVENTS.y, EVENTS.p], 1).astype("i8")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many block borders in small files."""
    blocks = numpy_arrays.StoredArray.blocks
    monkeypatch.setattr(numpy_arrays.StoredArray, "blocks", lambda self: blocks(self, 300))


def save(path: Path, array: np.ndarray) -> Path:
    with path.open("wb") as file:
        np.save(file, array)
    return path


def save_all(path: Path, compressed: bool = False, **arrays: np.ndarray) -> Path:
    with path.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_pedro(tmp_path: Path, order: str, kind: str) -> None:
    path, table = tmp_path / "named.wrongly", np.asarray(PEDRO, order=order)
    if kind == "npy":
        save(path, table)
    else:
        save_all(path, kind == "compressed", events=table)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    opened = open_recording(path, **SIZE)
    assert (opened.format, opened.t_origin) == ("pedro", EVENTS.t[0] + EPOCH)
    assert_same_events(opened.read(), RELATIVE)
    assert_same_events(opened.read(7, 1_000_000), RELATIVE.between(7, 1_000_000))
    assert opened.duration_us == RELATIVE.t[-1] + 1


METAVISION = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]
FAERY = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")]


def table_of(fields: list[tuple[str, str]], scale: float = 1) -> np.ndarray:
    table = np.zeros(len(EVENTS), fields)
    sources = {"x": EVENTS.x, "y": EVENTS.y, "t": EVENTS.t * scale, "p": EVENTS.p}
    for name, _ in fields:
        sources["on"] = sources["polarity"] = EVENTS.p
        table[name] = sources["t" if name in ("ts", "timestamp") else name]
    return table


@pytest.mark.parametrize("fields", [METAVISION, FAERY, METAVISION[::-1]])
def test_tables_whose_types_say_microseconds(tmp_path: Path, fields: list) -> None:
    path = save(tmp_path / "a.npy", table_of(fields))
    assert_same_events(open_recording(path, **SIZE).read(), RELATIVE)
    with pytest.raises(InputError, match="times in us"):
        open_recording(path, **SIZE, time_unit="ms")


@given(
    st.permutations(["x", "y", "time", "polarity"]),
    st.sampled_from(["t", "ts", "timestamp"]),
    st.sampled_from(["p", "polarity", "on"]),
    st.sampled_from(["<u2", ">u2", "<i4", "<u8", "<f4", "<f8"]),
    st.sampled_from([("us", "<i8", 1), ("ns", "<u8", 1000), ("s", "<f8", 1e-6), ("ms", "<f8", 1e-3),
                     ("us", ">i8", 1), ("us", "<u4", 1), ("us", "<f8", 1)]),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_named_fields_in_any_order_and_width(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[str], time: str, polarity: str, pixel: str, timing: tuple[str, str, float],
) -> None:  # fmt: skip
    unit, kind, scale = timing
    types = {
        "x": ("x", pixel),
        "y": ("y", pixel),
        "time": (time, kind),
        "polarity": (polarity, "i1"),
    }
    fields = [types[name] for name in order]
    path = save(tmp_path_factory.getbasetemp() / "fields", table_of(fields, scale))
    assert_same_events(open_recording(path, **SIZE, time_unit=unit).read(), RELATIVE)
    with pytest.raises(InputError, match="--time-unit s, ms, us or ns"):
        open_recording(path, **SIZE)


@given(st.permutations(range(4)).filter(lambda order: order not in ([0, 1, 2, 3], [0, 2, 1, 3])))
@settings(max_examples=24, deadline=None)
def test_shuffled_columns_are_refused(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    path = save(tmp_path_factory.getbasetemp() / "shuffled", PEDRO[:, order])
    with pytest.raises(InputError):
        open_recording(path, **SIZE).read()


@pytest.mark.parametrize("column", range(4))
def test_negated_columns_are_refused(
    tmp_path: Path, column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # too few events in a block are no proof that the columns are wrong
    table = PEDRO.copy()
    table[:, column] *= -1
    with pytest.raises(InputError):
        open_recording(save(tmp_path / "a.npy", table), **SIZE).read()


@pytest.mark.parametrize(
    "array",
    [PEDRO.astype("i4"), PEDRO.astype("f8"), PEDRO[:, :3], np.c_[PEDRO, PEDRO], PEDRO.ravel(),
     PEDRO[None], np.int64(5), PEDRO.astype("S8"), table_of(METAVISION[:3]),
     np.array([{"x": 1}], object)],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(InputError):
        open_recording(save(tmp_path / "a.npy", array), **SIZE)


def evimo(seconds: np.ndarray, inverted: bool = True) -> dict[str, np.ndarray]:
    polarity = (1 - EVENTS.p if inverted else EVENTS.p).astype(np.uint8)
    xy = np.stack([EVENTS.x, EVENTS.y], 1)
    return {"dataset_events_t": seconds, "dataset_events_xy": xy, "dataset_events_p": polarity}


@pytest.mark.parametrize("camera", ["samsung_mono", "left_camera"])
@pytest.mark.parametrize("way", ["folder", "file", "npz"])
def test_evimo(tmp_path: Path, camera: str, way: str) -> None:
    folder = tmp_path / camera / "scene"
    folder.mkdir(parents=True)
    arrays = evimo(EVENTS.t * 1e-6, camera == "samsung_mono")
    path = folder
    if way == "npz":
        path = save_all(folder / "events.npz", **arrays)
    else:
        for name, array in arrays.items():
            save(folder / f"{name}.npy", array)
        path = folder if way == "folder" else folder / "dataset_events_xy.npy"
    opened = open_recording(path, **SIZE)
    assert opened.format == "evimo2v2"
    assert_same_events(opened.read(), RELATIVE)


def test_evimo_asks_for_its_camera_and_keeps_what_float32_resolves(tmp_path: Path) -> None:
    seconds = (60 + EVENTS.t * 1e-6).astype("f4")
    path = save_all(tmp_path / "events.npz", **evimo(seconds))
    with pytest.raises(InputError, match="--channel samsung or --channel prophesee"):
        open_recording(path, **SIZE)
    events = open_recording(path, **SIZE, camera="samsung").read()
    np.testing.assert_array_equal(events.p, EVENTS.p)
    assert np.abs(events.t - RELATIVE.t).max() <= 8  # 2^-18 s, and half of that at the origin
    assert not np.array_equal(events.t, RELATIVE.t)
    other = open_recording(path, **SIZE, camera="prophesee").read()
    np.testing.assert_array_equal(other.p, 1 - EVENTS.p)


def test_columns_of_an_archive(tmp_path: Path) -> None:
    arrays = {"x": EVENTS.x, "y": EVENTS.y, "t": EVENTS.t * 1e-6, "p": EVENTS.p.astype(bool)}
    path = save_all(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match="--time-unit"):
        open_recording(path, **SIZE)
    assert_same_events(open_recording(path, **SIZE, time_unit="s").read(), RELATIVE)
    short = save_all(tmp_path / "b.npz", **(arrays | {"p": EVENTS.p[:-1]}))
    with pytest.raises(InputError, match="arrays of equal length"):
        open_recording(short, **SIZE, time_unit="s")
    with pytest.raises(InputError, match="arrays a, b"):
        open_recording(save_all(tmp_path / "c.npz", a=PEDRO, b=PEDRO), **SIZE)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """Loading such a file with pickle would write another."""
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return mark.write_text, ("x",)

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + pickle.dumps([Evil()]))
    with pytest.raises(InputError):
        open_recording(tmp_path / "a.npy", **SIZE)
    assert not mark.exists()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_cut_and_changed_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    packed = data.draw(st.booleans())
    whole = (
        save_all(folder / "whole", True, events=PEDRO) if packed else save(folder / "whole", PEDRO)
    )
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    path = folder / "damaged"
    path.write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        events = open_recording(path, **SIZE).read()
    except InputError:
        return
    assert (np.diff(events.t) >= 0).all()


def test_a_shape_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    header = {"descr": "<i8", "fortran_order": True, "shape": (1 << 50, 4)}
    np.lib.format.write_array_header_1_0(stream, header)
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + bytes(1000))
    with pytest.raises(InputError, match="cut short"):
        open_recording(tmp_path / "a.npy", **SIZE).read()


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "20 12\n")
        archive.writestr("b.txt", "20 12\n")
    with pytest.raises(InputError, match=r"a zip archive of a\.txt, b\.txt"):
        open_recording(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match="cannot be read"):
        open_recording(path)
