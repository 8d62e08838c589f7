"""MotionSequence: a person's motion as SMPL parameters, and its file.

The file is a compressed .npz without pickle: one array per field, strings as unicode arrays, the
weights' hashes as JSON, and ``schema``. A newer schema is refused, never guessed at. Schema 1 had
no ``distortion_model``: all its lenses were ``radtan``. Schema 2 knew nothing of gravity, nor
whether the recording was turned.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventhpe.body import Body, retarget
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.motion_file import ARRAYS, field_value, read_npz

if TYPE_CHECKING:
    from eventhpe.export.formats import Exported, ExportOptions

SCHEMA = 3
STATE_NAMES = ("absent", "held", "tracked")
ABSENT, HELD, TRACKED = range(len(STATE_NAMES))

CAMERA_UP = "camera frame"  # where nothing tells of gravity: the image's upward direction stands in

_POSED_AT_ONCE = 32


@dataclass(eq=False)
class MotionSequence:
    """T poses of one person in one camera's frame (x right, y down, z forward, metres).

    Arrays are converted to the type given here.

    Attributes:
        t_us: (T,) int64, the moment of each pose in microseconds from the recording's origin;
            strictly increasing.
        betas: (10,) float32 SMPL shape.
        global_orient: (T, 3) float32 axis-angle, camera frame.
        body_pose: (T, 69) float32 axis-angle of joints 1..23.
        transl: (T, 3) float32 SMPL translation: pelvis = J0(betas) + transl.
        body_id, body_sha256: the body model that the parameters belong to.
        K: (3, 3) float64 intrinsics.
        distortion, distortion_model: (D,) float64 and its name, the lens as in `Camera`.
        width, height: the sensor's size in pixels.
        frame: name of the coordinate frame, such as "camera".
        region: (T, 4) float32 x0, y0, width, height of the person's region, sensor pixels.
        confidence: (T,) float32 in 0..1.
        state: (T,) uint8 index into `STATE_NAMES`.
        window_us, step_us: length of an event window, and time from one to the next.
        weights: network name -> sha256 of its weights.
        command: the command line that made this.
        up: (3,) float64 unit vector against gravity, camera frame.
        floor_m: the floor's height above the camera along ``up``, metres (below 0 as a rule): its
            points x have x . up = floor_m. NaN where nothing is known of it.
        up_source: what ``up`` was taken from, in words; `CAMERA_UP` where nothing told of it.
        turned: (3,) int64 how the sensor's events were turned to be this camera's: degrees
            clockwise, then whether mirrored left and right, top and bottom (0 or 1).
        recording_sha256: `Recording.fingerprint` of what the motion was made from; "" where that is
            not known.
        warnings: what inference found that makes the motion less trustworthy, a line each.

    Raises:
        ValueError: a field of another shape, not finite, or outside its range.
    """

    t_us: NDArray[np.int64]
    betas: NDArray[np.float32]
    global_orient: NDArray[np.float32]
    body_pose: NDArray[np.float32]
    transl: NDArray[np.float32]
    body_id: str
    body_sha256: str
    K: NDArray[np.float64]
    distortion: NDArray[np.float64]
    width: int
    height: int
    frame: str
    region: NDArray[np.float32]
    confidence: NDArray[np.float32]
    state: NDArray[np.uint8]
    window_us: int
    step_us: int
    weights: dict[str, str]
    command: str
    distortion_model: str = "radtan"
    up: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, -1.0, 0.0]))
    floor_m: float = math.nan
    up_source: str = CAMERA_UP
    turned: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    warnings: tuple[str, ...] = ()
    recording_sha256: str = ""

    def __post_init__(self) -> None:
        frames = np.asarray(self.t_us).size
        for name, (dtype, pattern) in ARRAYS.items():
            value = np.asarray(getattr(self, name))
            wanted = tuple(frames if size is None else size for size in pattern)
            if value.ndim != len(wanted) or any(
                size not in (-1, actual) for size, actual in zip(wanted, value.shape, strict=True)
            ):
                raise ValueError(f"{name} is {value.shape}, not {wanted}")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds NaN or infinity")
            converted: NDArray[Any] = value.astype(dtype)
            if issubclass(dtype, np.integer) and not np.array_equal(converted, value):
                raise ValueError(f"{name} does not fit {dtype.__name__}")
            setattr(self, name, converted)
        for name in ("width", "height", "window_us", "step_us"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, not above 0")
        if not (self.K[0, 0] > 0 and self.K[1, 1] > 0):
            raise ValueError(f"K has focal lengths {self.K[0, 0]:g} and {self.K[1, 1]:g}")
        if abs(np.linalg.norm(self.up) - 1) > 1e-6:
            raise ValueError(f"up has length {np.linalg.norm(self.up):g}, not 1")
        if math.isinf(self.floor_m):
            raise ValueError("floor_m is infinite")
        if self.turned[0] not in (0, 90, 180, 270) or not np.isin(self.turned[1:], (0, 1)).all():
            raise ValueError(f"turned is {self.turned.tolist()}")
        _ = self.camera  # refuses a lens that is none
        if (np.diff(self.t_us) <= 0).any():
            raise ValueError("t_us does not increase")
        if (self.state >= len(STATE_NAMES)).any():
            raise ValueError(f"state goes up to {self.state.max()}, past {len(STATE_NAMES) - 1}")
        if (self.confidence < 0).any() or (self.confidence > 1).any():
            raise ValueError("confidence leaves 0..1")

    def __len__(self) -> int:
        return len(self.t_us)

    @property
    def camera(self) -> Camera:
        """The camera in whose frame the motion is, with its lens."""
        lens = tuple(self.distortion.tolist())
        return Camera(self.K, self.width, self.height, distortion=lens, model=self.distortion_model)

    def turn(self, events: EventStream) -> EventStream:
        """The sensor's events as this motion's camera sees them, see ``turned``."""
        rotate, flip_x, flip_y = self.turned.tolist()
        return events.reoriented(rotate, bool(flip_x), bool(flip_y))

    @classmethod
    def from_matrices(
        cls, global_orient: Tensor, body_pose: Tensor, **others: Any
    ) -> MotionSequence:
        """Build from rotation matrices (T, 3, 3) and (T, 23, 3, 3); ``others`` by field name."""
        turns = roma.rotmat_to_rotvec(global_orient.detach().cpu())
        joints = roma.rotmat_to_rotvec(body_pose.detach().cpu())
        return cls(global_orient=turns.numpy(), body_pose=joints.flatten(1).numpy(), **others)

    def matrices(self) -> tuple[Tensor, Tensor]:
        """global_orient (T, 3, 3) and body_pose (T, 23, 3, 3) as float32 rotation matrices."""
        joints = torch.from_numpy(self.body_pose).reshape(-1, 23, 3)
        return (
            roma.rotvec_to_rotmat(torch.from_numpy(self.global_orient)),
            roma.rotvec_to_rotmat(joints),
        )

    def at(self, t_us: NDArray[np.integer]) -> MotionSequence:
        """The motion at other moments, in between by spherical and linear interpolation.

        Regions and confidences are interpolated too. A pose between two steps is ``absent`` if one
        of them is, and otherwise in the state of the nearer one.

        Args:
            t_us: (N,) microseconds from the recording's origin, strictly increasing, none before
                the first pose or after the last.

        Raises:
            ValueError: other times, or a motion without poses.
        """
        wanted = np.asarray(t_us, dtype=np.int64)
        if not len(self):
            raise ValueError("a motion without poses has no moments")
        if len(wanted) and (wanted.min() < self.t_us[0] or wanted.max() > self.t_us[-1]):
            raise ValueError(f"{wanted.min()}..{wanted.max()} us leave the motion's times")
        after = np.searchsorted(self.t_us, wanted).clip(1 if len(self) > 1 else 0)
        before = np.where(self.t_us[after] == wanted, after, after - 1)
        span = np.maximum(self.t_us[after] - self.t_us[before], 1)
        share = ((wanted - self.t_us[before]) / span)[:, None].astype(np.float32)
        nearer = np.where(share[:, 0] < 0.5, before, after)
        gone = (self.state[before] == ABSENT) | (self.state[after] == ABSENT)

        def between(values: NDArray[Any]) -> NDArray[Any]:
            rows = values.reshape(len(values), -1)
            mixed = rows[before] + share * (rows[after] - rows[before])
            return mixed.reshape(-1, *values.shape[1:])

        def turned(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            joints = torch.from_numpy(vectors).reshape(len(vectors), -1, 3)
            first, second = (roma.rotvec_to_rotmat(joints[rows]) for rows in (before, after))
            step = roma.rotmat_to_rotvec(first.mT @ second) * torch.from_numpy(share)[..., None]
            mixed = roma.rotmat_to_rotvec(first @ roma.rotvec_to_rotmat(step))
            return mixed.flatten(1).numpy()

        return replace(
            self,
            t_us=wanted,
            global_orient=turned(self.global_orient),
            body_pose=turned(self.body_pose),
            transl=between(self.transl),
            region=between(self.region),
            confidence=between(self.confidence),
            state=np.where(gone, ABSENT, self.state[nearer]),
        )

    def resample(self, rate_hz: float) -> MotionSequence:
        """The motion at ``rate_hz`` poses a second from its first moment on, see `at`.

        Raises:
            ValueError: a rate that is not above 0 or above one pose a microsecond, or no poses.
        """
        if not 0 < rate_hz <= 1e6:
            raise ValueError(f"rate is {rate_hz:g} Hz, not above 0 and up to 1e6")
        if not len(self):
            raise ValueError("a motion without poses has no moments")
        step = 1e6 / rate_hz
        # Half a microsecond more, for steps such as 33,333.3 us do not add up exactly.
        count = int((self.t_us[-1] - self.t_us[0] + 0.5) / step) + 1
        moments = self.t_us[0] + np.round(np.arange(count) * step).astype(np.int64)
        return replace(self.at(moments), step_us=max(1, round(step)))

    def slice(self, start_us: int | None = None, stop_us: int | None = None) -> MotionSequence:
        """The poses of start_us <= t < stop_us; None leaves that end open."""
        first = 0 if start_us is None else int(np.searchsorted(self.t_us, start_us))
        last = len(self) if stop_us is None else int(np.searchsorted(self.t_us, stop_us))
        cut = {
            name: getattr(self, name)[first:last]
            for name, (_, pattern) in ARRAYS.items()
            if pattern[0] is None
        }
        return replace(self, **cut)

    def on_body(self, source: Body, target: Body) -> MotionSequence:
        """The same motion on another body; see `eventhpe.body.retarget`.

        Args:
            source: the body that this motion belongs to.
            target: the body to move to.

        Raises:
            ValueError: ``source`` is not this motion's body.
        """
        if source.sha256 != self.body_sha256:
            raise ValueError(f"the motion belongs to {self.body_id}, not to {source.body_id}")
        if target.sha256 == source.sha256:
            return self
        orient, pose = self.matrices()
        betas, transl = torch.from_numpy(self.betas), torch.from_numpy(self.transl)
        moved = retarget(orient, pose, betas, transl, source, target)
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("global_orient", "body_pose"):
            del kept[name]
        kept["betas"], kept["transl"] = moved.betas.numpy(), moved.transl.numpy()
        kept["body_id"], kept["body_sha256"] = target.body_id, target.sha256
        return MotionSequence.from_matrices(moved.global_orient, moved.body_pose, **kept)

    def require_body(self, body: Body) -> None:
        """Raise InputError unless the motion belongs to ``body``."""
        if body.sha256 != self.body_sha256:
            raise InputError(
                "motion",
                f"parameters of body {self.body_id!r}",
                f"those of the loaded body {body.body_id!r}",
                "Give the body the motion was made with (--body), or infer again with this one.",
            )

    def joints(self, body: Body) -> NDArray[np.float32]:
        """All steps' joints (T, 24, 3), camera frame, metres.

        Raises:
            InputError: the motion belongs to another body.
        """
        self.require_body(body)
        orient, pose = self.matrices()
        betas = torch.from_numpy(self.betas).expand(len(self), -1)
        with torch.no_grad():
            return body.joints(betas, orient, pose, torch.from_numpy(self.transl)).numpy()

    def posed(
        self, body: Body, steps: Sequence[int] | None = None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Vertices (V, 3) and joints (24, 3) step by step, camera frame, metres.

        Args:
            body: the body that this motion belongs to.
            steps: indices; None means every step.

        Raises:
            InputError: the motion belongs to another body.
        """
        self.require_body(body)
        orient, pose = self.matrices()
        betas, transl = torch.from_numpy(self.betas), torch.from_numpy(self.transl)
        chosen = list(range(len(self)) if steps is None else steps)
        for first in range(0, len(chosen), _POSED_AT_ONCE):
            rows = chosen[first : first + _POSED_AT_ONCE]
            with torch.no_grad():
                output = body(betas.expand(len(rows), -1), orient[rows], pose[rows], transl[rows])
            yield from zip(output.vertices.numpy(), output.joints.numpy(), strict=True)

    def save(self, path: str | Path) -> None:
        """Write the file whole or not at all.

        Raises:
            InputError: the place cannot be written to.
        """
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("weights", "warnings"):
            content[name] = json.dumps(content[name])
        # Through an open file, for numpy would append ".npz" to the partial name.
        with atomic_path(Path(path)) as partial, partial.open("wb") as file:
            np.savez_compressed(file, schema=SCHEMA, **content)

    @classmethod
    def load(cls, path: str | Path) -> MotionSequence:
        """Read a file written by `save`.

        Raises:
            InputError: no such file, not a motion file, a newer schema, or wrong content.
        """
        expected = "a motion file (.npz) that eventhpe has written"
        remedy = "Run `eventhpe infer` on the recording again."
        content = read_npz(Path(path), expected, remedy)
        if "schema" not in content:
            raise InputError(path, "no field 'schema'", expected, remedy)
        if content["schema"].shape != () or content["schema"].dtype.kind not in "iu":
            raise InputError(path, "a schema that is no number", expected, remedy)
        schema = int(content["schema"])
        if not 1 <= schema <= SCHEMA:
            update = "Update eventhpe to read this file." if schema > SCHEMA else remedy
            raise InputError(path, f"schema {schema}", f"schema 1 to {SCHEMA}", update)
        if schema < 2:
            content["distortion_model"] = np.array("radtan")
        if schema < 3:
            content["up"], content["floor_m"] = np.array([0.0, -1.0, 0.0]), np.array(math.nan)
            content["up_source"] = np.array(CAMERA_UP)
            content["turned"], content["warnings"] = np.zeros(3, np.int64), np.array("[]")
            content["recording_sha256"] = np.array("")
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in content]
        if missing:
            raise InputError(path, f"no field {', '.join(missing)}", expected, remedy)
        try:
            return cls(**{name: field_value(name, content[name]) for name in names})
        except ValueError as error:
            raise InputError(path, f"wrong content: {error}", expected, remedy) from error

    def to_amass(self, path: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write an AMASS .npz, z up; options and errors of all `to_*`: `export_motion`."""
        return self._export("amass", path, options)

    def to_glb(self, path: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write an animated, skinned body for 3D programs."""
        return self._export("glb", path, options)

    def to_obj(self, folder: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write a folder of text meshes, one a step."""
        return self._export("obj", folder, options)

    def to_ply(self, folder: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write a folder of binary meshes, one a step."""
        return self._export("ply", folder, options)

    def to_bvh(self, path: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write a skeleton and its angles, in centimetres."""
        return self._export("bvh", path, options)

    def to_csv(self, path: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write a table of joints, a row a step."""
        return self._export("csv", path, options)

    def to_smpl(self, path: str | Path, **options: Unpack[ExportOptions]) -> Exported:
        """Write an .npz with the parameters of ``smplx.SMPL``."""
        return self._export("smpl", path, options)

    def _export(self, to: str, path: str | Path, options: ExportOptions) -> Exported:
        from eventhpe.export.formats import export_motion  # which knows motions itself

        return export_motion(self, to, path, **options)
