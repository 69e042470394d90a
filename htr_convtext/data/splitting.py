"""Splits made apart by page, writer or whatever else groups lines."""

import logging
import random
from collections import Counter

from datasets import Dataset, DatasetDict

from htr_convtext.errors import InputError


logger = logging.getLogger(__name__)


def split_by_group(
    lines: Dataset, column: str, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> DatasetDict:
    """
    Splits lines so that no two splits share a value of `column`.

    Args:
        column: For example `"page"` or `"writer"`; `"line"`, where there is no such column, splits single lines.
        validation: Share of the lines, reached by whole groups drawn at random; it may be exceeded by part of a group.
            With 0 there is no such split.
        test: Likewise.
        seed: Of the draw.

    Raises:
        InputError: if there is no such column, a line has no value, the shares leave nothing to train on, or there are
            too few groups.
    """
    if column not in (*lines.column_names, "line"):
        raise InputError(f"There is no column {column!r} to split by; there are {', '.join(lines.column_names)}.")
    if min(validation, test) < 0 or validation + test >= 1:
        raise InputError(f"The shares {validation} and {test} must not be negative and must leave lines to train on.")
    if column in lines.column_names:
        groups = list(lines[column])
    else:
        logger.warning("Split by line: pages and writers of the training lines are in validation and test too.")
        groups = list(range(len(lines)))
    without = sum(group is None or group == "" for group in groups)
    if without:
        raise InputError(f"{without} of {len(lines)} lines have no {column} to split by.")
    sizes = Counter(groups)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    split_of_group = {}
    for split, share in (("test", test), ("validation", validation)):
        reached = 0
        while reached < share * len(lines) and order:
            reached += sizes[order[-1]]
            split_of_group[order.pop()] = split
    if not order:
        raise InputError(f"{len(sizes)} different values of {column} are too few to split by.")
    indices: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for index, group in enumerate(groups):
        indices[split_of_group.get(group, "train")].append(index)
    return DatasetDict({split: lines.select(chosen) for split, chosen in indices.items() if chosen})
