"""Ink: a text written with a font, on a baseline and with letters that are never quite the same."""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.ndimage import map_coordinates

from htr_convtext.errors import InputError

from .fonts import LineFont, Metrics
from .style import SyntheticStyle, smooth_field


OVERSAMPLING = 1.8  # pixels drawn for one pixel of the image
SOFTNESS = 1.1  # blur of what is drawn, in its pixels, before strokes get their width
LOWEST_LINE = 1.8  # height of an image in x-heights, at least
VISIBLE = 32  # grey level, of 255, from which drawn ink counts for the crop


@dataclass(frozen=True)
class Writing:
    """A written line: `ink` `(height, width)` from 0 (none) to 1, the row of its baseline, its x-height in pixels."""

    ink: np.ndarray
    baseline: float
    x_height: float


@dataclass(frozen=True)
class _Box:
    """The part of the drawn plane that becomes the image."""

    left: float
    top: float
    right: float
    bottom: float


class _Hand:
    """How one line is written. Lengths are in drawn pixels, y goes down, the baseline is at y = 0."""

    def __init__(self, x_height: float, style: SyntheticStyle, generator: np.random.Generator):
        self.x_height = x_height
        self.slant = style.amount(style.slant, generator)
        self.slope = style.amount(style.slope, generator)
        self.stretch = 1 + min(style.strength, 1) * (generator.uniform(*style.stretch) - 1)
        self.distortion = x_height * style.amount(style.distortion, generator)
        self.heights = x_height * style.amount(style.wave, generator) * generator.dirichlet((1, 1))
        self.lengths = x_height * generator.uniform(4, 30, 2)
        self.phases = generator.uniform(0, 2 * math.pi, 2)

    def rise(self, x: np.ndarray) -> np.ndarray:
        """How far above its place the baseline is at columns `x`."""
        waves = self.heights * np.sin(2 * np.pi * x[..., None] / self.lengths + self.phases)
        return self.slope * x + waves.sum(-1)

    def extent(self, ink: np.ndarray, left: float, top: float) -> _Box:
        """The bounds of drawn ink (a mask whose first pixel is at `left`, `top`) once it is slanted and on its wave."""
        columns = np.flatnonzero(ink.any(axis=0))
        first = ink.argmax(axis=0)[columns] + top
        last = len(ink) - ink[::-1].argmax(axis=0)[columns] + top
        x = np.concatenate([columns + left - self.slant * y for y in (first, last)])
        y = np.concatenate([first, last]) - self.rise(x)
        return _Box(x.min(), y.min(), x.max() + 1, y.max())


def write_line(
    text: str, font: LineFont, height: int, style: SyntheticStyle, generator: np.random.Generator
) -> Writing:
    """
    Writes a text (NFC, single spaces between words, every character in the font).

    Everything that varies comes from `generator`. The image has as many columns as the text needs.
    """
    metrics = font.metrics
    size = round(OVERSAMPLING * height / (metrics.ascent + metrics.descent + 0.8 * metrics.x_height))
    hand = _Hand(metrics.x_height * size, style, generator)
    right_to_left = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)
    words = [text] if right_to_left else text.split(" ")  # RAQM finds the order within a piece, not of the pieces
    placed, advance = _place_words(words, font, size, style, generator)

    # The plane reaches as far as letters do, with room for swashes. Its baseline is in row `origin`.
    room = 2 * size
    origin = round(2.2 * size)
    plane = Image.new("L", (round(advance) + 2 * room, 4 * size), 0)
    _draw(plane, placed, room, origin)
    bounds = plane.getbbox()
    if bounds is None:
        raise InputError(f"{text!r} leaves no ink with the font {font.name}.")
    drawn = np.asarray(plane.crop(bounds)) >= VISIBLE
    ink = hand.extent(drawn, bounds[0] - room, bounds[1] - origin)

    box = _crop(ink, font, size, hand, style, generator)
    scale = (box.bottom - box.top) / height
    rise = hand.rise(np.linspace(box.left, box.right, 100))
    for above in (True, False):
        if style.happens(style.neighbours, generator):
            others = generator.permutation(words)[: generator.integers(1, len(words) + 1)].tolist()
            other_words, length = _place_words(others, font, size, style, generator)
            # Only ascenders and descenders come into sight.
            distance = generator.uniform(0.1, 0.6) * hand.x_height
            baseline = box.top + rise.min() - distance
            if not above:
                baseline = box.bottom + rise.max() + distance + hand.x_height
            start = generator.uniform(box.left, max(box.right - length, box.left + 1))
            _draw(plane, other_words, room + start, origin + baseline)
    return Writing(
        _finish(plane, (room, origin), box, height, metrics, size, hand, style, generator),
        baseline=-box.top / scale,
        x_height=hand.x_height / scale,
    )


