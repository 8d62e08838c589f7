"""Optimisation: a smoothed motion is moved until its recording agrees with it.

No network learns: the motion's own numbers are moved, all 24 rotations and the pelvis of each
tracked step, so that the body moves as the events' flow does, lies under its events and has events
on its moving outline (`shapenet.self_supervision`). What events do not say, the estimate does:
moving away from it costs the more, the surer the network was, and quick corrections cost more
than slow ones. The shape stays.

A recording is worked through in stretches, so that memory does not grow with its length.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.body import Body
from eventhpe.estimator import Estimator, Networks, Reading
from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.gravity import settle
from eventhpe.inference import prepared_windows
from eventhpe.refinement import INSIDE
from eventhpe.sequence import HELD, TRACKED, MotionSequence
from eventhpe.stretch import NUM_OFFSETS, Poses, Stretch, Taken
from shapenet.self_supervision import SelfSupervision

ITERATIONS = 40
REDRAW = 10  # iterations until it is drawn anew which vertices are seen
RATE = 0.08  # of Adam at first, falling evenly to 0; in `eventhpe.stretch.SPREADS`
STRETCH = 200  # steps: 150 MB of what networks read, at 96 pixels
SEAM = 2  # steps of the stretch before, as far as second differences reach back


@dataclass(frozen=True)
class Optimisation:
    """What `optimise` returns.

    Attributes:
        motion: the optimised one, or the one given where nothing was better.
        before, after: the loss without labels over the steps that took part; 0 without any.
        steps: how many steps took part.
        interrupted: Ctrl-C came; the motion is the one given.
    """

    motion: MotionSequence
    before: float
    after: float
    steps: int
    interrupted: bool


def optimise(
    motion: MotionSequence,
    recording: Recording,
    networks: Networks,
    body: Body,
    *,
    roi: tuple[int, int, int, int] | None = None,
    orient: Callable[[EventStream], EventStream] | None = None,
    keep_start: bool = False,
    progress: bool = True,
) -> Optimisation:
    """Move a motion towards what its recording shows.

    Only tracked steps take part, and of them only those whose pelvis lies well inside the image:
    of a body at its border too little is seen. Corrections of the other steps are interpolated, and
    level at the ends. A stretch of steps is changed only if its loss fell.

    Args:
        motion: from `infer`, better after `eventhpe.refinement.refine`.
        recording, networks, roi, orient: those that the motion was made with.
        body: the body that the motion belongs to.
        keep_start: the steps held at the beginning are a start pose of the user's, and stay.
        progress: show a bar on stderr.

    Raises:
        ValueError: the motion belongs to another body, or to windows of other times.
        InputError: an ROI outside the image.
    """
    if body.sha256 != motion.body_sha256:
        raise ValueError(f"the motion belongs to {motion.body_id}, not to {body.body_id}")
    if networks.recipe.window_us != motion.window_us:
        found = networks.recipe.window_us
        raise ValueError(f"the motion has windows of {motion.window_us} us, the networks {found}")
    mover = _Mover(motion, body, networks)
    usable = mover.usable()
    if not usable.any():
        return Optimisation(motion, 0.0, 0.0, 0, False)
    stretch: Taken = []
    interrupted = False
    bar = tqdm(total=len(motion), desc="optimising", unit="step", disable=not progress)
    try:
        for k, reading in enumerate(_readings(mover, recording, networks, roi, orient)):
            if reading is not None and usable[k]:
                stretch.append((k, reading))
            else:
                bar.update()
            if len(stretch) == STRETCH or k == len(motion) - 1:
                mover.move(stretch, bar)
                stretch = stretch[-SEAM:]
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    unchanged = interrupted or not mover.offsets.any()
    result = motion if unchanged else settle(mover.result(keep_start), body)
    return Optimisation(result, *mover.losses(), int(mover.taken.sum()), interrupted)


def _readings(
    mover: "_Mover",
    recording: Recording,
    networks: Networks,
    roi: tuple[int, int, int, int] | None,
    orient: Callable[[EventStream], EventStream] | None,
) -> Iterator[Reading | None]:
    """What the networks read for each step of the motion."""
    motion = mover.motion
    camera = motion.camera
    begin, end = int(motion.t_us[0]) - motion.window_us, int(motion.t_us[-1])
    windows, *_ = prepared_windows(
        recording, networks.recipe, camera, motion.step_us, begin, end, roi, orient
    )
    # What is read does not depend on the start, but networks of increments begin from one.
    estimator = Estimator(networks, camera, mover.poses.first_step(motion))
    for t_us in motion.t_us.tolist():
        window = next(windows, None)
        if window is None or window.t1 != t_us:
            raise ValueError(f"the motion has a step at {t_us} us, the recording no window to it")
        estimator.step(window, motion.step_us)
        yield estimator.reading


class _Mover:
    """Works through a motion stretch by stretch, and keeps the offsets of all its steps."""

    def __init__(self, motion: MotionSequence, body: Body, networks: Networks) -> None:
        self.motion = motion
        self.poses = Poses.of(motion, body)
        self.offsets = torch.zeros(len(motion), NUM_OFFSETS)
        self.taken: NDArray[np.bool_] = np.zeros(len(motion), bool)
        self._sums = np.zeros(3)  # losses before and after, times steps; steps
        recipe = networks.recipe
        self.device = next(networks.shapenet.parameters()).device
        # A copy, for the caller's body stays on its own device.
        body = copy.deepcopy(body).to(self.device)
        self.supervision = SelfSupervision(body, recipe.bins, recipe.window_us * 1e-6)

    def usable(self) -> NDArray[np.bool_]:
        """(T,) tracked steps whose pelvis is well inside the image, by its columns."""
        motion = self.motion
        column = motion.K[0, 2] + motion.K[0, 0] * self.poses.ray[:, 0].numpy()
        low, high = (share * motion.width for share in INSIDE)
        return (motion.state == TRACKED) & (column > low) & (column < high)

    def losses(self) -> tuple[float, float]:
        """The loss before and after, averaged over the steps so far."""
        before, after, steps = self._sums.tolist()
        return before / max(steps, 1.0), after / max(steps, 1.0)

    def move(self, steps: Taken, bar: "tqdm[NoReturn]") -> None:
        """Optimise one stretch. Steps of the stretch before only hold on to what follows."""
        rows = [k for k, _ in steps]
        fixed = int(self.taken[rows].sum())
        count = len(rows) - fixed
        if count == 0:
            return
        self.taken[rows] = True
        stretch = Stretch(steps, self.motion, self.poses, self.supervision)
        first = self.offsets[rows].to(self.device)
        before = stretch.judged(first)
        offsets = first.clone().requires_grad_()
        optimizer = torch.optim.Adam([offsets], RATE)
        for k in range(ITERATIONS):
            optimizer.param_groups[0]["lr"] = RATE * (1.0 - k / ITERATIONS)
            if k % REDRAW == 0:
                sights = stretch.look(offsets)
            optimizer.zero_grad()
            stretch.prior(offsets).backward()
            for loss in stretch.losses(offsets, sights):
                loss.backward()
            assert offsets.grad is not None
            offsets.grad[:fixed] = 0.0
            optimizer.step()
            bar.update((k + 1) * count // ITERATIONS - k * count // ITERATIONS)
        after = stretch.judged(offsets.detach())
        if after < before:
            self.offsets[rows] = offsets.detach().cpu()
        self._sums += np.array([before, min(after, before), 1.0]) * (count, count, count)

    def result(self, keep_start: bool) -> MotionSequence:
        """The motion with its offsets; those of steps that took no part are interpolated."""
        held = self.motion.state == HELD
        # Held steps are one moment between those around them: nobody moves while held.
        clock = np.cumsum(~(held & np.roll(held, 1)))
        at, known = clock[self.taken], self.offsets[self.taken].numpy()
        filled = np.stack([np.interp(clock, at, column) for column in known.T], axis=1)
        if keep_start:
            filled[: int(np.argmin(np.append(held, False)))] = 0.0
        rotations, pelvis = self.poses.moved(torch.from_numpy(filled).float())
        kept = {field.name: getattr(self.motion, field.name) for field in fields(self.motion)}
        del kept["global_orient"], kept["body_pose"]
        kept["transl"] = (pelvis - self.poses.rest).numpy()
        return MotionSequence.from_matrices(rotations[:, 0], rotations[:, 1:], **kept)
