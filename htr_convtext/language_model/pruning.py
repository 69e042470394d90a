"""Smaller language models: without the n-grams that change least (Stolcke 1998, arXiv cs/0006025)."""

import numpy as np

from ..errors import InputError
from .kenlm_trie import file_size
from .ngrams import Level, NGramModel, build_levels


def prune(model: NGramModel, max_bytes: int) -> NGramModel:
    """
    The model itself, or what is left of it so that its file has at most so many bytes.

    An n-gram is worth what the model loses without it: its probability, in its context, times the logarithm of the
    ratio to the probability by back-off. Parts of an n-gram that stays, stay.

    Raises:
        InputError: if not even single characters fit.
    """
    if file_size(model.vocabulary, model.counts) <= max_bytes:
        return model
    smallest = file_size(model.vocabulary, [model.counts[0]] + [0] * (model.order - 1))
    if smallest > max_bytes:
        raise InputError(f"A language model of these characters has at least {smallest} bytes, not {max_bytes}.")
    worth = _worth(model)
    low, high = 0.0, max(each.max() for each in worth[1:] if len(each))
    for _ in range(40):
        middle = (low + high) / 2
        kept = _keep(model, worth, middle)
        if file_size(model.vocabulary, [int(each.sum()) for each in kept]) <= max_bytes:
            high = middle
        else:
            low = middle
    return _select(model, _keep(model, worth, high))


def _worth(model: NGramModel) -> list[np.ndarray]:
    first = model.levels[0]
    joint = first.probability.copy()  # the probability that an n-gram begins at a character
    joint[model.vocabulary.begin] = first.probability[model.vocabulary.end]
    worth, below = [np.full(len(first), np.inf)], first
    for level in model.levels[1:]:
        joint = joint[level.prefix] * level.probability
        by_backoff = below.backoff[level.prefix] * below.probability[level.suffix]
        worth.append(np.abs(joint * np.log(level.probability / by_backoff)))
        below = level
    return worth


def _keep(model: NGramModel, worth: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    kept = [each > threshold for each in worth]
    for number in range(model.order - 1, 1, -1):
        level = model.levels[number]
        kept[number - 1][level.suffix[kept[number]]] = True
        kept[number - 1][level.prefix[kept[number]]] = True
    return kept


def _select(model: NGramModel, kept: list[np.ndarray]) -> NGramModel:
    levels, numbers = [], None
    for level, keep in zip(model.levels, kept, strict=True):
        suffix = level.suffix[keep] if numbers is None else numbers[level.suffix[keep]]
        levels.append(Level(suffix, level.first[keep], level.probability[keep], level.backoff[keep]))
        numbers = np.cumsum(keep) - 1
    return build_levels(model.vocabulary, levels)
