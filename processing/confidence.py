"""
Confidences that mean the probability of being right, and the character error rate (CER) to expect without ground truth.

Logistic regressions on what the frames and the hypotheses of a line show. `htr_convtext.evaluation.calibration_fitting`
fits them on lines with ground truth, for one model and one decoder; they are stored with the model.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

import numpy as np

from .confidence_features import LineFeatures, line_features, missing_features, text_features, word_features
from .ctc import Hypothesis
from .errors import InputError


@dataclass(frozen=True)
class Regression:
    """
    A line `intercept + weights · features`, the features kept between the least and the greatest seen when it was
    fitted: nothing is known beyond.
    """

    intercept: float
    weights: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """`(n, features)` to `(n,)`."""
        return self.intercept + np.clip(features, self.low, self.high) @ np.asarray(self.weights)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The logistic function of the line, for a regression that was fitted to it."""
        return 1 / (1 + np.exp(-self(features)))

    def to_dict(self) -> dict[str, Any]:
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Regression":
        sequences = {name: tuple(map(float, values[name])) for name in ("weights", "low", "high")}
        return cls(float(values["intercept"]), **sequences)


@dataclass(frozen=True)
class LineConfidence:
    """
    What is known of a line without ground truth.

    Attributes:
        characters: Of each id of the best hypothesis the probability that it is right.
        words: Of each word, the ids between spaces, the probability that it is right.
        line: The probability that the whole line is right, nothing missing.
        errors: Character errors to expect: wrong, added and missing ones.
        variance: Of their number, in a collection and on a page known to be like those of the fit.
        length: Characters that the ground truth is expected to have.
    """

    characters: tuple[float, ...]
    words: tuple[float, ...]
    line: float
    errors: float
    variance: float
    length: float

    @property
    def cer(self) -> float:
        """The CER to expect: sort lines by it to correct the worst first."""
        return self.errors / self.length if self.errors else 0.0


@dataclass(frozen=True)
class ExpectedCER:
    """The CER to expect of lines, and the bounds between which it is with the probability `level`."""

    cer: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Calibration:
    """
    Turns what a decoder finds into confidences; of use for the model and the decoder that it was fitted with only.

    Args:
        characters, words, line: Logistic regressions of being right, on the features of `confidence_features`.
        missing: Logarithm of the characters that were not read, for each that was read and one more.
        added_share: Which share of the wrong characters stands for none of the ground truth.
        empty_right: The probability that nothing is written where nothing was read.
        characters_per_frame: Of the ground truth.
        line_variance: Variance of the errors of a line for each that is expected; 1 if they came independently.
        page_variance, collection_variance: Variance of errors / expected errors among pages, among collections.
    """

    characters: Regression
    words: Regression
    line: Regression
    missing: Regression
    added_share: float
    empty_right: float
    characters_per_frame: float
    line_variance: float
    page_variance: float
    collection_variance: float

    def to_dict(self) -> dict[str, Any]:
        """Numbers, lists and dicts, as JSON takes them."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.to_dict() if isinstance(value, Regression) else value for name, value in found.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """
        Raises:
            InputError: if these are not the values of `to_dict`.
        """
        try:
            found = {
                field.name: (Regression.from_dict if field.type is Regression else float)(values[field.name])
                for field in fields(cls)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"Not a calibration of confidences: {error!r}.") from None
        return cls(**found)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell calibrations apart."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def confidence(
        self, probabilities: np.ndarray, hypotheses: Sequence[Hypothesis], space: int | None
    ) -> LineConfidence:
        """
        Args:
            probabilities: `(frames, vocab_size)` of the line, without padding, class 0 the blank.
            hypotheses: What the decoder found in it, the best first.
            space: Id of the space, if the charset has one.
        """
        return self.confidence_of(line_features(probabilities, hypotheses, space))

    def confidence_of(self, line: LineFeatures) -> LineConfidence:
        """The same of a line whose features are known."""
        if not len(line.characters):
            length = self.characters_per_frame * line.frames
            errors = (1 - self.empty_right) * length
            # All of the text is missing or none.
            variance = self.empty_right * errors * length
            return LineConfidence((), (), self.empty_right, errors, variance, length)
        characters = self.characters.probabilities(line.characters)
        words = self.words.probabilities(word_features(line, characters))
        whole = self.line.probabilities(text_features(line, characters)[None])[0]
        wrong, missing = (1 - characters).sum(), self.missing_characters(line, characters)
        errors = float(wrong + missing)
        length = float(len(characters) + missing - self.added_share * wrong)
        return LineConfidence(
            tuple(characters.tolist()),
            tuple(words.tolist()),
            float(whole),
            errors,
            self.line_variance * errors,
            length,
        )

    def missing_characters(self, line: LineFeatures, characters: np.ndarray) -> float:
        """How many characters of the ground truth are expected to be missing in a line where something was read."""
        return float((len(characters) + 1) * np.exp(self.missing(missing_features(line, characters)[None])[0]))

    def expected_cer(
        self, lines: Sequence[LineConfidence], pages: Sequence[Hashable] | None = None, level: float = 0.9
    ) -> ExpectedCER:
        """
        The CER of lines of one collection.

        Errors vary from line to line, and those of a page or of a collection have their bias in common, which more
        lines do not average out.

        Args:
            pages: The page of each line; without them all are taken to be of one, for which the interval is widest.
            level: How often the CER is to be in the interval, which is log-normal: it is never below 0.

        Raises:
            InputError: if there are no lines.
        """
        if not lines:
            raise InputError("There are no lines whose CER could be expected.")
        if not any(line.errors for line in lines):  # all were corrected by a person
            return ExpectedCER(0.0, 0.0, 0.0, level)
        errors, on_page = sum(line.errors for line in lines), {}
        for page, line in zip(pages if pages is not None else [None] * len(lines), lines, strict=True):
            on_page[page] = on_page.get(page, 0.0) + line.errors
        variance = (
            sum(line.variance for line in lines)
            + self.page_variance * sum(value**2 for value in on_page.values())
            + self.collection_variance * errors**2
        )
        cer = errors / sum(line.length for line in lines)
        width = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(np.log1p(variance / errors**2))
        return ExpectedCER(cer, float(cer * np.exp(-width)), float(cer * np.exp(width)), level)


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


__all__ = ["Calibration", "ExpectedCER", "LineConfidence", "Regression"]
