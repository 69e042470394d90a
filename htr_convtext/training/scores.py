"""How well a model reads its validation lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from htr_convtext.evaluation.intervals import SEED, interval, resample
from htr_convtext.evaluation.metrics import RATES, count_lines, rates


@dataclass(frozen=True)
class Scores:
    """CER and WER (words between spaces) as shares, with 95 % intervals by bootstrap over the lines."""

    cer: float
    cer_interval: tuple[float, float]
    wer: float
    wer_interval: tuple[float, float]
    lines: int

    def __str__(self) -> str:
        parts = []
        for name, rate, bounds in (("CER", self.cer, self.cer_interval), ("WER", self.wer, self.wer_interval)):
            low, high = (f"{100 * bound:.2f}" for bound in bounds)
            parts.append(f"{name} {100 * rate:.2f} % [{low}, {high}]")
        return f"{', '.join(parts)} on {self.lines:,} lines"


def score_lines(references: Sequence[str], readings: Sequence[str]) -> Scores:
    """Compares readings with what is written, both as they are."""
    counts = count_lines(references, readings)
    counts = counts[sorted({column for pair in RATES.values() for column in pair})]
    groups = pd.Series(np.arange(len(counts)), index=counts.index)
    found, drawn = rates(counts.sum()), rates(resample(counts, groups, np.random.default_rng(SEED)))
    cer_interval, wer_interval = (tuple(interval(drawn[name])) for name in ("cer", "wer_space"))
    return Scores(float(found["cer"]), cer_interval, float(found["wer_space"]), wer_interval, len(counts))
