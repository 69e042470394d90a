"""Fonts of handwriting: which characters they have, and how large and thick their letters are."""

import logging
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from PIL import ImageFont
from scipy.ndimage import distance_transform_edt, maximum_filter

from htr_convtext.errors import InputError
from htr_convtext.folder_files import walk


BUNDLED_FONTS = Path(__file__).parents[2] / "fonts"
SUFFIXES = (".ttf", ".otf")
REFERENCE_SIZE = 400  # pixels per em at which a font is measured
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metrics:
    """Heights above and below the baseline, and widths of usual and of thin strokes, in ems."""

    x_height: float
    ascent: float
    descent: float
    stroke: float
    hairline: float


@dataclass(frozen=True)
class LineFont:
    """
    A TrueType or OpenType file. It holds no open file: it can be pickled, and everything read is cached.

    Raises (when read): InputError, naming the file, if it is no font.
    """

    path: str

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def characters(self) -> frozenset[str]:
        """Those the font has a glyph for. Others would come out as an empty box."""
        return _characters(self.path)

    @property
    def metrics(self) -> Metrics:
        return _metrics(self.path)

    def at_size(self, size: int) -> ImageFont.FreeTypeFont:
        """The font at a number of pixels per em."""
        return _open(self.path, size)


@lru_cache(maxsize=1024)
def _open(path: str, size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(path, size)
    except OSError as error:
        raise InputError(f"{path}: not a font that can be read. ({error})") from None


@cache
def _characters(path: str) -> frozenset[str]:
    try:
        with TTFont(path, lazy=True) as font:
            return frozenset(map(chr, font.getBestCmap() or ()))
    except (OSError, TTLibError, AssertionError, KeyError) as error:
        raise InputError(f"{path}: not a font that can be read. ({error})") from None


@cache
def _metrics(path: str) -> Metrics:
    font = _open(path, REFERENCE_SIZE)
    if set("xdhpgnoe") <= _characters(path):
        _, top, _, _ = font.getbbox("x", anchor="ls")
        _, ascender, _, _ = font.getbbox("dh", anchor="ls")
        _, _, _, descender = font.getbbox("pg", anchor="ls")
        sample = "none"
        if top >= 0:
            raise InputError(f"{path}: its letters leave no ink.")
    else:  # no Latin letters: what the font says of itself
        ascent, descender = font.getmetrics()
        ascender, top, sample = -ascent, -ascent / 2, "".join(sorted(_characters(path))[-50:])
    mask = font.getmask(sample)
    ink = np.pad(np.asarray(mask, dtype=np.uint8).reshape(mask.size[::-1]) >= 128, 1)
    # Along the middle of a stroke the distance to the paper is largest, and half of its width.
    distance = distance_transform_edt(ink)
    middles = distance[(distance == maximum_filter(distance, 5)) & ink]
    hairline, stroke = 2 * np.percentile(middles, (20, 75)) - 1 if len(middles) else (1, 1)
    return Metrics(*(float(value) / REFERENCE_SIZE for value in (-top, -ascender, descender, stroke, hairline)))


def find_fonts(folder: str | os.PathLike = BUNDLED_FONTS) -> list[LineFont]:
    """
    The fonts of a folder and its sub-folders, in the order of their paths; by default those of the package.

    Raises:
        InputError: names the folder if it holds no font, or the file that cannot be read.
    """
    found = walk(folder)
    for path, reason in found.unreadable.items():
        logger.warning("%s: %s.", path, reason)
    paths = [path for path in found.files if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError(f"{folder}: no fonts ({', '.join(SUFFIXES)}) there.")
    fonts = [LineFont(str(path)) for path in paths]
    for font in fonts:
        font.metrics  # noqa: B018  a damaged file is found here and not after some thousand lines
    return fonts
