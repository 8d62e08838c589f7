"""The learning rate schedule of both stages."""

import math

_WARM_UP = 0.05


def cosine_cycle(step: int, steps: int) -> float:
    """Return the share of the highest learning rate at one step: warm-up, cosine, then zero."""
    warm_up = max(round(_WARM_UP * steps), 1)
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min((step - warm_up) / max(steps - warm_up, 1), 1.0)
    return 0.5 * (1 + math.cos(math.pi * progress))
