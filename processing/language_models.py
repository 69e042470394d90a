"""The language models that a processor decodes with: their files, the settings of the search, and the choice of one."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from transformers.utils import logging

from .beam_search import BeamSearch, CharacterLanguageModel
from .ctc import Decoder, Hypothesis, character_scores, decode_greedily
from .errors import InputError


DECODERS = ("greedy", "beam", "lm")
FOLDER = "language_models"
OTHER_LINES = 0.2  # what the other lines of a page count in the choice of a language model
# A text is of another language if its characters have more nats than FOREIGN, where they are read with certainty
# CERTAINTY less, and those above are more than EVIDENCE together (docs/experiments.md).
FOREIGN, CERTAINTY, EVIDENCE = 4.5, 1.75, 20.0
WEIGHTS = ("weight", "space", "blank")  # the settings of which FOREIGN_SHARE is left for another language
FOREIGN_SHARE = 1 / 3
logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class SearchSettings:
    """
    Those of `BeamSearch` with a language model.

    The defaults were chosen on validation lines of eleven data sets; `htr tune` finds those of a model and its texts.
    """

    weight: float = 0.6
    space: float = -0.5
    blank: float = -1.5
    beam_size: int = 20
    beam_size_token: int = 10
    threshold: float = 8.0


@dataclass(frozen=True)
class LanguageModels:
    """
    Files of character n-grams, by language or whatever else their text is of, and how they are searched with.

    Attributes:
        files: Of KenLM, by name.
        settings: Of the search, the same for all.
    """

    files: Mapping[str, Path]
    settings: SearchSettings = field(default_factory=SearchSettings)

    def decoder(self, characters: Sequence[str], language: str | None = None) -> "LanguageModelDecoder":
        """
        A decoder for a model that reads `characters`, of each class but the blank.

        Args:
            language: The name of the one to use; by default each line has the one that fits it best, if one fits.

        Raises:
            ModuleNotFoundError: if flashlight-text is missing.
            InputError: if there is none of this name, or a file cannot be used.
        """
        if language is not None and language not in self.files:
            raise InputError(f"There is no language model {language!r}; there are {', '.join(self.files)}.")
        chosen = self.files if language is None else {language: self.files[language]}
        models = {name: CharacterLanguageModel(path, characters) for name, path in chosen.items()}
        return LanguageModelDecoder(models, self.settings, known=language is not None)

    def save(self, folder: str | os.PathLike) -> None:
        """Copies the files to a model folder; those of other language models that were saved there go."""
        target = Path(folder, FOLDER)
        if self.files:
            target.mkdir(parents=True, exist_ok=True)
        for name, path in self.files.items():
            copy = target / f"{name}.klm"
            if not (copy.exists() and copy.samefile(path)):
                shutil.copyfile(path, copy)
        for other in target.glob("*.klm"):
            if other.stem not in self.files and not any(other.samefile(path) for path in self.files.values()):
                other.unlink()


class LanguageModelDecoder:
    """
    A `Decoder`: beam search with the language model, of several, that finds the greedy reading of a line most probable.

    On a page (`decode_page`) the other lines count as well, a fifth of their own: short lines tell little, and most
    pages have one language. On a page that is improbable to all, and not for bad reading, they count a third of what
    they do elsewhere: those of other languages help less, and in full would do harm.

    Args:
        known: Whether the text is known to be of a language of theirs: then they count in full everywhere.
    """

    def __init__(self, models: Mapping[str, CharacterLanguageModel], settings: SearchSettings, known: bool = False):
        self.models, self.known = models, known
        less = replace(settings, **{name: FOREIGN_SHARE * getattr(settings, name) for name in WEIGHTS})
        self.searches, self.careful = (
            {name: BeamSearch(language_model=model, **asdict(each)) for name, model in models.items()}
            for each in (settings, less)
        )

    def __call__(self, probabilities: np.ndarray) -> list[Hypothesis]:
        return self.decode_page([probabilities])[0]

    def decode_page(self, lines: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        """What is found in each line of a page."""
        names, fit = self.choose(lines)
        searches = self.searches if fit else self.careful
        return [searches[name](line) for name, line in zip(names, lines, strict=True)]

    def choose(self, lines: Sequence[np.ndarray]) -> tuple[list[str], bool]:
        """The names of the language models for the lines of a page, and whether they fit it."""
        names = list(self.models)
        if self.known and len(names) == 1:
            return names * len(lines), True
        readings = [decode_greedily(line)[0] for line in lines]
        own = np.array([[self.models[name].log_probability(line.ids) for name in names] for line in readings])
        best = (own + OTHER_LINES * (own.sum(0) - own)).argmax(1)
        scores = sum(sum(character_scores(*seen)) for seen in zip(lines, readings, strict=True))
        count = sum(len(line.ids) + 1 for line in readings)
        surprise = -own[np.arange(len(own)), best].sum() + CERTAINTY * scores - FOREIGN * count
        return [names[index] for index in best], self.known or bool(surprise < EVIDENCE)


def ctc_decoder(
    name: str | None,
    characters: Sequence[str],
    language_models: LanguageModels | None = None,
    language: str | None = None,
) -> Decoder:
    """
    A decoder by its name.

    Args:
        name: `"greedy"`, the best class of each frame; `"beam"`, the most probable text; `"lm"`, the best text with a
            language model. By default the last where there is one, else the first; also, with a warning, where
            flashlight-text is missing.
        characters: Of each class but the blank.
        language: As for `LanguageModels.decoder`.

    Raises:
        InputError: if there is no such decoder or language model, or flashlight-text is missing.
    """
    if name not in (None, *DECODERS):
        raise InputError(f"There is no decoder {name!r}; choose one of {', '.join(DECODERS)}.")
    if language is not None and (name not in (None, "lm") or language_models is None):
        raise InputError(f"The language {language!r} needs a language model; there is none to decode with.")
    if name == "lm" and language_models is None:
        raise InputError("This model has no language model; make one of your texts with `htr lm`, or decode greedily.")
    try:
        if name == "beam":
            return BeamSearch()
        if name == "lm" or (name is None and language_models is not None):
            return language_models.decoder(characters, language)
    except ModuleNotFoundError as error:
        if name is not None or language is not None:
            raise InputError(str(error)) from None
        logger.warning_once(f"{error}. Without it lines are decoded greedily, with more errors.")
    return decode_greedily


def decoder_name(decoder: Decoder) -> str | None:
    """The name by which `ctc_decoder` makes a decoder; of others `None`."""
    if decoder is decode_greedily:
        return "greedy"
    return {BeamSearch: "beam", LanguageModelDecoder: "lm"}.get(type(decoder))


__all__ = ["DECODERS", "LanguageModelDecoder", "LanguageModels", "SearchSettings", "ctc_decoder", "decoder_name"]
