"""CTC: from the probabilities of the frames of a line to what is written in it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Hypothesis:
    """
    What a decoder finds in a line.

    Attributes:
        ids: Ids of the characters.
        spans: For each its first frame and the one after its last.
        log_probability: Natural logarithm of what the decoder maximises: the probability of the best path for greedy
            decoding, that of the text over its paths for a beam search.
        language_model_log_probability: Natural logarithm of the probability of the text to the language model, 0
            without one.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    log_probability: float
    language_model_log_probability: float = 0.0


@dataclass(frozen=True)
class LineFrames:
    """
    What a network sees in the image of a line.

    Attributes:
        probabilities: `(frames, vocab_size)`, without padding, class 0 the blank.
        columns: Pixel columns of the image that a frame stands for.
        width: Of the image, in pixels.
    """

    probabilities: np.ndarray
    columns: float
    width: int


# Probabilities `(frames, vocab_size)` of a line, without padding, class 0 the blank, to hypotheses, the best first.
Decoder = Callable[[np.ndarray], list[Hypothesis]]


def collapse(path: Iterable[int]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """
    The ids and spans of a path, the class of each frame: runs of one id become one character, blanks go.

    Negative classes, the padding of labels, go too.
    """
    classes = np.fromiter(path, dtype=np.int64)
    if not len(classes):
        return (), ()
    starts = np.append(0, np.flatnonzero(np.diff(classes)) + 1)
    ends = np.append(starts[1:], len(classes))
    shown = classes[starts] > 0
    return tuple(classes[starts][shown].tolist()), tuple(zip(starts[shown].tolist(), ends[shown].tolist(), strict=True))


def decode_greedily(probabilities: np.ndarray) -> list[Hypothesis]:
    """The best class of each frame, a `Decoder`."""
    path = probabilities.argmax(-1)
    best = np.take_along_axis(probabilities, path[:, None], 1)
    return [Hypothesis(*collapse(path), float(np.log(best, dtype=np.float64).sum()))]


def decode_page(decoder: Decoder, lines: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
    """What a decoder finds in the lines of a page, of which some decoders make more than of each alone."""
    together = getattr(decoder, "decode_page", None)
    return together(lines) if together else [decoder(line) for line in lines]


def character_scores(probabilities: np.ndarray, hypothesis: Hypothesis) -> list[float]:
    """Of each character the highest probability within its span."""
    return [
        float(probabilities[start:end, index].max())
        for index, (start, end) in zip(hypothesis.ids, hypothesis.spans, strict=True)
    ]


def line_score(scores: Sequence[float]) -> float:
    """The mean of the scores of the characters; 0 where there are none: an empty reading is never sure."""
    return sum(scores) / len(scores) if scores else 0.0


def required_frames(labels: Sequence) -> int:
    """Frames that a text needs: one for each character, and a blank between two equal ones."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))
