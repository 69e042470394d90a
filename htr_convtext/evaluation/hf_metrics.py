"""
CER and WER for Hugging Face `evaluate`, which loads its own from a hub: these need no network.

Not imported by the package, so that the rest works without `evaluate`.
"""

from typing import Literal

import datasets
import evaluate

from .metrics import WORD_TOKENIZERS, count_lines, rates


_FEATURES = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
_INPUTS = "predictions: what was read, one text a line. references: the ground truth of the same lines."


class CharacterErrorRate(evaluate.Metric):
    """`compute(predictions=[...], references=[...])` gives `{"cer": ...}`, micro-averaged over code points."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Character error rate: edits over the code points of the ground truth; texts as they are.",
            citation="",
            inputs_description=_INPUTS,
            features=_FEATURES,
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return {"cer": float(rates(count_lines(references, predictions).sum())["cer"])}


class WordErrorRate(evaluate.Metric):
    """
    `compute(predictions=[...], references=[...], tokenizer="space")` gives `{"wer": ...}`, micro-averaged.

    `tokenizer` is `"space"`, `"published"` or `"unicode"`, see `metrics.py`; another is a `ValueError`.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Word error rate: edits over the words of the ground truth.",
            citation="",
            inputs_description=f"{_INPUTS} tokenizer: {', '.join(WORD_TOKENIZERS)}.",
            features=_FEATURES,
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        tokenizer: Literal["space", "published", "unicode"] = "space",
    ) -> dict[str, float]:
        if tokenizer not in WORD_TOKENIZERS:
            raise ValueError(f"Unknown tokenizer {tokenizer!r}: choose one of {', '.join(WORD_TOKENIZERS)}.")
        return {"wer": float(rates(count_lines(references, predictions).sum())[f"wer_{tokenizer}"])}
