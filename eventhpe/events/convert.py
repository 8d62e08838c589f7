"""Any recording to the DSEC layout, chunk by chunk."""

from collections.abc import Callable
from pathlib import Path

from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recording import Recording
from eventhpe.files import atomic_path


def convert(
    recording: Recording, out_path: str | Path, progress: Callable[[int], object] | None = None
) -> int:
    """Write a recording in the DSEC layout (see `DsecWriter`) and return the number of events.

    Memory stays bounded by a chunk, and ``out_path`` appears only when the file is whole. The
    time origin is kept in ``t_offset``; events are cleaned on the way (``recording.repairs``).

    Args:
        recording: what to convert.
        out_path: the HDF5 file to write.
        progress: called with the number of events of each chunk written, for example the
            ``update`` of a tqdm bar.

    Raises:
        InputError: the recording is damaged, or ``out_path`` cannot be written.
    """
    with (
        atomic_path(out_path) as partial,
        DsecWriter(partial, recording.width, recording.height, recording.t_origin) as writer,
    ):
        for events in recording.chunks():
            writer.append(events)
            if progress is not None:
                progress(len(events))
    return writer.num_events
