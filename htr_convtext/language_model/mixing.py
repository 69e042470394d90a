"""One language model of several: linear interpolation, with weights by expectation maximisation."""

from collections.abc import Sequence

import numpy as np

from .ngrams import Level, NGramModel, build_levels


def best_weights(models: Sequence[NGramModel], texts: Sequence[Sequence[str]], steps: int = 50) -> list[float]:
    """
    The weights under which the mixture finds texts most probable, by EM.

    Args:
        texts: Of each source its lines; each source counts the same, however long it is.
    """
    found = [np.stack([model.probabilities(lines) for model in models]) for lines in texts if len(lines)]
    shares = np.concatenate([np.full(part.shape[1], 1 / len(found) / part.shape[1]) for part in found])
    each = np.concatenate(found, axis=1)
    weights = np.full(len(models), 1 / len(models))
    for _ in range(steps):
        parts = weights[:, None] * each
        weights = (parts / parts.sum(0)) @ shares
    return weights.tolist()


def mix(models: Sequence[NGramModel], weights: Sequence[float]) -> NGramModel:
    """
    A back-off model of the n-grams of all the models, each with the weighted mean of their probabilities.

    Raises:
        ValueError: if their vocabularies or orders differ.
    """
    vocabulary, order = models[0].vocabulary, models[0].order
    if any(model.vocabulary != vocabulary or model.order != order for model in models):
        raise ValueError("Only models of one vocabulary and order can be mixed.")
    size = len(vocabulary)

    levels: list[Level] = []
    numbers = [np.arange(size)] * len(models)  # of the n-grams of each model among all, in the level below
    full: list[np.ndarray] = []  # of each model the probabilities of all the n-grams of the level below
    backoffs: list[np.ndarray] = []  # and their back-off weights
    for number in range(order):
        parts = [model.levels[number] for model in models]
        if number == 0:
            suffix, first = np.zeros(size, np.int64), np.arange(size)
            full = [part.probability for part in parts]
        else:
            keys = [known[part.suffix] * size + part.first for part, known in zip(parts, numbers, strict=True)]
            union = np.unique(np.concatenate(keys))
            suffix, first = union // size, union % size
            level = Level(suffix, first, np.zeros(len(union)), np.ones(len(union)))
            prefix = NGramModel(vocabulary, [*levels, level]).levels[-1].prefix
            numbers = [np.searchsorted(union, key) for key in keys]
            full = [backoff[prefix] * lower[suffix] for backoff, lower in zip(backoffs, full, strict=True)]
            for own, part, known in zip(full, parts, numbers, strict=True):
                own[known] = part.probability
        backoffs = []
        for part, known in zip(parts, numbers, strict=True):
            backoffs.append(np.ones(len(first)))
            backoffs[-1][known] = part.backoff
        probability = sum(weight * own for weight, own in zip(weights, full, strict=True))
        levels.append(Level(suffix, first, probability, np.ones(len(first))))
    return build_levels(vocabulary, levels)
