"""Where there is ink on a page."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter


# How much darker than its paper ink is, in grey levels of 255.
LEAST_CONTRAST = 16
LEAST_DENSITY = 0.01  # of ink in a box with a line, as a share of its area
LINE_ROWS = 48  # of a line that is searched for thin letters
MOST_PIXELS = 1500  # of the longer side of a page whose ink is mapped
AROUND = 1 / 40  # of that side: the surroundings that a pixel of ink is darker than


def has_ink(image: Image.Image) -> bool:
    """
    Whether there is anything but paper on a cut line, be it a single dot; noise of a scan is none.

    Args:
        image: 8-bit grey, white (255) outside of the line's polygon.
    """
    # Means of 3 × 3 pixels, which even out noise but leave dots.
    smooth = image.filter(ImageFilter.BoxBlur(1)) if min(image.size) > 2 else image
    pixels = np.asarray(image)
    inside = pixels[pixels < 255]
    if not inside.size:
        return False
    paper = float(np.median(inside))
    if paper - np.asarray(smooth).min() >= LEAST_CONTRAST:
        return True
    if smooth.height > LINE_ROWS:
        smooth = smooth.resize((max(1, round(smooth.width * LINE_ROWS / smooth.height)), LINE_ROWS))
    levels = np.asarray(smooth, dtype=np.int16)
    is_black = np.median(levels) < 128
    if is_black:
        levels = 255 - levels
    thin = (_without_thin(levels) - levels >= LEAST_CONTRAST).sum()
    # Of what is grey throughout on white, letters are thin, but paper within a polygon is not, but at its ends.
    return bool(thin) if is_black else bool(thin > (levels <= 255 - LEAST_CONTRAST).sum() / 2)


def _without_thin(levels: np.ndarray) -> np.ndarray:
    """A morphological closing: what is dark and thinner than a third of the height takes the level around it."""
    reach = max(1, len(levels) // 6)
    for extreme in (np.maximum, np.minimum):
        for axis in (0, 1):
            levels = np.moveaxis(levels, axis, 0)
            padded = np.pad(levels, ((reach, reach), (0, 0)), "edge")
            levels = extreme.reduce([padded[start : start + len(levels)] for start in range(2 * reach + 1)])
            levels = np.moveaxis(levels, 0, axis)
    return levels


class InkMap:
    """
    The ink of a page, told by being darker than what is around it.

    Args:
        image: Grey or RGB.
    """

    def __init__(self, image: Image.Image):
        small = image.convert("L") if image.mode != "L" else image.copy()
        small.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BOX)
        around = small.filter(ImageFilter.BoxBlur(max(2, round(AROUND * max(small.size)))))
        ink = np.asarray(around, dtype=int) - np.asarray(small, dtype=int) >= LEAST_CONTRAST
        self._sums = np.pad(ink.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        self._scale = np.array([small.width / image.width, small.height / image.height] * 2)

    def whole(self, boxes: Sequence[tuple[float, float, float, float]]) -> float:
        """
        How whole the lines in boxes (left, top, right and bottom, in pixels) are: 1 if no ink lies on their upper
        and lower sides, 0 if there is as much of it as within, or none within.
        """
        left, top, right, bottom = (np.array(boxes, dtype=float) * self._scale).T
        inner = self._density(left, top, right, bottom).mean()
        sides = (self._density(left, y - 1, right, y + 1).mean() for y in (top, bottom))
        return 1 - min(1.0, float(sum(sides) / 2 / inner)) if inner >= LEAST_DENSITY else 0.0

    def _density(self, left: np.ndarray, top: np.ndarray, right: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        rows, columns = (side - 1 for side in self._sums.shape)
        x0, x1 = (np.clip(np.round(x).astype(int), 0, columns) for x in (left, right))
        y0, y1 = (np.clip(np.round(y).astype(int), 0, rows) for y in (top, bottom))
        sums = self._sums[y1, x1] - self._sums[y0, x1] - self._sums[y1, x0] + self._sums[y0, x0]
        return sums / np.maximum(1, (x1 - x0) * (y1 - y0))
