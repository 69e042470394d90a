"""What was read in the image of a line, and what reads it."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from processing.confidence import Calibration, LineConfidence
from processing.confidence_features import words_of

from .doubt import doubtful_parts


if TYPE_CHECKING:
    from .data.text_policy import TextPolicy


@dataclass(frozen=True)
class Character:
    """A character as it was read, its score, and the columns of the line's image, in pixels, where it was seen."""

    char: str
    score: float
    start: float
    end: float


@dataclass(frozen=True)
class Provenance:
    """
    What reads lines, by name.

    Attributes:
        model: Folder or Hub id; `None` of a model that was never saved.
        decoder: `greedy`, `beam`, `lm`, `lm: fr` …
        calibration: The `Calibration.id` of what makes its scores probabilities of being right; `None` if they are not.
    """

    model: str | None
    decoder: str = "greedy"
    calibration: str | None = None


@dataclass(frozen=True)
class LineReading:
    """
    What was read in a line, or why nothing was.

    Attributes:
        text: Accents that were read apart from their letters are composed with them, so it may have fewer characters
            than `characters`.
        score: The mean of the scores of the characters; 0 where there are none.
        confidence: The probabilities that its words and the whole line are right, and the errors to expect, if the
            model is calibrated for the decoder (`htr tune`); then the scores of characters are such probabilities too.
        alternatives: The texts that the decoder found, the best first, each with the logarithm of what it maximises
            (`Hypothesis.log_probability`).
        error: Why the image could not be read.
        greedy: What the best class of each frame gives, where the text comes of another decoder of frames.
    """

    text: str
    score: float
    characters: tuple[Character, ...] = ()
    confidence: LineConfidence | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    greedy: str | None = None

    @property
    def certainty(self) -> float:
        """The probability that the whole line is right, if the model is calibrated, else the score."""
        return self.score if self.confidence is None else self.confidence.line

    def doubtful_parts(self, min_confidence: float) -> list[tuple[int, int]]:
        """What of the text is less sure than `min_confidence`, by first and end; see `doubtful_parts`."""
        words = [(word.char, word.score) for word in self.words]
        return doubtful_parts(self.text, words, self.certainty, min_confidence)

    @cached_property
    def words(self) -> tuple[Character, ...]:
        """
        The words, likewise with the columns of their characters. Their scores are the probabilities that they are
        right, if the model is calibrated, else the means of those of their characters.
        """
        places = list(enumerate(self.characters))
        groups = [list(word) for space, word in groupby(places, lambda place: place[1].char.isspace()) if not space]
        right = {}
        if self.confidence is not None:
            spans = words_of([character.char for character in self.characters], " ")
            for (start, end), probability in zip(spans, self.confidence.words, strict=True):
                right |= dict.fromkeys(range(start, end), probability)
        words = []
        for text, group in zip(self.text.split() if groups else (), groups, strict=True):
            (first, _), letters = group[0], [letter for _, letter in group]
            score = right[first] if right else sum(letter.score for letter in letters) / len(letters)
            words.append(Character(text, score, letters[0].start, letters[-1].end))
        return tuple(words)


def certain(text: str) -> LineConfidence:
    """The confidence of a text that a person gave."""
    words = len(words_of(text, " "))
    return LineConfidence((1.0,) * len(text), (1.0,) * words, 1.0, 0.0, 0.0, float(len(text)))


class LineReader(Protocol):
    """
    What reads lines: a `Recognizer`, or several of them (`VotingRecognizer`).

    Attributes:
        source: Where the model comes from, a folder or Hub id; `None` of one that was never saved.
        decoder_name: What makes text of what the network sees.
        text_policy: The form of the texts that it writes.
        charset: The characters that it can write, or `None` if that cannot be told.
        calibration: What makes its scores probabilities of being right; `None` if they are not.
        provenance: Its names, to be written beside what was read.
    """

    source: str | None
    decoder_name: str

    @property
    def text_policy(self) -> "TextPolicy": ...

    @property
    def charset(self) -> str | None: ...

    @property
    def calibration(self) -> Calibration | None: ...

    @property
    def provenance(self) -> Provenance: ...

    def read(
        self, images: Iterable[Any], batch_size: int = 8, pages: Iterable[Hashable] | None = None
    ) -> Iterator[LineReading]:
        """The reading of each image, in their order; `pages` has the page that each is of."""
        ...
