"""Error rates, accuracy and similarity of lines, over jiwer."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
import pandas as pd
import regex

from .alignment import Piece, align, differences, edits


_PUBLISHED_SYMBOLS = re.compile(r"([\[\]{}/\\()\"'&+*=<>?.;:,!\-—_€#%°])")
_WORD_BOUNDARY = regex.compile(r"(?w)\b")
_WORD_CHARACTER = regex.compile(r"[\p{Alphabetic}\p{N}]")


def space_words(text: str) -> list[str]:
    """The words between white space; punctuation belongs to the word that it touches."""
    return text.split()


def published_words(text: str) -> list[str]:
    """The words of the published scores (arXiv 2512.05021): each of its symbols is a word of its own."""
    return [word for word in re.split(r"[ \n]+", _PUBLISHED_SYMBOLS.sub(r" \1 ", text)) if word]


def unicode_words(text: str) -> list[str]:
    """
    The words of UAX #29 (Unicode Text Segmentation, section 4, default word boundaries).

    Of the segments between two boundaries those with a letter or a number are words; spaces and punctuation marks
    alone are none. `l'eau` and `5,000` are one word each.
    """
    return [segment for segment in _WORD_BOUNDARY.split(text) if _WORD_CHARACTER.search(segment)]


WORD_TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "space": space_words,
    "published": published_words,
    "unicode": unicode_words,
}

# Every rate is one sum over lines by another, so all of them are resampled alike (`intervals.py`).
RATES = {
    "cer": ("character_errors", "characters"),
    "macro_cer": ("line_cer", "lines_with_text"),
    **{f"wer_{name}": (f"word_errors_{name}", f"words_{name}") for name in WORD_TOKENIZERS},
    "line_accuracy": ("lines_right", "lines"),
    "line_accuracy_caseless": ("lines_right_caseless", "lines"),
    "ned": ("line_similarity", "lines"),
}
MORE_IS_BETTER = ("line_accuracy", "line_accuracy_caseless", "ned")


def count_lines(
    references: Sequence[str], predictions: Sequence[str], pieces: Sequence[Sequence[Piece]] | None = None
) -> pd.DataFrame:
    """
    Counts characters (code points), words and errors of each line; the sums over any lines go into `rates`.

    A line is right caseless if both texts are the same once their case is folded (Unicode's `casefold`). Its similarity
    is 1 − edit distance / length of the longer text, 1 for two empty ones. The mean of that, here `ned`, is what
    ICDAR's competitions in reading words and Baek et al. (ICCV 2019, arXiv 1904.01906) report as 1 − normalised edit
    distance.

    Args:
        pieces: The `differences` of the two, where they are known already.

    Raises:
        ValueError: as `align`.
    """
    pieces = differences(references, predictions) if pieces is None else pieces
    counts = pd.DataFrame(list(map(edits, pieces)))
    counts["characters"] = [len(reference) for reference in references]
    counts["character_errors"] = counts[["substitutions", "deletions", "insertions"]].sum(axis=1)
    counts["lines"] = 1
    counts["lines_right"] = (counts["character_errors"] == 0).astype(int)
    pairs = list(zip(references, predictions, strict=True))
    counts["lines_right_caseless"] = [int(reference.casefold() == text.casefold()) for reference, text in pairs]
    longer = [max(len(reference), len(text), 1) for reference, text in pairs]
    counts["line_similarity"] = 1 - counts["character_errors"] / longer
    counts["lines_with_text"] = (counts["characters"] > 0).astype(int)
    counts["line_cer"] = counts["lines_with_text"] * counts["character_errors"] / counts["characters"].clip(lower=1)
    for name, tokenize in WORD_TOKENIZERS.items():
        counts[f"words_{name}"] = [len(tokenize(reference)) for reference in references]
        counts[f"word_errors_{name}"] = list(map(_errors, align(references, predictions, tokenize)))
    return counts


def rates(sums: Mapping | pd.DataFrame) -> dict:
    """
    The rates of `RATES` from sums of `count_lines`: a mapping gives numbers, a table one array of a rate for its rows.

    Errors where there is nothing to read (no characters, no words) count as if there were one, as jiwer has it.
    """
    return {name: sums[errors] / np.maximum(sums[total], 1) for name, (errors, total) in RATES.items()}


@dataclass(frozen=True)
class ErrorRates:
    """
    How well a set of lines is read.

    Attributes:
        cer, wer: Errors as shares of the characters and words of the ground truth.
        accuracy, accuracy_caseless: Shares of the lines without any error, and of those whose case alone is wrong too.
        ned: 1 − normalised edit distance, see `count_lines`.
    """

    cer: float
    wer: float
    lines: int
    accuracy: float
    accuracy_caseless: float
    ned: float


def error_rates(references: Sequence[str], predictions: Sequence[str]) -> ErrorRates:
    """
    Micro-averaged CER over code points and WER over words between spaces, and what else `ErrorRates` has. The texts are
    compared as they are.

    Raises:
        ValueError: if there are no lines, or not as many predictions as references.
    """
    found = {name: float(rate) for name, rate in rates(count_lines(references, predictions).sum()).items()}
    return ErrorRates(
        cer=found["cer"],
        wer=found["wer_space"],
        lines=len(references),
        accuracy=found["line_accuracy"],
        accuracy_caseless=found["line_accuracy_caseless"],
        ned=found["ned"],
    )


def _errors(alignment: list[jiwer.AlignmentChunk]) -> int:
    return sum(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in alignment
        if chunk.type != "equal"
    )
