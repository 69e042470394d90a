"""CTC prefix beam search, with or without a language model of characters, over flashlight-text."""

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np

from .ctc import Hypothesis, collapse
from .errors import InputError


SMALLEST = np.finfo(np.float32).tiny  # a probability of 0 has no logarithm
MISSING = "Beam search and language models need flashlight-text: pip install flashlight-text"
SPACE = "\u2581"  # how a space is written in language models, where spaces part words


class CharacterLanguageModel:
    """
    A file of KenLM with n-grams of characters.

    Args:
        path: Of the file, binary or ARPA.
        characters: Of each class but the blank; those that the model does not know have the probability of `<unk>`.

    Raises:
        ModuleNotFoundError: if flashlight-text is missing.
        InputError: if the file cannot be read or is none of KenLM.
    """

    def __init__(self, path: str | os.PathLike, characters: Sequence[str]):
        _library()
        try:
            from flashlight.lib.text.decoder.kenlm import KenLM
            from flashlight.lib.text.dictionary import Dictionary
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"This flashlight-text has no KenLM. ({error})") from None
        dictionary = Dictionary()
        dictionary.add_entry("<blank>")
        for character in characters:
            dictionary.add_entry({" ": SPACE}.get(character, character))
        self.path, self.characters = path, characters
        self.space = characters.index(" ") + 1 if " " in characters else None
        try:
            self.kenlm = KenLM(os.fspath(path), dictionary)
        except RuntimeError as error:  # the library's only one
            raise InputError(f"{path}: the language model cannot be read. ({error})") from None

    def __reduce__(self) -> tuple:
        """Another process opens the file, once however often it is sent there."""
        return _opened, (os.fspath(self.path), tuple(self.characters))

    def log_probability(self, ids: Sequence[int]) -> float:
        """Natural logarithm of the probability of a line, its end included."""
        state, total = self.kenlm.start(False), 0.0
        for index in ids:
            state, score = self.kenlm.score(state, index)
            total += score
        return math.log(10) * (total + self.kenlm.finish(state)[1])


@lru_cache(maxsize=16)
def _opened(path: str, characters: tuple[str, ...]) -> CharacterLanguageModel:
    return CharacterLanguageModel(path, characters)


class BeamSearch:
    """
    The texts of the highest score: the logarithm of the probability, over all paths, of a text in the frames of a line,
    and `weight` times that of the text in the language model, if there is one.

    Args:
        beam_size: Prefixes that are followed at once.
        beam_size_token: Classes that are tried at a frame, the most probable ones; by default all.
        threshold: Prefixes whose score is this much below the best are given up.
        language_model: By default none.
        weight: Of the language model.
        space, blank: Added to the logarithms of the probabilities of the space and the blank. Below 0 the blank makes
            up for the characters that a language model would rather leave out.

    Raises:
        ModuleNotFoundError: if flashlight-text is missing.
    """

    def __init__(
        self,
        beam_size: int = 16,
        beam_size_token: int | None = None,
        threshold: float = 25.0,
        language_model: CharacterLanguageModel | None = None,
        weight: float = 0.0,
        space: float = 0.0,
        blank: float = 0.0,
    ):
        _library()
        self.beam_size, self.beam_size_token, self.threshold = beam_size, beam_size_token, threshold
        self.language_model = language_model
        self.weight, self.space, self.blank = weight, space, blank

    def __call__(self, probabilities: np.ndarray) -> list[Hypothesis]:
        """
        Args:
            probabilities: `(frames, vocab_size)`; class 0 is the blank.

        Returns:
            At most `beam_size` hypotheses with different texts, the best first.
        """
        library = _library()
        frames, classes = probabilities.shape
        options = library.LexiconFreeDecoderOptions(
            beam_size=self.beam_size,
            beam_size_token=min(self.beam_size_token or classes, classes),
            beam_threshold=self.threshold,
            lm_weight=self.weight * math.log(10),  # its scores are decimal logarithms
            sil_score=0.0,
            log_add=True,
            criterion_type=library.CriterionType.CTC,
        )
        model = self.language_model
        # -1 for the silence of speech: the library would take a space at the beginning of a line for nothing.
        search = library.LexiconFreeDecoder(options, library.ZeroLM() if model is None else model.kenlm, -1, 0, [])
        emissions = np.log(np.maximum(probabilities, SMALLEST), dtype=np.float32)
        emissions[:, 0] += self.blank
        if model is not None and model.space:
            emissions[:, model.space] += self.space
        emissions = np.ascontiguousarray(emissions)
        found = search.decode(emissions.ctypes.data, frames, classes)
        # A path has one class before the frames and one after them.
        return [
            Hypothesis(*collapse(result.tokens[1:-1]), float(result.score), math.log(10) * float(result.lmScore))
            for result in found
        ]


def _library() -> ModuleType:
    # transformers does not ask for the imports of a `try` before it loads the code of a model.
    try:
        from flashlight.lib.text import decoder
    except ModuleNotFoundError:
        raise ModuleNotFoundError(MISSING) from None
    return decoder


__all__ = ["BeamSearch", "CharacterLanguageModel"]
