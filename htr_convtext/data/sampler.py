"""Batches of lines of similar width."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch.utils.data import Sampler

from htr_convtext.errors import InputError


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
        sources: Data set of each line, for `source_weights`.
        source_weights: Share of each data set in an epoch, relative to the others; those not named have 1. An epoch
            has as many lines as before, but lines of one set may come again while those of another wait for the next
            epochs; within a set none comes again before all have come.
        source_batches: Whether each batch has the shares too: of each data set its share of the batch rounded down or
            up, and over the epoch as many lines as without this.

    Raises:
        InputError: names a weight that is not positive, or whose data set is not in `sources`, or a data set of which
            no line would come; if `source_batches` is given without weights.
    """

    def __init__(
        self,
        widths: Sequence[int],
        batch_size: int,
        seed: int = 0,
        pool_batches: int = 50,
        sources: Sequence[str] | None = None,
        source_weights: Mapping[str, float] | None = None,
        source_batches: bool = False,
    ):
        if source_batches and not source_weights:
            raise InputError("Batches have shares of data sets only where these have weights.")
        self.widths = torch.as_tensor(widths)
        self.shares = source_shares(sources or [], source_weights) if source_weights else None
        self.source_batches = source_batches
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
        if self.source_batches:
            batches = self._mixed_batches(generator)
        else:
            lines = torch.cat(self._lines_by_source()) if self.shares else torch.arange(len(self.widths))
            order = lines[torch.randperm(len(lines), generator=generator)]
            pools = order.split(self.pool_batches * self.batch_size)
            batches = [batch for pool in pools for batch in pool[self.widths[pool].argsort()].split(self.batch_size)]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]  # a short one would shift all after it
        for index in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[index].tolist()
        for batch in rest:
            yield from batch.tolist()

    def _mixed_batches(self, generator: torch.Generator) -> list[torch.Tensor]:
        """In each pool each data set's lines, from narrow to wide, are dealt to its batches; a short one is last."""
        parts = [lines[torch.randperm(len(lines), generator=generator)] for lines in self._lines_by_source()]
        counts = batch_counts([len(part) for part in parts], self.batch_size, generator)
        batches, dealt = [], torch.zeros(len(parts), dtype=torch.long)
        for pool in counts.split(self.pool_batches):
            totals = pool.sum(0)
            shares = []
            for part, start, total, column in zip(parts, dealt.tolist(), totals.tolist(), pool.T, strict=True):
                lines = part[start : start + total]
                shares.append(lines[self.widths[lines].argsort()].split(column.tolist()))
            dealt += totals
            for batch in map(torch.cat, zip(*shares, strict=True)):
                batches.append(batch[self.widths[batch].argsort()])
        return batches

    def _lines_by_source(self) -> list[torch.Tensor]:
        """The lines of this epoch: from each data set the next ones of an endless row of its permutations."""
        chosen = []
        for lines, count in self.shares:
            first = self.epoch * count
            rounds = range(first // len(lines), (first + count - 1) // len(lines) + 1)
            row = torch.cat(
                [torch.randperm(len(lines), generator=torch.Generator().manual_seed(self.seed + k)) for k in rounds]
            )
            start = first - rounds.start * len(lines)
            chosen.append(lines[row[start : start + count]])
        return chosen


def batch_counts(totals: Sequence[int], batch_size: int, generator: torch.Generator) -> torch.Tensor:
    """
    How many lines of each data set each batch has: its share of the batch, rounded down or up.

    Args:
        totals: Lines of each data set in the epoch.
        generator: Draws which batches have the lines that are no whole ones in each.

    Returns:
        `(batches, data sets)`. The columns sum up to `totals`, the rows to `batch_size`, but for the last, which has
        what is left.
    """
    lines = sum(totals)
    batches, rest = divmod(lines, batch_size)
    # The short batch by largest remainders; so what is left for the others is again between their rounded shares.
    last = [rest * total // lines for total in totals]
    by_remainder = sorted(range(len(totals)), key=lambda index: -(rest * totals[index] % lines))
    for index in by_remainder[: rest - sum(last)]:
        last[index] += 1
    whole = [batch_size * total // lines for total in totals]
    counts = torch.tensor(whole).repeat(batches, 1)
    # The row of all that is over, data set after data set, is laid round the batches: each has as many of it, and of no
    # data set more than one.
    over = [total - end - batches * share for total, end, share in zip(totals, last, whole, strict=True)]
    order, place = torch.randperm(batches, generator=generator), 0
    for index, count in enumerate(over):
        counts[order[torch.arange(place, place + count) % max(batches, 1)], index] += 1
        place += count
    return torch.cat([counts, torch.tensor([last])]) if rest else counts


def source_shares(sources: Sequence[str], weights: Mapping[str, float]) -> list[tuple[torch.Tensor, int]]:
    """
    The lines of each data set, and how many of them an epoch of `len(sources)` lines has.

    Raises:
        InputError: names a weight that is not positive, or whose data set is not in `sources`, or a data set of which
            no line would come.
    """
    names = sorted(set(sources))
    for name, weight in weights.items():
        if name not in names:
            raise InputError(f"There is no data set {name!r} to weigh; there are {', '.join(names) or 'none'}.")
        if not weight > 0:
            raise InputError(f"The weight of {name} must be positive, not {weight}.")
    total = sum(weights.get(name, 1.0) for name in names)
    ends, reached = [0], 0.0
    for name in names:
        reached += weights.get(name, 1.0) / total * len(sources)
        ends.append(round(reached))
    lines: dict[str, list[int]] = {name: [] for name in names}
    for index, source in enumerate(sources):
        lines[source].append(index)
    counts = {name: end - start for name, (start, end) in zip(names, pairwise(ends), strict=True)}
    for name, count in counts.items():
        if not count:
            raise InputError(
                f"By the weights an epoch of {len(sources)} lines would have none of {name}; leave it out."
            )
    return [(torch.tensor(lines[name]), count) for name, count in counts.items()]
