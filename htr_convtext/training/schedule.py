"""The learning rate of the published recipe."""

import math


# The published schedule reaches its minimum a warm-up early and then rises again. That is nothing at its 1 % of
# warm-up; short runs get no more than this share.
LONGEST_WARMUP = 0.05


def warmup_cosine(step: int, total_steps: int, warmup_steps: int, minimum: float) -> float:
    """
    The learning rate of step `step` of 1 … `total_steps` as a share of its peak, as published (arXiv 2512.05021).

    Linear for `warmup_steps`, then half a cosine down to `minimum`.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return cosine(step / (total_steps + 1 - warmup_steps), minimum)


def cosine(progress: float, minimum: float) -> float:
    """Half a cosine from 1, at `progress` 0, to `minimum`, at 1."""
    return minimum + (1 - minimum) * 0.5 * (1 + math.cos(math.pi * progress))
