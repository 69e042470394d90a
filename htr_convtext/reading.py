"""What was read in the image of a line, and by what."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from processing.confidence import LineConfidence
from processing.confidence_features import words_of

from .doubt import doubtful_parts


@dataclass(frozen=True)
class Character:
    """A character as it was read, its score, and the columns of the line's image, in pixels, where it was seen."""

    char: str
    score: float
    start: float
    end: float


@dataclass(frozen=True)
class Reader:
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
    """

    text: str
    score: float
    characters: tuple[Character, ...] = ()
    confidence: LineConfidence | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    error: str | None = None

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
