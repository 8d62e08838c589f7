"""The order of training items: one endless sequence, so that a run can go on where it stopped.

Items are drawn from (seed, index) already (`datasets.clips`), so nothing is shuffled: training uses
the items 0, 1, 2, ... of the sequence, each once, and an epoch is only a stretch of it. Where a run
stands is then one number.
"""

from collections.abc import Callable, Iterator

from torch.utils.data import Sampler


class OrderedSampler(Sampler[int]):
    """Hands out one rank's share of an epoch, in the order of the items.

    Step s of W ranks and batches of B uses the B W items from s B W on; rank r has the B from
    (s W + r) B on. From item 20, 2 ranks with batches of 3 get 20 21 22 and 23 24 25, then 26 27 28
    and 29 30 31.

    Args:
        count: items an epoch, of all ranks together; what does not fill a step is left for the
            next epoch.
        batch_size: B, items a batch of one rank.
        place: says, when an iteration begins, how many items the run has used.
        rank, world: this process and W.
    """

    def __init__(
        self, count: int, batch_size: int, place: Callable[[], int], rank: int = 0, world: int = 1
    ) -> None:
        self.batch_size = batch_size
        self.place = place
        self.rank = rank
        self.world = world
        self.steps = count // (batch_size * world)

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[int]:
        # A resumed epoch gets a whole epoch's items, too: the trainer stops when it has enough.
        start, step_size = self.place(), self.batch_size * self.world
        for step in range(self.steps):
            first = start + step * step_size + self.rank * self.batch_size
            yield from range(first, first + self.batch_size)
