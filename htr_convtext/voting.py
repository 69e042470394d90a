"""
Several models that read the same lines, and vote on each character.

This is ROVER (J. G. Fiscus, "A post-processing system to yield reduced word error rates: Recognizer Output Voting Error
Reduction (ROVER)", ASRU 1997) on characters: the readings are aligned one after the other into a sequence of places,
each with what every reading has there, a character or nothing, and at each place one choice wins.
"""

import math
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .reading import Character, LineReader, LineReading, Provenance


if TYPE_CHECKING:
    from .data.text_policy import TextPolicy


# Chosen on validation lines: docs/voting.md.
VOTES = 0.4
NOTHING = 0.4
EDIT = 1_000_000  # what an edit costs in pixels between aligned characters: more than there are in any line


@dataclass(frozen=True)
class _Sign:
    """A letter with its accents (NFC), its score, and the columns where it was seen, if they are known."""

    char: str
    score: float
    span: tuple[float, float] | None


# What each of the readings has at one place.
_Place = list[_Sign | None]


def vote(readings: Sequence[LineReading], votes: float = VOTES, nothing: float = NOTHING) -> LineReading:
    """
    One reading of several of the same image.

    At each place the choice with the greatest sum of `votes + (1 - votes) · score` over the readings that have it wins;
    between equal ones the earliest reading decides.

    Args:
        readings: Also with columns of their characters unknown, and in any Unicode form. Those with an error have no
            voice.
        votes: How much the number of the readings counts, from 0, where their scores alone do, to 1.
        nothing: The score of having no character at a place.

    Returns:
        The reading, composed (NFC). The score of a character is the mean of its scores in the readings that have it,
        that of the line the mean over its characters. `confidence` is `None`: a calibration is of one model, and does
        not hold for a vote. Its `characters` are empty if no reading has columns. If all readings have an error, the
        first of them.

    Raises:
        ValueError: if there are no readings.
    """
    heard = [reading for reading in readings if reading.error is None]
    if not heard:
        if not readings:
            raise ValueError("There are no readings to vote.")
        return readings[0]
    places: list[_Place] = []
    for number, reading in enumerate(heard):
        places = _align(places, number, _signs(reading))
    won = [sign for sign in (_winner(place, votes, nothing) for place in places) if sign]
    text = unicodedata.normalize("NFC", "".join(sign.char for sign in won))
    score = fmean(sign.score for sign in won) if won else fmean(reading.score for reading in heard)
    return LineReading(text, score, tuple(_placed(won)))


def _signs(reading: LineReading) -> list[_Sign]:
    """The letters of a reading; where its characters are not told, each has the score of the line."""
    found = [_Sign(each.char, each.score, (each.start, each.end)) for each in reading.characters]
    signs: list[_Sign] = []
    for sign in found or [_Sign(char, reading.score, None) for char in reading.text]:
        if signs and unicodedata.combining(sign.char) and not signs[-1].char.isspace():
            letter = signs.pop()
            span = letter.span and sign.span and (min(letter.span[0], sign.span[0]), max(letter.span[1], sign.span[1]))
            sign = _Sign(letter.char + sign.char, min(letter.score, sign.score), span)
        signs.append(replace(sign, char=unicodedata.normalize("NFC", sign.char)))
    return signs


def _align(places: Sequence[_Place], number: int, signs: Sequence[_Sign]) -> list[_Place]:
    """
    The places of `number` readings and another, in the alignment with the fewest edits between it and these readings,
    of those with as few the one whose signs are least apart.
    """
    different, left_out = _costs(places, number, signs)
    added = EDIT * number * np.arange(len(signs) + 1)
    costs = [added]  # costs[i][j]: of the first i places with the first j signs
    for row, skip in zip(different, left_out, strict=True):
        best = costs[-1] + skip
        best[1:] = np.minimum(best[1:], costs[-1][:-1] + row)
        costs.append(np.minimum.accumulate(best - added) + added)
    aligned, i, j = [], len(places), len(signs)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + different[i - 1][j - 1]:
            i, j = i - 1, j - 1
            aligned.append([*places[i], signs[j]])
        elif i and costs[i][j] == costs[i - 1][j] + left_out[i - 1]:
            i -= 1
            aligned.append([*places[i], None])
        else:
            j -= 1
            aligned.append([*[None] * number, signs[j]])
    return aligned[::-1]


