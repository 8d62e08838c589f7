"""SMPL fits of a prepared DHP19: the subjects' markers read, and what was fitted to them written.

``OUT/vicon/S{s}_{k}_{m}.h5`` holds a recording's markers, ``OUT/smpl/S{s}_{k}_{m}.h5`` its fit.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import roma
import torch
from numpy.typing import NDArray

from eventhpe.body.fitting import MIN_FRAMES, FittedMotion, usable
from eventhpe.body.joints import DHP19_NAMES
from eventhpe.body.marker_model import Person
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.files import atomic_path

FIT_VERSION = 1
"""Fits of another version are made anew."""
_REMEDY = "Prepare the recording again with scripts/prepare_dhp19.py."


class Markers(NamedTuple):
    """A recording's markers: t_us (N,) int64, and places (N, 13, 3) metres, NaN where hidden."""

    t_us: NDArray[np.int64]
    places: NDArray[np.float64]

    @property
    def hidden(self) -> float:
        """Share of markers that are hidden."""
        return float(np.isnan(self.places).any(axis=-1).mean())

    @property
    def never_seen(self) -> list[str]:
        """Labels without any data."""
        hidden = np.asarray(np.isnan(self.places).any(axis=-1).all(axis=0))
        return [DHP19_NAMES[label] for label in np.flatnonzero(hidden)]


class Done(NamedTuple):
    """A fit that lies there: the digest of what it was made from, and its residual (N,) mm."""

    inputs: str
    residual_mm: NDArray[np.float64]


def vicon_files(folder: Path) -> dict[int, list[Path]]:
    """The marker files of a prepared DHP19 by subject, sorted.

    Raises:
        InputError: there are none.
    """
    found: dict[int, list[Path]] = {}
    for path in sorted((folder / "vicon").glob("*.h5")):
        if name := re.fullmatch(r"S(\d+)_\d+_\d+", path.stem):
            found.setdefault(int(name[1]), []).append(path)
    if not found:
        raise InputError(
            folder,
            "no markers",
            "a prepared DHP19, with vicon/S1_1_1.h5 and so on",
            "Run scripts/prepare_dhp19.py first.",
        )
    return dict(sorted(found.items()))


def read_markers(path: Path) -> Markers:
    """Read a recording's markers for a fit.

    Raises:
        InputError: the file is not whole, or too few frames show enough markers.
    """
    try:
        with h5py.File(path) as file:
            t_us, places = file["t_us"][:].astype(np.int64), file["markers_mm"][:] / 1000
    except (OSError, KeyError, TypeError) as error:
        expected = "an HDF5 file with t_us (N,) and markers_mm (N, 13, 3)"
        raise InputError(path, f"it cannot be read ({error})", expected, _REMEDY) from error
    shape = (len(t_us), len(DHP19_NAMES), 3)
    if places.shape != shape:
        raise InputError(path, f"markers_mm of shape {places.shape}", str(shape), _REMEDY)
    if (count := int(usable(places).sum())) < MIN_FRAMES:
        found = f"{count} of {len(places)} frames with enough markers to fit a body"
        remedy = "It cannot be fitted: leave the recording out."
        raise InputError(path, found, f"at least {MIN_FRAMES}", remedy)
    return Markers(t_us, places)


def digest(body: Body, recordings: Iterable[tuple[str, Markers]]) -> str:
    """Of all that decides a subject's fits: the body, and each recording's name and markers."""
    found = hashlib.sha256(f"{FIT_VERSION} {body.sha256}".encode())
    for name, markers in recordings:
        found.update(name.encode())
        found.update(markers.t_us.tobytes() + markers.places.tobytes())
    return found.hexdigest()


def write_fit(
    path: Path,
    t_us: NDArray[np.int64],
    person: Person,
    motion: FittedMotion,
    body: Body,
    inputs: str,
) -> None:
    """Write a fit as the clone's truth is written (`datasets.dhp19_clone.write_truth`).

    Beside its data sets ``residual_mm`` (N,), the mean distance of the visible markers, NaN where
    none is visible; and the attribute ``inputs``, see `digest`.
    """
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(motion.rotations)).numpy().astype(np.float32)
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        file["t_us"] = t_us
        file["betas"] = person.betas.astype(np.float32)
        file["global_orient"] = vectors[:, 0]
        file["body_pose"] = vectors[:, 1:].reshape(len(vectors), 69)
        file["transl"] = motion.transl.astype(np.float32)
        file["joints"] = motion.joints.astype(np.float32)
        file["marker_offsets"] = person.offsets
        file["residual_mm"] = motion.residual_mm.astype(np.float32)
        file.attrs["body_id"] = body.body_id
        file.attrs["body_sha256"] = body.sha256
        file.attrs["frame"] = "dhp19 world: z up, metres"
        file.attrs["inputs"] = inputs


def read_done(path: Path) -> Done | None:
    """What a fit that is there was made from; None where there is none, or another file."""
    try:
        with h5py.File(path) as file:
            return Done(str(file.attrs["inputs"]), file["residual_mm"][:].astype(np.float64))
    except (OSError, KeyError):
        return None
