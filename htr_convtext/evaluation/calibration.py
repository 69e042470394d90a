"""What the score of a line is worth."""

import numpy as np


def reliability(scores: np.ndarray, right: np.ndarray, total: np.ndarray, bins: int = 10) -> dict:
    """
    How often readings of a score are right.

    Args:
        scores: The score of each line, 0 to 1.
        right, total: How many things of the line are right, of how many: itself (0 or 1, of 1) or its characters.

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