def _costs(places: Sequence[_Place], number: int, signs: Sequence[_Sign]) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers: what it costs to give a sign to a place, `(places, signs)`, and to give it none, `(places,)`."""
    codes = {sign.char: code for code, sign in enumerate(signs)}
    own = np.array([codes[sign.char] for sign in signs], dtype=int)
    theirs = [[codes.get(choice.char, -1) if choice else -2 for choice in place] for place in places]
    theirs = np.array(theirs, dtype=int).reshape(len(places), number)
    distances = np.abs(np.subtract.outer([_middle(place) for place in places], [_middle([sign]) for sign in signs]))
    different = EDIT * (theirs[:, :, None] != own).sum(1) + np.nan_to_num(distances).astype(int)
    return different, EDIT * (theirs > -2).sum(1)


def _middle(place: _Place) -> float:
    """The pixel column in the middle of a place; NaN where that is not known."""
    middles = [sum(choice.span) / 2 for choice in place if choice and choice.span]
    return fmean(middles) if middles else math.nan


def _winner(place: _Place, votes: float, nothing: float) -> _Sign | None:
    """What wins at a place, seen where those that have it saw it, or else the others."""
    weights: dict[str | None, float] = {}
    for choice in place:
        char, score = (choice.char, choice.score) if choice else (None, nothing)
        weights[char] = weights.get(char, 0.0) + votes + (1 - votes) * score
    char = max(weights, key=weights.__getitem__)
    if char is None:
        return None
    others = [choice for choice in place if choice]
    ours = [choice for choice in others if choice.char == char]
    spans = [choice.span for choice in ours if choice.span] or [choice.span for choice in others if choice.span]
    span = tuple(map(fmean, zip(*spans, strict=True))) if spans else None
    return _Sign(char, fmean(choice.score for choice in ours), span)


def _placed(signs: Sequence[_Sign]) -> Iterator[Character]:
    """Signs with their columns; those seen nowhere are spread between their neighbours. None if no sign was seen."""
    seen = [index for index, sign in enumerate(signs) if sign.span]
    for index, sign in enumerate(signs if seen else ()):
        start, end = sign.span or _between(signs, index, seen)
        yield Character(sign.char, sign.score, start, end)


def _between(signs: Sequence[_Sign], index: int, seen: Sequence[int]) -> tuple[float, float]:
    """The columns of a sign that was seen nowhere; at an end of the line those where its neighbour ends."""
    before = max((other for other in seen if other < index), default=None)
    after = min((other for other in seen if other > index), default=None)
    left = signs[after].span[0] if before is None else signs[before].span[1]
    right = left if before is None or after is None else max(left, signs[after].span[0])
    if before is None or after is None:
        return left, right
    step = (right - left) / (after - before - 1)
    return left + step * (index - before - 1), left + step * (index - before)


class VotingRecognizer:
    """
    Several recognisers, which may be of different families and charsets, as one that gives their `vote`.

    A second copy of a model whose processor resizes lines to another width is another model.

    Args:
        recognizers: The best first: it decides between equal votes.
        votes, nothing: As for `vote`.

    Attributes:
        source, decoder_name: Those of the recognisers, joined.
        text_policy: That of the first.
        charset: The characters that any of them can write; `None` if that cannot be told of one of them.
        calibration: None: it is of one model and one decoder.

    Raises:
        InputError: if there are none.
    """

    calibration = None

    def __init__(self, recognizers: Sequence[LineReader], votes: float = VOTES, nothing: float = NOTHING):
        if not recognizers:
            raise InputError("There are no models to vote.")
        self.recognizers = tuple(recognizers)
        self.votes, self.nothing = votes, nothing
        sources, decoders = zip(*((each.source, each.decoder_name) for each in recognizers), strict=True)
        self.source = None if None in sources else " + ".join(sources)
        self.decoder_name = decoders[0] if len(set(decoders)) == 1 else " + ".join(decoders)

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.source, self.decoder_name)

    @property
    def text_policy(self) -> "TextPolicy":
        return self.recognizers[0].text_policy

    @property
    def charset(self) -> str | None:
        charsets = [recognizer.charset for recognizer in self.recognizers]
        return None if None in charsets else "".join(dict.fromkeys("".join(charsets)))

    def read(
        self, images: Iterable[Any], batch_size: int = 8, pages: Iterable[Hashable] | None = None
    ) -> Iterator[LineReading]:
        """As `Recognizer.read`, by each recogniser in turn."""
        count = len(self.recognizers)
        copies = zip(tee(images, count), [None] * count if pages is None else tee(pages, count), strict=True)
        streams = [
            recognizer.read(own, batch_size, of_page)
            for recognizer, (own, of_page) in zip(self.recognizers, copies, strict=True)
        ]
        for readings in zip(*streams, strict=True):
            yield vote(readings, self.votes, self.nothing)
