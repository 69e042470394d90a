"""Batches of lines of similar width."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


MIN_POOLS = 4


class SimilarWidthSampler(Sampler[int]):
    """
    An order of the lines in which every `batch_size` consecutive ones have similar widths.

    The lines are shuffled, sorted by width within pools of `pool_batches` batches, and the batches shuffled again: each
    line comes once in an epoch, batches differ from epoch to epoch, and wide and narrow batches follow one another at
    random. (`transformers`' own grouping leaves the batches of a pool in the order of their widths.)

    Args:
        widths: Width of each line in pixels.
        batch_size: Lines of a batch, over all processes and accumulation steps.
        seed: With the epoch (`set_epoch`) it determines the order.
        pool_batches: Batches that are sorted together, at most; more give less padding and less chance. Of few lines
            there are at least four pools.
    """

    def __init__(self, widths: Sequence[int], batch_size: int, seed: int = 0, pool_batches: int = 50):
        self.widths = torch.as_tensor(widths)
        self.batch_size, self.seed = batch_size, seed
        # From a single pool the same lines would come together in every epoch.
        self.pool_batches = max(1, min(pool_batches, len(widths) // (MIN_POOLS * batch_size)))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.widths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.widths), generator=generator)
        pools = order.split(self.pool_batches * self.batch_size)
        batches = [batch for pool in pools for batch in pool[self.widths[pool].argsort()].split(self.batch_size)]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]  # a short one would shift all after it
        for index in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[index].tolist()
        for batch in rest:
            yield from batch.tolist()
