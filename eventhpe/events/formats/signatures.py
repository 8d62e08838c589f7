"""What a file is, told by its first bytes; a folder, by what lies in it."""

import zipfile
from pathlib import Path

from eventhpe.errors import InputError
from eventhpe.events.formats.numpy_formats import EVIMO_TIMES
from eventhpe.events.formats.text import is_celex_text, is_event_text, zip_members

FORMATS = (
    "an HDF5 recording (Metavision, M3ED, DSEC, RVT, Monash, MVSEC, v2e, EventEgo3D), "
    "AEDAT 2.0, 3.1 or 4, Prophesee RAW (EVT2, EVT3) or DAT, Event Stream, a ROS bag, "
    "e2vid text or zip, npy or npz, or a CeleX csv"
)
_STARTS = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"#!AER-DAT2.0": "aedat2",
    b"#!AER-DAT3.1": "aedat31",
    b"#!AER-DAT4.0": "aedat4",
    b"Event Stream": "es",
    b"#ROSBAG V2.0": "rosbag",
    b"\x93NUMPY": "npy",
    b"%": "prophesee",
}
_NEAR = {
    b"#!AER-DAT": "another version of AEDAT",
    b"#ROSBAG": "a ROS bag of another version than 2.0",
    b"\x89MCAP": "an MCAP file (name its ROS 2 bag's folder, which holds metadata.yaml)",
    b"SQLite format 3": "a database (name its ROS 2 bag's folder, which holds metadata.yaml)",
}


def recognise(path: Path) -> str:
    """The kind of container, a key for `open_recording`.

    Raises:
        InputError: nothing readable there, or no kind that is known.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists() and not path.is_file():
            # A pipe would wait for its writer, and cannot be read twice.
            raise InputError(path, "no regular file", "an event recording", "Save it as a file.")
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(
            path, f"no readable file ({error.strerror})", "an event recording", "Check the path."
        ) from error
    if not head:
        raise InputError(path, "an empty file", FORMATS, "Copy or download it again.")
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head.startswith(b"PK"):
        return _archive(path)
    first_line = head.split(b"\n", 1)[0]
    if is_event_text(first_line):
        return "text"
    if is_celex_text(first_line):
        return "celex"
    raise InputError(path, _guess(head), FORMATS, "Convert it to one of these first.")


def _folder(path: Path) -> str:
    if (path / "metadata.yaml").is_file():
        return "rosbag"
    if (path / EVIMO_TIMES).is_file():
        return "npy"
    if any(path.glob("*.csv")):
        return "celex"
    expected = f"a recording, or a ROS 2 bag's, EVIMO2v2's or CeleX's folder ({FORMATS})"
    raise InputError(path, "a folder without one", expected, "Name the file inside it.")


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = zip_members(archive)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        found = f"a zip archive that cannot be read ({error})"
        raise InputError(path, found, "a whole file", "Copy or download it again.") from error
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if len(names) == 1 and names[0].endswith(".txt"):
        return "text-zip"
    found = f"a zip archive of {', '.join(names[:6]) or 'nothing'}"
    raise InputError(path, found, "one .txt or arrays (.npy)", "Unpack it and name the recording.")


def _guess(head: bytes) -> str:
    for start, name in _NEAR.items():
        if head.startswith(start):
            return name
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head[:64]):
        return f"text starting {head[:24].decode()!r}"
    return f"unknown bytes {head[:8].hex(' ')}"
