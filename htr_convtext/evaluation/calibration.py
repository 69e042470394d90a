"""What scores and confidences are worth."""

from collections.abc import Sequence

import numpy as np

from processing.confidence_features import words_of

from .alignment import align


def right_characters(
    readings: Sequence[Sequence[int]], references: Sequence[Sequence[int]]
) -> list[tuple[np.ndarray, int, int]]:
    """
    Of each line which ids of the reading are right, matched in the shortest alignment with the reference; how many of
    them were added, and how many of the reference are missing. Its character errors are the wrong and the missing ones.
    """
    found = []
    for reading, chunks in zip(readings, align(references, readings, _names), strict=True):
        lengths = {"insert": 0, "delete": 0}
        for chunk in chunks:
            if chunk.type in lengths:
                lengths[chunk.type] += max(
                    chunk.hyp_end_idx - chunk.hyp_start_idx, chunk.ref_end_idx - chunk.ref_start_idx
                )
        found.append((_matched(chunks, len(reading)), lengths["insert"], lengths["delete"]))
    return found


def right_words(
    readings: Sequence[Sequence[int]], references: Sequence[Sequence[int]], space: int | None
) -> list[np.ndarray]:
    """Of each line which words of the reading, ids between spaces, match one of the reference, likewise."""

    def split(ids: Sequence[int]) -> list[str]:
        return [",".join(map(str, ids[start:end])) for start, end in words_of(ids, space)]

    aligned = align(references, readings, split)
    return [_matched(chunks, len(words_of(reading, space))) for reading, chunks in zip(readings, aligned, strict=True)]


def _names(ids: Sequence[int]) -> list[str]:
    return [str(index) for index in ids]


def _matched(chunks: Sequence, length: int) -> np.ndarray:
    right = np.zeros(length, bool)
    for chunk in chunks:
        if chunk.type == "equal":
            right[chunk.hyp_start_idx : chunk.hyp_end_idx] = True
    return right


def reliability(scores: np.ndarray, right: np.ndarray, total: np.ndarray, bins: int = 10) -> dict:
    """
    How often readings of a score are right.

    Args:
        scores: Of each line, word or character, 0 to 1.
        right, total: How many things with that score are right, of how many: itself (0 or 1, of 1), or the characters
            of a line.

    Returns:
        `bins` of equal width of the score, those with anything in them: `from`, `to`, `total`, mean `score` and the
        share `right`; and `ece`, the expected calibration error: the mean of |share right - mean score| over the bins,
        weighted by their totals.
    """
    scores, right, total = (np.asarray(values, float) for values in (scores, right, total))
    index = np.clip((scores * bins).astype(int), 0, bins - 1)
    rows = []
    for number in range(bins):
        inside = index == number
        count = total[inside].sum()
        if count:
            score = (scores[inside] * total[inside]).sum() / count
            share = right[inside].sum() / count
            rows.append(
                {
                    "from": number / bins,
                    "to": (number + 1) / bins,
                    "total": int(count),
                    "score": float(score),
                    "right": float(share),
                }
            )
    everything = sum(row["total"] for row in rows)
    ece = sum(row["total"] * abs(row["right"] - row["score"]) for row in rows) / max(everything, 1)
    return {"ece": float(ece), "bins": rows}


def risk_coverage(scores: np.ndarray, errors: np.ndarray, characters: np.ndarray, points: int = 20) -> list[dict]:
    """
    The CER left when only the lines with the highest scores are kept.

    Returns:
        For `points` shares of the lines: `coverage` (share of the lines kept), `risk` (their CER) and `score`, the
        lowest among them.
    """
    scores, errors, characters = map(np.asarray, (scores, errors, characters))
    order = np.argsort(-scores, kind="stable")
    errors, characters = errors[order].cumsum(), characters[order].cumsum()
    kept = np.unique(np.ceil(len(order) * np.arange(1, points + 1) / points).astype(int))
    return [
        {
            "coverage": float(count / len(order)),
            "risk": float(errors[count - 1] / max(characters[count - 1], 1)),
            "score": float(scores[order[count - 1]]),
        }
        for count in kept
    ]


def area_under_risk(rows: list[dict]) -> float:
    """The mean risk over the coverages of `risk_coverage`: the lower, the better the score tells bad lines."""
    return float(np.mean([row["risk"] for row in rows]))
