"""`eventhpe doctor`: what works on this machine, and what to do about what does not."""

import importlib.metadata
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).resolve().parent.parent
_OWN_NAMES = ("eventhpe", "flownet", "shapenet", "datasets", "scripts")
_NETWORKS, _WEIGHT_FILES = ("flownet", "shapenet"), (".json", ".safetensors")
_DISK_GIB = 2.0


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        ok: whether it works as it should.
        found: what was there.
        remedy: what to do; '' when nothing need be done.
        optional: True where EventHPE works without it, with less speed or fewer formats.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False


def checks() -> list[Check]:
    """Run every check. A check that itself fails is reported as not ok; nothing is raised."""
    every: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("Python", _python),
        ("torch", _torch),
        ("Numba", _numba),
        ("HDF5 with Blosc", _hdf5),
        ("OpenGL", _opengl),
        ("AEDAT4, EVT2, EVT3, DAT and ES files", _faery),
        ("ROS bags", _rosbags),
        ("video writer", _video),
        ("default body", _body),
        ("weights", _weights),
        ("packages of our names", _shadows),
        ("free disk", _disk),
    )
    return [_guarded(name, check) for name, check in every]


def format_checks(results: list[Check]) -> str:
    """The report as text: a line a check, with the remedy below where there is one."""
    width = max((len(check.name) for check in results), default=0)
    lines = []
    for check in results:
        mark = "ok  " if check.ok else ("note" if check.optional else "FAIL")
        lines.append(f"{mark}  {check.name:<{width}}  {check.found}")
        if check.remedy:
            lines.append(f"      {'':<{width}}  -> {check.remedy}")
    return "\n".join(lines)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    # A broken installation fails in any type; the report must still reach its end.
    except Exception as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        return Check(name, False, found, "Install again: pip install -e . -c constraints.txt")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Check("Python", ok, found, "" if ok else "Use Python 3.11 or newer.")


def _torch() -> Check:
    torch = import_module("torch")
    threads = torch.get_num_threads()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    return Check("torch", True, f"{torch.__version__}, {device}, {threads} CPU threads")


def _numba() -> Check:
    numba = import_module("numba")
    ok = numba.njit(lambda x: x + 1)(1) == 2
    return Check("Numba", ok, f"{numba.__version__}, compiles" if ok else "computes wrongly")


def _hdf5() -> Check:
    h5py, hdf5plugin = import_module("h5py"), import_module("hdf5plugin")
    data = np.arange(1000)
    with h5py.File(io.BytesIO(), "w") as file:
        file.create_dataset("data", data=data, chunks=True, compression=hdf5plugin.Blosc())
        file.flush()
        ok = bool((file["data"][:] == data).all())
    remedy = "" if ok else "Install again: pip install --force-reinstall h5py hdf5plugin"
    found = f"h5py {h5py.__version__}, hdf5plugin {hdf5plugin.version}"
    return Check("HDF5 with Blosc", ok, found, remedy)


def _opengl() -> Check:
    opengl = import_module("eventhpe.rendering.opengl")
    route = opengl.find_route()
    if route.platform:
        return Check("OpenGL", True, f"pyrender by {route.platform.upper()}")
    return Check(
        "OpenGL",
        False,
        f"none, --backend egl is not to be had ({route.reason})",
        'pip install "eventhpe[render]", and on Debian: apt-get install libegl1 libgl1-mesa-dri',
        optional=True,
    )


def _optional_package(name: str, package: str, extra: str) -> Check:
    try:
        import_module(package)
    except ImportError as error:
        remedy = f'pip install "eventhpe[{extra}]"'
        return Check(name, False, f"not there ({error})", remedy, optional=True)
    return Check(name, True, f"{package} {importlib.metadata.version(package)}")


def _faery() -> Check:
    return _optional_package("AEDAT4, EVT2, EVT3, DAT and ES files", "faery", "io")


def _rosbags() -> Check:
    return _optional_package("ROS bags", "rosbags", "io")


def _video() -> Check:
    check = _optional_package("video writer", "av", "viz")
    if not check.ok:
        return check
    codecs = import_module("av").codecs_available
    if "libx264" not in codecs:
        remedy = "pip install --force-reinstall av"
        return Check("video writer", False, "PyAV without libx264", remedy, optional=True)
    return check


def _body() -> Check:
    body = import_module("eventhpe.body").load_body()
    return Check("default body", True, f"{body.body_id}, sha256 {body.sha256[:12]}")


def _weights(folder: Path = _ROOT / "eventhpe" / "weights") -> Check:
    files = [folder / f"{name}-small{end}" for name in _NETWORKS for end in _WEIGHT_FILES]
    lost = [file.name for file in files if not file.is_file()]
    if lost:
        found = f"no {', '.join(lost)} in {folder}"
        return Check("weights", False, found, "Install EventHPE again, from its release.")
    return Check("weights", True, ", ".join(_NETWORKS))


def _shadows(root: Path = _ROOT) -> Check:
    """Whether each of our top-level names leads into this installation."""
    name = "packages of our names"
    strangers = []
    for package in _OWN_NAMES:
        place = _first_answer(package)
        if place is not None and not place.is_relative_to(root / package):
            strangers.append(f"{package} is {place}")
    # Two wheels in one site-packages overwrite each other's files at the same place.
    if _installed("datasets"):
        strangers.append("Hugging Face's datasets is installed here")
    if not strangers:
        return Check(name, True, f"all from {root}")
    remedy = "Give EventHPE a virtual environment of its own, and start it outside other projects."
    return Check(name, False, "; ".join(strangers), remedy)


def _first_answer(package: str) -> Path | None:
    """Where a fresh import of ``package`` would lead, whatever is already imported."""
    for finder in sys.meta_path:
        spec = finder.find_spec(package, None)
        if spec is None:
            continue
        places = list(spec.submodule_search_locations or ())
        if spec.origin:
            places.insert(0, spec.origin)
        return Path(places[0]).resolve() if places else None
    return None


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    ok = free >= _DISK_GIB
    remedy = "" if ok else f"Free {_DISK_GIB:.0f} GiB for caches and videos."
    return Check("free disk", ok, f"{free:.1f} GiB in {Path.cwd()}", remedy, optional=True)
