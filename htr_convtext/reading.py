"""What was read in the image of a line."""

from dataclasses import dataclass


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
        error: Why the image could not be read.
    """

    text: str
    score: float
    characters: tuple[Character, ...] = ()
    error: str | None = None
