"""From predictions to the report: every number of one model, by set and over all."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pandas as pd

from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError

from .alignment import confusions
from .calibration import reliability, risk_coverage
from .intervals import RESAMPLES, SEED, group_lines, resample
from .metrics import RATES, WORD_TOKENIZERS, count_lines, rates
from .paired import mean_of, side_by_side
from .predict import Prediction


LENGTHS = (1, 11, 21, 31, 41, 51, 61, 81)
TOP_CONFUSIONS = 50
COUNTS = sorted({column for pair in RATES.values() for column in pair})

DEFINITIONS = {
    "cer": "Character error rate, micro: substituted, missed and added code points of all lines, as a share of the "
    "code points of their ground truth. Can exceed 100 %.",
    "macro_cer": "The mean of the CERs of the lines that have ground truth: short lines weigh as much as long ones.",
    "wer_space": "Word error rate, micro; words stand between spaces, with the punctuation that touches them.",
    "wer_published": "As above; the tokeniser of the published scores makes each of []{}/\\()\"'&+*=<>?.;:,!-—_€#%° a "
    "word of its own.",
    "wer_unicode": "As above; words by Unicode's rules (UAX #29), where punctuation alone is no word.",
    "line_accuracy": "The share of lines without any error. Where each line is one word, this is word accuracy.",
    "line_accuracy_caseless": "The share of lines whose only errors, if any, are capitals for small letters or small "
    "letters for capitals.",
    "ned": "1 − normalised edit distance: the mean over lines of 1 − errors / characters of the longer of ground truth "
    "and reading (ICDAR; Baek et al., ICCV 2019, arXiv 1904.01906). 100 % if everything is right.",
    "mean_of_sets": "The mean of the sets' rates: small sets weigh as much as large ones.",
    "intervals": f"95 % percentile bootstrap, {RESAMPLES} resamples (seed {SEED}), of writers if a set names ten or "
    "more, else of pages, else of lines; within each set. Resampled lines make intervals too narrow where a few "
    "hands wrote many lines.",
    "greedy": "The same lines read by the best class of each frame, without a search or a language model. A difference "
    "is the rate of the reading minus that of greedy decoding, its interval over the same resamples.",
    "expected_cer": "The CER that the confidences of the reading let expect, without the ground truth, and the bounds "
    "between which it is with the probability level.",
    "deletions": "Characters of the ground truth that were missed.",
    "insertions": "Characters that were read where the ground truth has nothing.",
    "outside_charset": "Characters of the ground truth that the model cannot write. The floor is the CER that remains "
    "if it reads everything else right.",
    "calibration": "The score of a line is the mean probability of its characters. If scores are calibrated, of the "
    "characters in lines with score 0.8 80 % are right. ECE is the expected calibration error over ten bins.",
    "risk_coverage": "The CER (risk) of the lines kept when those with the lowest scores are left out.",
}


def to_table(predictions: Iterable[Prediction]) -> pd.DataFrame:
    """
    Predictions with their `pieces` and counts (`count_lines`), one row a line, in the order of their sets and rows.

    Raises:
        InputError: if there are none.
    """
    lines = pd.DataFrame([{**asdict(prediction), "pieces": prediction.pieces} for prediction in predictions])
    if lines.empty:
        raise InputError("There are no lines to measure.")
    first = {source: rank for rank, source in enumerate(lines["source"].unique())}
    lines = lines.sort_values(
        ["source", "index"], key=lambda column: column.map(first) if column.name == "source" else column
    )
    lines = lines.reset_index(drop=True)
    return lines.join(count_lines(lines["reference"], lines["text"], lines["pieces"]))


def writable_characters(charset: str | None, policy: TextPolicy, texts: Iterable[str]) -> set[str]:
    """
    The characters of `texts` that a model with `charset` can write: all of them, where it is not known.

    Those are its own, what the policy makes of them, and composed ones whose parts it can write.
    """
    if charset is None:
        return set().union(*texts)
    writable = set(charset).union(*map(policy, charset))
    return {
        character
        for character in set().union(*texts)
        if character in writable or writable.issuperset(unicodedata.normalize("NFD", character))
    }


def measure(predictions: Iterable[Prediction], policy: TextPolicy, charset: str | None) -> dict:
    """
    Measures what one model read.

    Args:
        policy: Of the predictions; it stands in the report.
        charset: The characters that the model knows; `None` if that cannot be told.

    Returns:
        What `report.json` holds: `"policy"`, `"definitions"`, `"sets"` (for each its numbers: `describe`, rates and
        intervals) and `"all"`, the same over all lines with `"mean_of_sets"` (rates and intervals). Where the lines
        were read greedily too, beside all rates those of that reading, `"greedy"`, and `"difference"`,
        `"difference_intervals"` and `"verdict"` as of `side_by_side`.

    Raises:
        InputError: if there are no predictions.
    """
    lines = to_table(predictions)
    writable = writable_characters(charset, policy, lines["reference"])
    lines["outside"] = [[character for character in text if character not in writable] for text in lines["reference"]]

    readings = {"text": lines[COUNTS]}
    if lines["greedy"].notna().any():  # of an image that cannot be read there is none
        greedy = count_lines(lines["reference"], lines["greedy"].fillna(""))
        readings = {"greedy": greedy[COUNTS], **readings}
    counts = pd.concat(readings, axis=1)

    def rates_of(sums: pd.Series | pd.DataFrame) -> dict[str, dict]:
        return {reading: rates(sums[reading]) for reading in readings}

    random = np.random.default_rng(SEED)
    sets, draws, found, drawn = {}, [], [], []
    for name, part in lines.groupby("source", sort=False):
        unit, groups = group_lines(part)
        draws.append(resample(counts.loc[part.index], groups, random))
        found.append(rates_of(counts.loc[part.index].sum()))
        drawn.append(rates_of(draws[-1]))
        sets[name] = {
            "resampled": {"unit": unit, "groups": groups.nunique()},
            **_rates_and_greedy(found[-1], drawn[-1]),
            **describe(part),
        }
    units = {numbers["resampled"]["unit"] for numbers in sets.values()}
    together = {
        "resampled": {
            "unit": units.pop() if len(units) == 1 else "mixed",
            "groups": sum(numbers["resampled"]["groups"] for numbers in sets.values()),
        },
        **_rates_and_greedy(rates_of(counts.sum()), rates_of(sum(draws))),
        **describe(lines),
        "mean_of_sets": _rates_and_greedy(mean_of(found), mean_of(drawn)),
    }
    return {"policy": asdict(policy), "definitions": DEFINITIONS, "sets": sets, "all": together}


def describe(lines: pd.DataFrame) -> dict:
    """All numbers of some lines but their rates; rows of `to_table`, with `outside`."""
    characters, edits = int(lines["characters"].sum()), ("substitutions", "deletions", "insertions")
    outside = Counter(character for found in lines["outside"] for character in found)
    pairs = confusions(lines["pieces"])
    ones = np.ones(len(lines))
    read = lines["text"].str.len()
    return {
        "lines": len(lines),
        "unreadable": int(lines["error"].notna().sum()),
        "characters": characters,
        **{edit: int(lines[edit].sum()) for edit in edits},
        "words": {name: int(lines[f"words_{name}"].sum()) for name in WORD_TOKENIZERS},
        "outside_charset": {
            "characters": outside.total(),
            "floor": outside.total() / max(characters, 1),
            "lines": int(lines["outside"].map(bool).sum()),
            "counts": dict(outside.most_common()),
        },
        "confusions": [
            {"reference": reference, "text": text, "count": count}
            for (reference, text), count in pairs.most_common(TOP_CONFUSIONS)
        ],
        "by_length": by_length(lines),
        "by_writer": by_writer(lines),
        "calibration": {
            "lines": reliability(lines["score"], lines["lines_right"], ones),
            "characters": reliability(lines["score"], read - lines["substitutions"] - lines["insertions"], read),
            "risk_coverage": risk_coverage(lines["score"], lines["character_errors"], lines["characters"]),
        },
    }


def _rates_and_greedy(found: dict[str, dict], drawn: dict[str, dict]) -> dict:
    """
    Of the reading `"text"` the rates and intervals; if there is a reading `"greedy"`, these of it, and the differences
    of the text from it.
    """
    both = side_by_side(found, drawn)
    text = both.pop("text")
    return {**text, **both}


def by_length(lines: pd.DataFrame) -> list[dict]:
    """CER of the lines whose ground truth has `from` to `to` characters; the last has no `to`."""
    bounds = [*LENGTHS, np.inf]
    rows = []
    for start, end in pairwise(bounds):
        part = lines[(lines["characters"] >= start) & (lines["characters"] < end)]
        if len(part):
            rows.append({"from": start, "to": None if end == np.inf else end - 1, **_cer(part)})
    return rows


def by_writer(lines: pd.DataFrame) -> list[dict]:
    """CER of each writer that the lines name, the worst first."""
    rows = [
        {"set": source, "writer": writer, **_cer(part)}
        for (source, writer), part in lines.groupby(["source", "writer"], sort=False)
    ]
    return sorted(rows, key=lambda row: -row["cer"])


def _cer(lines: pd.DataFrame) -> dict:
    sums = lines[COUNTS].sum()
    return {"lines": len(lines), "characters": int(sums["characters"]), "cer": float(rates(sums)["cer"])}
