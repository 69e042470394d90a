"""The characters of a language model, numbered as KenLM numbers words."""

from collections.abc import Iterable

import numpy as np

from processing.beam_search import SPACE


UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"

MASK = (1 << 64) - 1


class Vocabulary:
    """
    Characters, what stands for any other, and the beginning and end of a line.

    The unknown has number 0; the others are sorted by their hashes, in which KenLM looks words up.

    Args:
        characters: In any order.
    """

    def __init__(self, characters: Iterable[str]):
        self.characters = frozenset(characters)
        words = [BEGIN, END, *({" ": SPACE}.get(character, character) for character in self.characters)]
        self.words = (UNKNOWN, *sorted(words, key=word_hash))
        numbers = {word: number for number, word in enumerate(self.words)}
        self.begin, self.end = numbers[BEGIN], numbers[END]
        self.numbers = {character: numbers[{" ": SPACE}.get(character, character)] for character in self.characters}

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    __hash__ = None

    def stream(self, lines: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """
        All lines in one.

        Returns:
            The numbers of the characters, each line with its beginning and end; and of each its place in its line, 0
            being the beginning.
        """
        text, position = [], []
        for line in lines:
            numbers = [self.begin, *(self.numbers.get(character, 0) for character in line), self.end]
            text += numbers
            position += range(len(numbers))
        return np.array(text, np.int64), np.array(position, np.int64)


def word_hash(word: str) -> int:
    """MurmurHash64A of the UTF-8 bytes, seed 0 (Austin Appleby, public domain)."""
    data, multiplier = word.encode(), 0xC6A4A7935BD1E995
    found = len(data) * multiplier & MASK
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        part = int.from_bytes(data[start : start + 8], "little") * multiplier & MASK
        part = (part ^ part >> 47) * multiplier & MASK
        found = (found ^ part) * multiplier & MASK
    if whole < len(data):
        found = (found ^ int.from_bytes(data[whole:], "little")) * multiplier & MASK
    found = (found ^ found >> 47) * multiplier & MASK
    return found ^ found >> 47
