"""What was read in the image of a line, and what reads it."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from processing.confidence import LineConfidence


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


class LineReader(Protocol):
    """
    What reads lines: a `Recognizer`, or several of them (`VotingRecognizer`).

    Attributes:
        source: Where the model comes from, a folder or Hub id; `None` of one that was never saved.
        decoder_name: What makes text of what the network sees.
        text_policy: The form of the texts that it writes.
        charset: The characters that it can write, or `None` if that cannot be told.
    """

    source: str | None
    decoder_name: str

    @property
    def text_policy(self) -> "TextPolicy": ...

    @property
    def charset(self) -> str | None: ...

    def read(
        self, images: Iterable[Any], batch_size: int = 8, pages: Iterable[Hashable] | None = None
    ) -> Iterator[LineReading]:
        """The reading of each image, in their order; `pages` has the page that each is of."""
        ...
