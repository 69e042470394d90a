"""Character and word error rates, over jiwer."""

from dataclasses import dataclass

import jiwer


# jiwer strips lines by default, which would forgive missing spaces at their ends; nothing is changed here.
_CHARACTERS = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])
_WORDS = jiwer.Compose([jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()])


@dataclass(frozen=True)
class ErrorRates:
    """Error rates of a set of lines, as shares of the characters and words of the ground truth."""

    cer: float
    wer: float
    lines: int


def error_rates(references: list[str], predictions: list[str]) -> ErrorRates:
    """
    Micro-averaged CER over code points and WER over words between spaces.

    Raises:
        ValueError: if there are no lines, or not as many predictions as references.
    """
    if not references or len(references) != len(predictions):
        raise ValueError(f"Cannot compare {len(references)} references with {len(predictions)} predictions.")
    characters = jiwer.process_characters(
        references, predictions, reference_transform=_CHARACTERS, hypothesis_transform=_CHARACTERS
    )
    words = jiwer.process_words(references, predictions, reference_transform=_WORDS, hypothesis_transform=_WORDS)
    return ErrorRates(cer=characters.cer, wer=words.wer, lines=len(references))