def _place_words(
    words: list[str], font: LineFont, size: int, style: SyntheticStyle, generator: np.random.Generator
) -> tuple[list[tuple[float, float, str, ImageFont.FreeTypeFont]], float]:
    """Where each word stands (x, y, text, font of its size), and the length of all."""
    gap = font.at_size(size).getlength(" ") * (1 + min(style.strength, 1) * (generator.uniform(*style.word_gap) - 1))
    sizes = size * (1 + style.strength * style.word_size * generator.standard_normal(len(words)))
    shifts = size * font.metrics.x_height * style.strength * style.word_shift * generator.standard_normal(len(words))
    gaps = gap * np.maximum(1 + 0.15 * style.strength * generator.standard_normal(len(words)), 0.6)
    x, placed = 0.0, []
    for word, word_size, shift, word_gap in zip(words, sizes.tolist(), shifts.tolist(), gaps.tolist(), strict=True):
        sized = font.at_size(max(round(word_size), 1))
        placed.append((x, shift, word, sized))
        x += sized.getlength(word) + word_gap
    return placed, x


def _draw(plane: Image.Image, placed: list, left: float, baseline: float) -> None:
    pen = ImageDraw.Draw(plane)
    for x, y, word, font in placed:
        pen.text((left + x, baseline + y), word, fill=255, font=font, anchor="ls")


def _crop(
    ink: _Box, font: LineFont, size: int, hand: _Hand, style: SyntheticStyle, generator: np.random.Generator
) -> _Box:
    """Cuts a line out of its page: around its ink, or more evenly around where letters of the font may reach."""
    looseness = generator.uniform(0, 1)
    top = min(ink.top, -hand.x_height, looseness * -font.metrics.ascent * size + (1 - looseness) * ink.top)
    bottom = max(ink.bottom, 0.0, looseness * font.metrics.descent * size + (1 - looseness) * ink.bottom)
    reach = 2 * hand.distortion + SOFTNESS
    margins = hand.x_height * generator.uniform(*style.margin_y, 2) + reach
    top, bottom = top - margins[0], bottom + margins[1]
    if style.happens(style.tight_crop, generator):
        top = ink.top + hand.x_height * generator.uniform(0, style.max_cut)
    if style.happens(style.tight_crop, generator):
        bottom = ink.bottom - hand.x_height * generator.uniform(0, style.max_cut)
    lacking = max(LOWEST_LINE * hand.x_height - (bottom - top), 0)  # "on" or a dash does not fill a line
    sides = hand.x_height * generator.uniform(*style.margin_x, 2) + reach
    return _Box(ink.left - sides[0], top - lacking / 2, ink.right + sides[1], bottom + lacking / 2)


def _finish(
    plane: Image.Image,
    origin: tuple[int, int],
    box: _Box,
    height: int,
    metrics: Metrics,
    size: int,
    hand: _Hand,
    style: SyntheticStyle,
    generator: np.random.Generator,
) -> np.ndarray:
    """The ink of the box at its final size: slanted, on its wave, distorted, with the width of a pen."""
    scale = (box.bottom - box.top) / height
    step = scale / hand.stretch
    width = max(math.ceil((box.right - box.left) / step), 1)
    v = box.top + scale * (np.arange(height, dtype=np.float32) + 0.5)[:, None]
    u = box.left + step * (np.arange(width, dtype=np.float32) + 0.5)
    x = u + hand.slant * v + origin[0]
    y = v + hand.rise(u).astype(np.float32) + origin[1]
    cell = (hand.x_height / scale, hand.x_height / step)
    for coordinates in (x, y):
        coordinates += hand.distortion * smooth_field(generator, (height, width), cell)

    left, top = math.floor(x.min()) - 4, math.floor(y.min()) - 4
    window = plane.crop((left, top, math.ceil(x.max()) + 4, math.ceil(y.max()) + 4))
    soft = np.asarray(window.filter(ImageFilter.GaussianBlur(SOFTNESS)))
    ink = map_coordinates(soft, (y - top - 0.5, x - left - 0.5), np.float32, order=1) / 255

    # Blur makes a ramp of each edge. The level at which the ramp is cut sets the width of the stroke.
    stroke, hairline = metrics.stroke * size, metrics.hairline * size
    wanted = min(generator.uniform(*style.pen) * height * scale, 0.3 * hand.x_height)
    wider = min(style.strength, 1) * (wanted - stroke) / 2
    level = 0.5 * math.erfc(wider / (math.sqrt(2) * SOFTNESS))
    level = level * (1 - style.amount(style.pressure, generator) * smooth_field(generator, ink.shape, cell))
    peak = math.erf(hairline / (2 * math.sqrt(2) * SOFTNESS))  # what the blur leaves of the thinnest strokes
    level = np.clip(level, 0.06, max(0.6 * peak, 0.06))
    ramp = 0.9 * np.minimum(level, 0.33)
    return np.clip((ink - level) / (2 * ramp) + 0.5, 0, 1)
