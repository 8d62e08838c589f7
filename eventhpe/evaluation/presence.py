"""Whether nobody is found where nobody is: the share of a recording's steps that are absent."""

from collections.abc import Iterable
from dataclasses import dataclass

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.estimator import Networks
from eventhpe.events.recording import Recording
from eventhpe.inference import infer
from eventhpe.sequence import ABSENT, HELD, TRACKED


@dataclass(frozen=True)
class Presence:
    """How a recording's steps were judged.

    Attributes:
        name: the recording's file name.
        steps: how many there are.
        absent, held, tracked: shares of them, which sum to 1.
    """

    name: str
    steps: int
    absent: float
    held: float
    tracked: float


def presence_shares(
    recordings: Iterable[Recording],
    networks: Networks,
    body: Body,
    *,
    step_us: int = 50_000,
    stop_us: int | None = None,
) -> list[Presence]:
    """Run inference on each recording, before a camera of 55 degrees, and count the states.

    A recording shorter than a window gives one step: the rest of the window is silence.

    Args:
        recordings: opened recordings, with a person or without.
        networks, body: as for `infer`.
        step_us: distance of steps, microseconds.
        stop_us: judge only up to here; None is all.

    Raises:
        InputError: see `infer`.
    """
    window_us = networks.recipe.window_us
    shares = []
    for recording in recordings:
        end = max(recording.duration_us, window_us)
        motion = infer(
            recording,
            networks,
            body,
            Camera.from_fov(recording.width, recording.height),
            step_us=max(step_us, window_us) if end == window_us else step_us,
            stop_us=end if stop_us is None else min(end, stop_us),
            progress=False,
        ).motion
        absent, held, tracked = (
            float((motion.state == state).mean()) for state in (ABSENT, HELD, TRACKED)
        )
        shares.append(Presence(recording.path.name, len(motion), absent, held, tracked))
    return shares


def presence_table(rows: Iterable[Presence]) -> str:
    """A table of shares, one row a recording."""
    lines = [f"{'recording':<40}{'steps':>7}{'absent':>9}{'held':>9}{'tracked':>9}"]
    for row in rows:
        columns = "".join(f"{share:9.1%}" for share in (row.absent, row.held, row.tracked))
        lines.append(f"{row.name:<40}{row.steps:7d}{columns}")
    return "\n".join(lines)
