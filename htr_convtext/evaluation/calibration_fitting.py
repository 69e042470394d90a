"""Fits the confidences of a model and a decoder to lines with ground truth that neither learned from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from processing.confidence import Calibration, Regression
from processing.confidence_features import (
    LineFeatures,
    line_features,
    missing_features,
    text_features,
    word_features,
)
from processing.ctc import Hypothesis

from ..errors import InputError
from .calibration import right_characters, right_words


@dataclass(frozen=True)
class ReadLine:
    """
    A line as a decoder read it, and its ground truth.

    Attributes:
        probabilities: `(frames, vocab_size)`, without padding.
        hypotheses: The best first.
        reference: Ids of the ground truth, by the tokenizer; -1 for characters that it does not know.
        collection: What it belongs to: lines of one data set, archive or writer have their bias in common.
        page: Name of its page within the collection, if it is known.
    """

    probabilities: np.ndarray
    hypotheses: Sequence[Hypothesis]
    reference: Sequence[int]
    collection: str
    page: str | None = None


@dataclass(frozen=True)
class _Line:
    """What is kept of a line while others are read."""

    features: LineFeatures
    right: np.ndarray
    right_words: np.ndarray
    whole: bool
    added: int
    missing: int
    length: int
    collection: str
    page: str | None

    @property
    def errors(self) -> int:
        return int((~self.right).sum()) + self.missing


def fit_calibration(lines: Iterable[ReadLine], space: int | None) -> Calibration:
    """
    Fits confidences and the expected CER; the same lines in the same order give the same calibration.

    How much collections differ is measured on each with what is fitted on the others, and pages within them likewise;
    of a single collection nothing is known of others, so it is taken to differ from them as its pages do.

    Args:
        lines: One after the other, so that probabilities need not be kept. At least some hundred, of validation: on
            lines that the model or the language model learned from it is surer than elsewhere.
        space: Id of the space, if the charset has one.

    Raises:
        InputError: if no character was read in any line.
    """
    known = [_keep(line, space) for line in lines]
    read = [line for line in known if len(line.right)]
    if not read:
        raise InputError("Confidences need lines with ground truth in which something is read; there are none.")
    regressions = _fit_regressions(read)
    characters, missing = regressions
    confidences = [characters.probabilities(line.features.characters) for line in read]
    words = fit_logistic(
        np.concatenate([word_features(line.features, found) for line, found in zip(read, confidences, strict=True)]),
        np.concatenate([line.right_words for line in read]),
    )
    whole = fit_logistic(
        np.stack([text_features(line.features, found) for line, found in zip(read, confidences, strict=True)]),
        np.array([line.whole for line in read]),
    )
    empty = [line for line in known if not len(line.right)]
    variances = _variances(read, _expect_elsewhere(read, regressions))
    return Calibration(
        characters=characters,
        words=words,
        line=whole,
        missing=missing,
        added_share=sum(line.added for line in read) / max(1, sum(int((~line.right).sum()) for line in read)),
        # Laplace's rule of succession: never 0 or 1, however few were seen.
        empty_right=(sum(line.whole for line in empty) + 1) / (len(empty) + 2),
        characters_per_frame=max(1, sum(line.length for line in read)) / sum(line.features.frames for line in read),
        **variances,
    )


def _keep(line: ReadLine, space: int | None) -> _Line:
    ids, reference = line.hypotheses[0].ids, tuple(line.reference)
    ((right, added, missing),) = right_characters([ids], [reference])
    (words,) = right_words([ids], [reference], space)
    features = line_features(line.probabilities, line.hypotheses, space)
    return _Line(features, right, words, ids == reference, added, missing, len(reference), line.collection, line.page)


def _fit_regressions(lines: Sequence[_Line]) -> tuple[Regression, Regression]:
    """Of characters that are right, and of missing ones."""
    characters = fit_logistic(
        np.concatenate([line.features.characters for line in lines]), np.concatenate([line.right for line in lines])
    )
    features = np.stack(
        [missing_features(line.features, characters.probabilities(line.features.characters)) for line in lines]
    )
    counts, exposure = np.array([[line.missing, len(line.right) + 1] for line in lines], float).T
    return characters, fit_poisson(features, counts, exposure)


def _expected_errors(lines: Sequence[_Line], regressions: tuple[Regression, Regression]) -> np.ndarray:
    characters, missing = regressions
    expected = []
    for line in lines:
        found = characters.probabilities(line.features.characters)
        rate = np.exp(missing(missing_features(line.features, found)[None])[0])
        expected.append((1 - found).sum() + (len(found) + 1) * rate)
    return np.array(expected)


def _expect_elsewhere(lines: Sequence[_Line], regressions: tuple[Regression, Regression]) -> np.ndarray:
    """The errors that are expected of each line by what is fitted on the other collections."""
    expected = _expected_errors(lines, regressions)
    collections = np.array([line.collection for line in lines])
    names = np.unique(collections)
    for name in names if len(names) > 1 else []:
        inside = collections == name
        others = _fit_regressions([line for line, held in zip(lines, inside, strict=True) if not held])
        expected[inside] = _expected_errors([line for line, held in zip(lines, inside, strict=True) if held], others)
    return expected


def _variances(lines: Sequence[_Line], expected: np.ndarray) -> dict[str, float]:
    """
    The variances of `Calibration`, by moments: products of the residuals of two lines of one page have the mean
    (page_variance + collection_variance) · product of their expected errors, those of two pages collection_variance.
    """
    residuals = np.array([line.errors for line in lines]) - expected
    between, products, squares = [], 0.0, 0.0
    for name in sorted({line.collection for line in lines}):
        inside = np.array([line.collection == name for line in lines])
        # A line without the name of a page is a page of its own.
        pages = [
            ("page", line.page) if line.page is not None else ("line", position)
            for position, line in enumerate(lines)
            if line.collection == name
        ]
        numbers = {page: number for number, page in enumerate(dict.fromkeys(pages))}
        index = [numbers[page] for page in pages]
        on_pages = np.bincount(index, residuals[inside]), np.bincount(index, expected[inside])
        apart, same = (
            [values.sum() ** 2 - (values**2).sum() for values in on_pages],
            [
                (sums**2).sum() - (values[inside] ** 2).sum()
                for sums, values in zip(on_pages, (residuals, expected), strict=True)
            ],
        )
        if len(numbers) > 1:
            between.append(apart[0] / apart[1])
        products, squares = products + same[0], squares + same[1]
    collection = max(0.0, float(np.mean(between))) if between else 0.0
    both = max(products / squares, collection) if squares > 1e-9 else collection
    page = both - collection
    line = ((residuals**2).sum() - both * (expected**2).sum()) / expected.sum()
    if len({line.collection for line in lines}) == 1:
        collection = max(collection, page)
    return {
        "line_variance": float(max(line, 1.0)),
        "page_variance": float(page),
        "collection_variance": float(collection),
    }


def fit_logistic(features: np.ndarray, right: np.ndarray) -> Regression:
    """A logistic regression, by Newton's method."""

    def moments(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = 1 / (1 + np.exp(-linear))
        return mean, mean * (1 - mean)

    return _fit(features, np.asarray(right, float), np.ones(len(right)), moments, 0.0)


def fit_poisson(features: np.ndarray, counts: np.ndarray, exposure: np.ndarray) -> Regression:
    """A Poisson regression of the logarithm of `counts / exposure`, by Newton's method."""

    def moments(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = np.exp(np.minimum(linear, 50.0))
        return mean, mean

    start = np.log((counts.sum() + 0.5) / (exposure.sum() + 1))
    return _fit(features, counts, exposure, moments, float(start))


def _fit(
    features: np.ndarray,
    target: np.ndarray,
    exposure: np.ndarray,
    moments: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: float,
) -> Regression:
    """
    Weights of standardised features, with a ridge of 1: what does not vary gets none. Half an event is added at their
    means, so that a share of 0 or 1 does not become certainty.
    """
    center, scale = features.mean(0), features.std(0)
    constant = scale < 1e-9
    standard = np.where(constant, 0.0, (features - center) / np.where(constant, 1.0, scale))
    design = np.column_stack([np.ones(len(features) + 1), np.vstack([standard, np.zeros(features.shape[1])])])
    target, exposure = np.append(target, 0.5), np.append(exposure, 1.0)
    ridge = np.eye(design.shape[1])
    ridge[0, 0] = 0
    weights = np.zeros(design.shape[1])
    weights[0] = start
    for _ in range(100):
        mean, variance = moments(design @ weights)
        gradient = design.T @ (target - exposure * mean) - ridge @ weights
        step = np.linalg.solve((design * (exposure * variance)[:, None]).T @ design + ridge, gradient)
        weights += np.clip(step, -1, 1)  # a whole step may overshoot where the target is rare
        if np.abs(step).max() < 1e-8:
            break
    slopes = np.where(constant, 0.0, weights[1:] / np.where(constant, 1.0, scale))
    return Regression(
        float(weights[0] - slopes @ center),
        tuple(slopes.tolist()),
        tuple(features.min(0).tolist()),
        tuple(features.max(0).tolist()),
    )
