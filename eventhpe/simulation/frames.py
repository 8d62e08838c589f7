"""Grayscale frames of a simulated scene, as cameras with active pixels give beside events.

Group ``frames`` of a recording's HDF5 file: ``image`` (N, H, W) uint8, a chunk a frame, and ``t``
(N,) int64 microseconds from the recording's origin: 20 a second from 0 to the end. The pixels
are linear in intensity, as active pixels are; one gain for the whole recording stands for the
exposure. The shutter is global and opens for a moment only, without motion blur. A lamp at 100 or
120 Hz stands at one phase in all frames.
"""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from eventhpe.files import require_room
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.renderer import PERIOD_US, Canvas
from eventhpe.simulation.scene.scene import Scene

FRAME_HZ = 20
BRIGHT_PERCENTILE, BRIGHT_LEVEL = 97.0, 200.0
"""The exposure puts this percentile of the first image at this level of 255."""
READ_NOISE = 255 / 10 ** (51 / 20)
"""Deviation in grey levels: a DAVIS240's frames have a dynamic range of 51 dB (Brandli et al.,
JSSC 2014). Its fixed pattern of 0.5 % is taken as corrected."""
_OWN_STREAM = 0x66726D
"""Spawn key of the noise: a generator of its own, so that frames leave the events as they are."""


def write_frames(file: h5py.File, scene: Scene, samples: int, seed: int | list[int]) -> None:
    """Render the frames of a recording into its group ``frames``.

    The same scene and seed give the same frames.

    Args:
        file: open for writing, without frames.
        scene: what the camera sees.
        samples: 100 Hz samples of the recording.
        seed: the recording's.

    Raises:
        OSError: the disk is full.
    """
    step = RATE_HZ // FRAME_HZ
    times = np.arange(0, samples, step, dtype=np.int64)
    shape = (len(times), scene.view.height, scene.view.width)
    require_room(Path(file.filename), int(np.prod(shape)))
    images = file.create_dataset(
        "frames/image",
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype=np.uint8,
        compression=hdf5plugin.Blosc(cname="zstd", clevel=3),
    )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OWN_STREAM,)))
    canvas = Canvas(scene)
    gain = BRIGHT_LEVEL / float(np.percentile(_intensity(canvas, scene, 0), BRIGHT_PERCENTILE))
    for i, sample in enumerate(times):
        images[i] = expose(_intensity(canvas, scene, int(sample)), gain, rng)
    file["frames/t"] = times * round(PERIOD_US)


def expose(
    intensity: NDArray[np.float32], gain: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W) grey levels of (H, W) intensities: linear, with read noise, saturating at 255."""
    noise = rng.standard_normal(intensity.shape, dtype=np.float32) * np.float32(READ_NOISE)
    return np.clip(np.rint(intensity * np.float32(gain) + noise), 0, 255).astype(np.uint8)


def _intensity(canvas: Canvas, scene: Scene, sample: int) -> NDArray[np.float32]:
    """(H, W) linear intensities at a 100 Hz sample."""
    if scene.mesh is not None:
        vertices = scene.mesh.vertices(sample, sample + 1)[0]
        canvas.paint(scene.mesh, vertices, canvas.shade(scene.mesh, vertices))
    return np.exp(canvas.seen(sample * PERIOD_US))
