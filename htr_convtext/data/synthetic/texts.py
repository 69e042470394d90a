"""Running text to the texts of single lines."""

import os
import re
from collections import Counter
from collections.abc import Sequence, Set

import numpy as np

from htr_convtext.errors import InputError
from htr_convtext.folder_files import read_file

from ..text_policy import TextPolicy


# Characters of a line, about as in 14,000 lines of seven sets of French and German handwriting.
MEAN_LENGTH, LENGTH_DEVIATION, SHORTEST, LONGEST = 50, 20, 5, 85
KINDS = {"running text": 0.84, "word": 0.05, "number": 0.04, "hyphenated": 0.05, "capitals": 0.02}
INVISIBLE = re.compile("[\u00ad\u200b\ufeff]")  # soft hyphen, zero-width space, byte order mark
SHORTEST_HYPHENATED = 6


class LineTexts:
    """
    Texts for lines, cut at random from running text.

    Lines end between words and have the lengths of written ones. Now and then a line is a single word, a number or a
    date, is in capitals, or ends in a hyphenated word.

    Args:
        texts: Running texts. They are brought to Unicode form NFC and to single spaces.
        languages: Language code of each text, if known.
        weights: Share of the lines to cut from each text, in any unit; by default each gives as many.

    Raises:
        InputError: if a text is empty, or there are not as many languages or weights as texts.
    """

    def __init__(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None] | None = None,
        weights: Sequence[float] | None = None,
    ):
        self.texts = [TextPolicy()(INVISIBLE.sub("", text)) for text in texts]
        self.languages = list(languages) if languages else [None] * len(self.texts)
        shares = np.asarray(weights if weights else [1] * len(self.texts), dtype=np.float64)
        if not self.texts or not all(self.texts):
            raise InputError("Lines need texts to be cut from; one is empty.")
        if not len(self.texts) == len(self.languages) == len(shares):
            raise InputError(
                f"{len(self.texts)} texts need as many languages and weights, "
                f"not {len(self.languages)} and {len(shares)}."
            )
        if (shares < 0).any() or not 0 < shares.sum() < np.inf:
            raise InputError(f"Weights must be positive numbers, not {shares.tolist()}.")
        self.weights = shares / shares.sum()

    @classmethod
    def from_files(
        cls,
        paths: Sequence[str | os.PathLike],
        languages: Sequence[str | None] | None = None,
        weights: Sequence[float] | None = None,
    ) -> "LineTexts":
        """
        Reads running texts from UTF-8 files.

        Raises:
            InputError: names the file if it cannot be opened, is empty or not UTF-8.
        """
        texts = []
        for path in paths:
            try:
                texts.append(read_file(path).decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: not a text in UTF-8. ({error})") from None
            if not texts[-1].strip():
                raise InputError(f"{path}: empty.")
        return cls(texts, languages, weights)

    def restricted_to(self, characters: Set[str]) -> tuple["LineTexts", Counter]:
        """
        The texts without the words that have other characters, and how often each of these was found.

        Raises:
            InputError: if nothing is left of a text.
        """
        missing = Counter()
        for text in self.texts:
            missing.update({sign: text.count(sign) for sign in set(text) - characters - {" "}})
        if not missing:
            return self, missing
        word = re.compile(rf"\S*[{re.escape(''.join(missing))}]\S*")
        texts = [word.sub("", text) for text in self.texts]
        if not all(map(str.strip, texts)):
            raise InputError("No font has the characters of one of the texts; give fonts for its script.")
        return LineTexts(texts, self.languages, self.weights.tolist()), missing

    def __call__(self, generator: np.random.Generator) -> tuple[str, str | None]:
        """Draws the text of a line, never empty, and its language, if known."""
        source = generator.choice(len(self.texts), p=self.weights)
        kind = generator.choice(list(KINDS), p=list(KINDS.values()))
        return self._line(self.texts[source], kind, generator), self.languages[source]

    @staticmethod
    def _line(text: str, kind: str, generator: np.random.Generator) -> str:
        if kind == "number":
            return _number(generator)
        start = text.rfind(" ", 0, int(generator.integers(len(text))) + 1) + 1
        words = [word[:LONGEST] for word in text[start : start + 2 * LONGEST].split(" ")]
        if kind == "word":
            return words[0]
        length = np.clip(generator.normal(MEAN_LENGTH, LENGTH_DEVIATION), SHORTEST, LONGEST)
        count = 1
        while count < len(words) and len(" ".join(words[: count + 1])) <= length:
            count += 1
        line = " ".join(words[:count])
        if kind == "capitals":
            return TextPolicy()(line.upper())
        following = words[count] if count < len(words) else ""
        if kind == "hyphenated" and len(following) >= SHORTEST_HYPHENATED and following.isalpha():
            return f"{line} {following[: generator.integers(2, len(following) - 2)]}-"
        return line


def _number(generator: np.random.Generator) -> str:
    """A number or a date as many languages write it."""
    day, month, year = (int(generator.integers(low, high)) for low, high in ((1, 32), (1, 13), (1700, 2030)))
    small, large = int(generator.integers(1, 1000)), int(generator.integers(1000, 1_000_000))
    return str(
        generator.choice(
            (
                f"{day}.{month}.{year}",
                f"{day:02}/{month:02}/{year}",
                f"{day}-{month}-{year % 100:02}",
                f"{year}",
                f"{year}–{year + small % 50}",
                f"{small}",
                f"{small},{day:02}",
                f"{small} %",
                f"({day})",
                f"{large}",
                f"{large:,}".replace(",", "."),
                f"{large:,}".replace(",", " "),
            )
        )
    )
