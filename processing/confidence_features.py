"""What the frames and the hypotheses of a line show of how sure its characters, words and the line are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ctc import Hypothesis


@dataclass(frozen=True)
class LineFeatures:
    """
    Attributes:
        characters: `(n, 7)`, of the `n` characters of the best hypothesis, see `line_features`.
        gaps: `(n + 1,)`: before, between and after the characters the greatest probability of a frame that it is not
            blank: signs that something was left out.
        unread: Sum of the probabilities of all these frames that they are not blank.
        words: The words, `(first, end)` of their characters.
        frames: Of the line.
    """

    characters: np.ndarray
    gaps: np.ndarray
    unread: float
    words: tuple[tuple[int, int], ...]
    frames: int


def line_features(probabilities: np.ndarray, hypotheses: Sequence[Hypothesis], space: int | None) -> LineFeatures:
    """
    The features of a character: the greatest probability of its class within its span, and of any other class that
    is not blank; its weight, that of the hypotheses which have it at this place; and alike for all characters of a
    line their mean weight, the frames from one to the next, how probable the best path through the frames is, and
    how probable the text is to the language model, each a character.

    Args:
        probabilities: `(frames, vocab_size)`; class 0 is the blank.
        hypotheses: At least one, the best first; others have a weight by their log-probability.
        space: Id of the space, if the charset has one.
    """
    best, frames = hypotheses[0], len(probabilities)
    path = -float(np.log(np.maximum(probabilities.max(-1), 1e-9), dtype=np.float64).sum())
    ink = 1 - probabilities[:, 0].astype(np.float64)
    count = len(best.ids)
    spans = np.array(best.spans, int).reshape(-1, 2)
    starts, ends = np.append(spans[:, 0], frames), np.append(0, spans[:, 1])
    gaps = np.array([ink[end:start].max(initial=0) for end, start in zip(ends, starts, strict=True)])
    unread = float(sum(ink[end:start].sum() for end, start in zip(ends, starts, strict=True)))
    own, other = np.zeros(count), np.zeros(count)
    for position, (index, (start, end)) in enumerate(zip(best.ids, best.spans, strict=True)):
        frame = probabilities[start:end].max(0)
        own[position] = frame[index]
        frame[[0, index]] = 0
        other[position] = frame.max()
    weight = _weights(hypotheses, frames)
    pitch = float(np.median(np.diff(spans.mean(1)))) if count > 1 else 4.0
    line = [
        float(logit(weight.mean(), 1e-3, 0.999)) if count else 0.0,
        pitch,
        float(np.log(path / (count + 1) + 0.02)),
        best.language_model_log_probability / (count + 1),
    ]
    characters = np.column_stack(
        [logit(own), np.log(np.maximum(other, 1e-4)), logit(weight, 1e-3, 0.999), np.tile(line, (count, 1))]
    )
    return LineFeatures(characters, gaps, unread, words_of(best.ids, space), frames)


def word_features(line: LineFeatures, confidences: np.ndarray) -> np.ndarray:
    """
    `(words, 4)` from the confidences of the characters: of all of a word, of the space before it, of the one after it,
    and the greatest of its `gaps`.
    """
    logs = np.log(np.maximum(confidences, 1e-4))
    around = np.concatenate([[0.0], logs, [0.0]])
    return np.array(
        [
            [
                logit(np.exp(logs[start:end].sum())),
                around[start],
                around[end + 1],
                np.log(max(line.gaps[start : end + 1].max(), 1e-4)),
            ]
            for start, end in line.words
        ]
    ).reshape(-1, 4)


def text_features(line: LineFeatures, confidences: np.ndarray) -> np.ndarray:
    """`(2,)` from the confidences of the characters: of all of the line, and the greatest of its `gaps`."""
    together = np.exp(np.log(np.maximum(confidences, 1e-4)).sum())
    return np.array([logit(together), np.log(max(line.gaps.max(), 1e-4))])


def missing_features(line: LineFeatures, confidences: np.ndarray) -> np.ndarray:
    """`(2,)`: how many characters are wrong and how much is unread, a character; their logarithms."""
    count = len(confidences) + 1
    return np.log(np.array([(1 - confidences).sum() + 0.1, line.unread + 0.1]) / count)


def words_of(ids: Sequence[int], space: int | None) -> tuple[tuple[int, int], ...]:
    """First and end of the runs of ids without a space."""
    words, start = [], None
    for position, index in enumerate([*ids, space]):
        if index == space or position == len(ids):
            if start is not None:
                words.append((start, position))
            start = None
        elif start is None:
            start = position
    return tuple(words)


def logit(probability: np.ndarray, lowest: float = 1e-4, highest: float = 0.99999) -> np.ndarray:
    """The logarithm of p / (1 - p), of probabilities kept between two."""
    probability = np.clip(np.asarray(probability, np.float64), lowest, highest)
    return np.log(probability / (1 - probability))


def _weights(hypotheses: Sequence[Hypothesis], frames: int) -> np.ndarray:
    """Of each character of the first hypothesis the share of all that have it within a frame of its span."""
    best = hypotheses[0]
    logs = np.array([hypothesis.log_probability for hypothesis in hypotheses])
    share = np.exp(logs - logs.max())
    share /= share.sum()
    painted = np.zeros((len(hypotheses), frames + 2), int)
    for row, hypothesis in zip(painted, hypotheses, strict=True):
        for index, (start, end) in zip(hypothesis.ids, hypothesis.spans, strict=True):
            row[start + 1 : end + 1] = index
    return np.array(
        [
            share @ (painted[:, start : end + 2] == index).any(1)
            for index, (start, end) in zip(best.ids, best.spans, strict=True)
        ]
    )
