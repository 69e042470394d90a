"""Character n-grams with back-off, as sorted arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .vocabulary import Vocabulary


@dataclass
class Level:
    """
    All n-grams of one length.

    An n-gram is its suffix, that is what is left without its first character, and that character. They are sorted by
    both, so the n-grams of a level are numbered by their suffixes' numbers first: a trie from the last character to
    the first, as KenLM reads it.

    Attributes:
        suffix: For each n-gram the number of its suffix in the level below; 0 in the first.
        first: The number of its first character in the vocabulary.
        probability: Of its last character after the others.
        backoff: What the probability of a character that never followed is multiplied with, after its suffix.
        prefix: The number, in the level below, of the n-gram without its last character.
    """

    suffix: np.ndarray
    first: np.ndarray
    probability: np.ndarray
    backoff: np.ndarray
    prefix: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.first)


class NGramModel:
    """
    A back-off model: the probability of a character after the longest known context.

    With every n-gram all its parts are in the model.

    Args:
        vocabulary: The characters.
        levels: The n-grams of one character, of two, …; in the first those of the whole vocabulary, in its order.
    """

    def __init__(self, vocabulary: Vocabulary, levels: Sequence[Level]):
        self.vocabulary = vocabulary
        self.levels = list(levels)
        self._keys = [level.suffix * len(vocabulary) + level.first for level in levels]
        for number in range(1, len(levels)):
            below, level = self.levels[number - 1], self.levels[number]
            level.prefix = (
                level.first if number == 1 else self.find(number - 1, below.prefix[level.suffix], level.first)
            )

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.levels)

    @property
    def counts(self) -> list[int]:
        """N-grams of each length."""
        return [len(level) for level in self.levels]

    def find(self, level: int, suffix: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The numbers of n-grams in a level, -1 for those that are not there or whose suffix is -1."""
        keys = self._keys[level]
        wanted = suffix * len(self.vocabulary) + first
        found = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
        there = (keys[found] == wanted) & (suffix >= 0) if len(keys) else np.zeros(len(wanted), bool)
        return np.where(there, found, -1)

    def with_vocabulary(self, vocabulary: Vocabulary, order: int) -> "NGramModel":
        """
        The same for more characters, without n-grams longer than `order`.

        Each new character gets the probability of the unknown.
        """
        old, numbers = self.vocabulary, np.zeros(len(self.vocabulary), np.int64)
        numbers[[old.begin, old.end]] = vocabulary.begin, vocabulary.end
        for character, number in old.numbers.items():
            numbers[number] = vocabulary.numbers[character]
        first = np.arange(len(vocabulary))
        probability = np.full(len(vocabulary), self.levels[0].probability[0])
        probability[numbers] = self.levels[0].probability
        backoff = np.ones(len(vocabulary))
        backoff[numbers] = self.levels[0].backoff
        levels, moved = [Level(np.zeros_like(first), first, probability / probability.sum(), backoff)], numbers
        for level in self.levels[1:order]:
            suffix, first = moved[level.suffix], numbers[level.first]
            sorting = np.lexsort((first, suffix))
            moved = np.empty_like(sorting)
            moved[sorting] = np.arange(len(sorting))
            parts = suffix, first, level.probability, level.backoff
            levels.append(Level(*(part[sorting] for part in parts)))
        empty = np.zeros(0, np.int64)
        levels += [Level(empty, empty, np.zeros(0), np.zeros(0)) for _ in range(order - len(levels))]
        return NGramModel(vocabulary, levels)

    def probabilities(self, lines: Iterable[str]) -> np.ndarray:
        """Of each character of the lines, and of each line's end, after what stands before it."""
        text, position = self.vocabulary.stream(lines)
        ending_here = text
        found = self.levels[0].probability[text]
        for number in range(1, self.order):
            context = np.roll(ending_here, 1)  # the n-gram of the level below that ends one character before
            ending_here = self.find(number, ending_here, np.roll(text, number))
            ending_here[position < number] = -1
            backoff = _values(self.levels[number - 1].backoff, context)
            backoff[position < number] = 1.0
            found = np.where(ending_here >= 0, _values(self.levels[number].probability, ending_here), backoff * found)
        return found[position > 0]

    def perplexity(self, lines: Iterable[str]) -> float:
        """Per character, each line's end among them."""
        return float(np.exp(-np.log(self.probabilities(lines)).mean()))


def _values(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Those of n-grams by their numbers, 1 for those of number -1, which are not there."""
    return np.append(values, 1.0)[numbers]


def build_levels(vocabulary: Vocabulary, levels: Sequence[Level]) -> NGramModel:
    """A model of levels whose back-off weights are still to be found: those with which the probabilities add up."""
    model = NGramModel(vocabulary, levels)
    for below, level in zip(model.levels[:-1], model.levels[1:], strict=True):
        seen = np.bincount(level.prefix, level.probability, minlength=len(below))
        lower = np.bincount(level.prefix, below.probability[level.suffix], minlength=len(below))
        has_some = np.bincount(level.prefix, minlength=len(below)) > 0
        below.backoff = np.where(has_some, np.maximum(1 - seen, 1e-9) / np.maximum(1 - lower, 1e-9), 1.0)
    model.levels[-1].backoff = np.ones(len(model.levels[-1]))
    return model
