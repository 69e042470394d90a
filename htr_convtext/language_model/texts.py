"""Texts to learn a language model from, as lines like those that are read with it."""

import html
import os
import random
from collections.abc import Callable, Iterable

from htr_convtext.errors import InputError
from htr_convtext.folder_files import read_file


SHORTEST, LONGEST = 25, 70  # characters of the pieces of running text: what a written line holds
HELD_OUT = 20  # one piece in so many


def read_text(path: str | os.PathLike, clean: Callable[[str], str]) -> list[str]:
    """
    The lines of a UTF-8 file; those longer than handwritten ones are cut between words into pieces.

    Args:
        clean: Brings a text into the form in which a model writes.

    Raises:
        InputError: if it cannot be opened, is not UTF-8 or has no text.
    """
    try:
        content = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; save it as UTF-8. ({error})") from None
    pieces = list(_cut(map(clean, html.unescape(content).splitlines())))
    if not pieces:
        raise InputError(f"{path}: it has no text that the model could read.")
    return pieces


def hold_out(lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines to learn from, and one in twenty to measure on."""
    return [line for index, line in enumerate(lines) if index % HELD_OUT], lines[::HELD_OUT]


def _cut(texts: Iterable[str]) -> Iterable[str]:
    draw = random.Random(0)
    for text in texts:
        if len(text) <= LONGEST:
            if text:
                yield text
            continue
        piece, limit = "", draw.randint(SHORTEST, LONGEST)
        for word in text.split():
            if piece and len(piece) + len(word) >= limit:
                yield piece
                piece, limit = "", draw.randint(SHORTEST, LONGEST)
            piece = f"{piece} {word}".strip()
        yield piece
