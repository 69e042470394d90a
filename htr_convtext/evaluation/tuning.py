"""How much a language model should count: the settings of the search, chosen on lines with ground truth."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from datasets import Dataset
from rapidfuzz.distance import Levenshtein
from transformers import PreTrainedTokenizerBase

from htr_convtext.data.lines import transcribed_rows
from htr_convtext.decoding import Decoder, Hypothesis, LanguageModels, SearchSettings
from htr_convtext.decoding.parallel import DecodingPool
from htr_convtext.errors import InputError
from htr_convtext.recognizer import Recognizer

from .calibration_fitting import ReadLine, fit_calibration


# What is tried around the best so far, coarse first.
STEPS: Mapping[str, Sequence[float]] = {"weight": (0.2, 0.1, 0.05), "space": (0.8, 0.4, 0.2), "blank": (1.0, 0.5, 0.25)}
ROUNDS = len(STEPS["weight"])


@dataclass(frozen=True)
class SeenPage:
    """
    The lines of a page, as a network sees them.

    Attributes:
        lines: Of each its probabilities `(frames, vocab_size)`, in 16-bit floats.
        references: Their ground truths.
        collection: The name of their data set.
        name: Of the page.
    """

    lines: list[np.ndarray]
    references: list[str]
    collection: str
    name: str


@dataclass(frozen=True)
class Tuned:
    """
    What was found.

    Attributes:
        settings: Of the search with language models, if there are any.
        cers: Mean CER of the collections by decoder.
    """

    settings: SearchSettings | None
    cers: Mapping[str, float]

    def __str__(self) -> str:
        rows = [f"{name}: mean CER {100 * cer:.2f} %" for name, cer in self.cers.items()]
        return "\n".join([*rows, str(self.settings)] if self.settings else rows)


def tune(
    recognizer: Recognizer,
    sets: Mapping[str, Dataset],
    files: Sequence[str | os.PathLike] | None = None,
    processes: int = 1,
    batch_size: int = 16,
    on_line: Callable[[], None] = lambda: None,
    on_trial: Callable[[SearchSettings, float], None] = lambda settings, cer: None,
) -> Tuned:
    """
    Gives the processor of a recogniser the settings and calibrations that fit lines with ground truth best.

    Args:
        sets: Lines that neither the network nor the language models learned from, by name.
        files: Language models in place of those of the processor.
        processes: That decode.
        on_line, on_trial: Are told of each line that is seen, and of the CER with each of the settings that are tried.

    Raises:
        InputError: if the model does not read frames, a file cannot be used, or no line can be read.
    """
    processor = recognizer.processor
    tokenizer, policy = processor.tokenizer, recognizer.text_policy
    models = processor.language_models
    if files:
        settings = models.settings if models else SearchSettings()
        models = LanguageModels({Path(file).stem: Path(file) for file in files}, settings)
        models.decoder(tokenizer.charset)  # an error now, not when all lines are read
    pages = see_pages(recognizer, sets, batch_size, on_line)

    def text_of(hypothesis: Hypothesis) -> str:
        return policy(tokenizer.convert_tokens_to_string(list(map(tokenizer.character, hypothesis.ids))))

    with DecodingPool(processes) as pool:
        if models is not None:
            settings, _ = tune_search(pages, models, tokenizer.charset, text_of, pool, on_trial)
            models = replace(models, settings=settings)
        processor.language_models, processor.calibrations = models, {}
        cers = {}
        for name in ("greedy",) if models is None else ("greedy", "lm"):
            decoder = processor.decoder(name)
            cers[name] = mean_cer(pages, decoder, text_of, pool)
            lines = _read_lines(pages, decoder, pool, tokenizer)
            processor.calibrations[name] = fit_calibration(lines, tokenizer.encoder.get(" "))
    return Tuned(models and models.settings, cers)


def see_pages(
    recognizer: Recognizer,
    sets: Mapping[str, Dataset],
    batch_size: int = 16,
    on_line: Callable[[], None] = lambda: None,
) -> list[SeenPage]:
    """
    The lines of data sets by page; a line of no page is one by itself. Unreadable ones and those without
    transcription are left out.

    Raises:
        InputError: if the model does not read frames, or no line can be read.
    """
    policy, pages = recognizer.text_policy, {}
    for name, lines in sets.items():
        lines = lines.select(transcribed_rows(lines, policy, name))
        seen = recognizer.see((line["image"] for line in lines), batch_size)
        for index, (line, frames) in enumerate(zip(lines, seen, strict=True)):
            on_line()
            if frames is None:
                continue
            key = name, str(line.get("page") or f"line {index}")
            page = pages.setdefault(key, SeenPage([], [], *key))
            page.lines.append(frames.probabilities.astype(np.float16))
            page.references.append(policy(line["text"]))
    if not pages:
        raise InputError("There is no line to tune on.")
    return list(pages.values())


def tune_search(
    pages: Sequence[SeenPage],
    models: LanguageModels,
    characters: str,
    text_of: Callable[[Hypothesis], str],
    pool: DecodingPool,
    on_trial: Callable[[SearchSettings, float], None] = lambda settings, cer: None,
) -> tuple[SearchSettings, float]:
    """
    The settings with the lowest mean CER of the collections, one setting after the other, in smaller and smaller steps.

    Args:
        characters: Of the network's classes but the blank.
        text_of: What a hypothesis says, in the form of the ground truths.
        on_trial: Is told each CER.

    Returns:
        The settings, and the CER with them.
    """
    found: dict[SearchSettings, float] = {}

    def measure(settings: SearchSettings) -> float:
        if settings not in found:
            decoder = replace(models, settings=settings).decoder(characters)
            found[settings] = mean_cer(pages, decoder, text_of, pool)
            on_trial(settings, found[settings])
        return found[settings]

    best = models.settings
    for number in range(ROUNDS):
        for name, steps in STEPS.items():
            value = getattr(best, name)
            tried = [replace(best, **{name: round(value + sign * steps[number], 4)}) for sign in (-1, 1)]
            best = min([best, *(each for each in tried if each.weight > 0)], key=measure)
    return best, measure(best)


def mean_cer(
    pages: Sequence[SeenPage], decoder: Decoder, text_of: Callable[[Hypothesis], str], pool: DecodingPool
) -> float:
    """The mean of the CERs of the collections."""
    errors: dict[str, np.ndarray] = {}
    for page, found in zip(pages, pool.decode(decoder, _probabilities(pages)), strict=True):
        readings = [text_of(hypotheses[0]) for hypotheses in found]
        counts = [
            (Levenshtein.distance(reading, reference), len(reference))
            for reading, reference in zip(readings, page.references, strict=True)
        ]
        errors[page.collection] = errors.get(page.collection, 0) + np.sum(counts, axis=0)
    return float(np.mean([wrong / max(length, 1) for wrong, length in errors.values()]))


def _probabilities(pages: Iterable[SeenPage]) -> Iterable[list[np.ndarray]]:
    return ([line.astype(np.float32) for line in page.lines] for page in pages)


def _read_lines(
    pages: Sequence[SeenPage], decoder: Decoder, pool: DecodingPool, tokenizer: PreTrainedTokenizerBase
) -> Iterator[ReadLine]:
    for page, found in zip(pages, pool.decode(decoder, _probabilities(pages)), strict=True):
        for frames, hypotheses, reference in zip(page.lines, found, page.references, strict=True):
            ids = [tokenizer.encoder.get(character, -1) for character in reference]
            yield ReadLine(frames.astype(np.float32), hypotheses, ids, page.collection, page.name)
