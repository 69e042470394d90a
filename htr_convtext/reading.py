"""What was read in the image of a line."""

from dataclasses import dataclass

from processing.confidence import LineConfidence


@dataclass(frozen=True)
class Character:
    """A character as it was read, its score, and the columns of the line's image, in pixels, where it was seen."""

    char: str
    score: float
    start: float
    end: float


@dataclass(frozen=True)
class LineReading:
    """
    What was read in a line, or why nothing was.

    Attributes:
        text: Accents that were read apart from their letters are composed with them, so it may have fewer characters
            than `characters`.
        score: The mean of the scores of the characters, or of the blanks where there are none; 0 with an `error`.
        confidence: The probabilities that its words and the whole line are right, and the errors to expect, if the
            model is calibrated for the decoder (`htr tune`); then the scores of characters are such probabilities too.
        error: Why the image could not be read.
        greedy: What the best class of each frame gives, where the text comes of another decoder of frames.
    """

    text: str
    score: float
    characters: tuple[Character, ...] = ()
    confidence: LineConfidence | None = None
    error: str | None = None
    greedy: str | None = None
