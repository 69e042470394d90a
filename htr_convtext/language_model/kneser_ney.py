"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999, https://doi.org/10.1006/csla.1999.0128)."""

from collections.abc import Iterable

import numpy as np

from ..errors import InputError
from .ngrams import Level, NGramModel
from .vocabulary import Vocabulary


ORDER = 6  # the longest that KenLM reads as it is distributed
DEFAULT_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)  # where a text is too small to tell


def train_ngrams(lines: Iterable[str], vocabulary: Vocabulary, order: int = ORDER) -> NGramModel:
    """
    A model of the characters of lines.

    Characters outside the vocabulary are learned as the unknown.

    Raises:
        InputError: if there is no text.
    """
    text, position = vocabulary.stream(lines)
    if not len(text):
        raise InputError("There is no text to learn a language model from.")
    size = len(vocabulary)

    # All n-grams of the text, and how often they are there.
    suffixes, firsts, counts = [np.zeros(size, np.int64)], [np.arange(size)], [np.bincount(text, minlength=size)]
    ending_here = text
    for number in range(1, order):
        inside = position >= number
        keys = ending_here * size + np.roll(text, number)
        found, numbers, times = np.unique(keys[inside], return_inverse=True, return_counts=True)
        ending_here = np.zeros_like(text)
        ending_here[inside] = numbers
        suffixes.append(found // size)
        firsts.append(found % size)
        counts.append(times)

    # In all but the longest, count the different characters before an n-gram; nothing comes before a beginning.
    for number in range(order - 1):
        before = np.bincount(suffixes[number + 1], minlength=len(firsts[number]))
        counts[number] = np.where(firsts[number] == vocabulary.begin, counts[number], before)
    counts[0][vocabulary.begin] = 0

    everything = [np.zeros(len(first)) for first in firsts]
    model = NGramModel(
        vocabulary,
        [Level(suffix, first, empty, empty) for suffix, first, empty in zip(suffixes, firsts, everything, strict=True)],
    )
    below = None
    for level, count in zip(model.levels, counts, strict=True):
        discount = _discounts(count)[count.clip(max=3)]
        if below is None:
            # What the discounts leave is shared by all but the beginning, which is never predicted.
            total = count.sum()
            level.probability = (count - discount) / total + discount.sum() / total / (size - 1)
            level.probability[vocabulary.begin] = 0
        else:
            total = np.bincount(level.prefix, count, minlength=len(below))
            left = np.bincount(level.prefix, discount, minlength=len(below))
            below.backoff = np.where(total > 0, left / np.maximum(total, 1), 1.0)
            higher = (count - discount) / total[level.prefix]
            level.probability = higher + below.backoff[level.prefix] * below.probability[level.suffix]
        level.backoff = np.ones(len(level))
        below = level
    return model


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken off a count of 0, 1, 2, and of 3 and more."""
    n1, n2, n3, n4 = ((counts == times).sum() for times in (1, 2, 3, 4))
    if n1 and n2 and n3 and n4:
        share = n1 / (n1 + 2 * n2)
        found = np.array([0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3])
        if ((found >= 0) & (found <= np.arange(4))).all():
            return found
    return np.array(DEFAULT_DISCOUNTS)
