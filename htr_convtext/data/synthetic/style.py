"""What varies from one synthetic line to the next, and how much."""

from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from htr_convtext.errors import InputError


Range = tuple[float, float]


@dataclass(frozen=True)
class SyntheticStyle:
    """
    Ranges, of which each line draws evenly, and chances.

    Lengths are in x-heights of the writing unless said otherwise, grey levels go from 0 (black) to 255 (white). The
    defaults were set by eye and by grey levels and widths measured on line scans of the 18th to the 21st century.

    Args:
        strength: Multiplies chances and amounts of all that departs from clean type on flat paper: 0 gives that, 2
            twice what is described below.
        slant: Tangent of the angle to the right, added to that of the font.
        stretch: Width of the letters, times that of the font.
        word_gap: Space between words, times that of the font.
        pen: Width of the strokes as a part of the height of the image. Fonts are made bolder or lighter to meet it, as
            far as they stay readable.
        pressure: How far the width of the strokes varies along a line, as a part of it.
        wave: Height of the waves of the baseline.
        slope: Rise of the baseline, as a tangent.
        word_shift: Standard deviation of the height at which a word stands.
        word_size: Standard deviation of the size of a word, as a part of it.
        distortion: Standard deviation of smooth shifts, by which two letters of one font differ.
        margin_x: Paper left, and right, of the text.
        margin_y: Paper above, and below, the text.
        tight_crop: Chance that the top, or the bottom, is cut by up to `max_cut`.
        max_cut: How much of the text a tight crop takes off at most.
        neighbours: Chance of strokes of the line above, or of the line below.
        ink: Grey level of the ink.
        fading: How much of the ink is missing in places, as a part of it.
        pencil: Chance of a pencil: lighter and grainy.
        white_paper: Chance that the paper was made white, as scanners and archives do.
        paper: Grey level of other paper.
        shading: Standard deviation of slow changes of the paper, in grey levels.
        texture: Standard deviation of fibres and stains, in grey levels.
        noise: Standard deviation of the noise of the camera, in grey levels.
        ruled: Chance of a ruled or dotted line below the text.
        border: Chance of an upright line at the left or right edge, as around the cells of a table.
        bleed_through: Chance that the other side of the sheet shines through.
        edge_shadow: Chance of a shadow at the left or right edge.
        blur: Standard deviation of the blur, as a part of the height of the image.
        jpeg: Chance of JPEG artefacts.
        jpeg_quality: Quality of that JPEG.

    Raises:
        InputError: names the setting that is out of its bounds.
    """

    strength: float = 1.0
    slant: Range = (-0.2, 0.3)
    stretch: Range = (0.9, 1.6)
    word_gap: Range = (0.9, 2.2)
    pen: Range = (0.018, 0.042)
    pressure: Range = (0.0, 0.35)
    wave: Range = (0.0, 0.14)
    slope: Range = (-0.012, 0.012)
    word_shift: float = 0.05
    word_size: float = 0.04
    distortion: Range = (0.01, 0.06)
    margin_x: Range = (0.1, 2.0)
    margin_y: Range = (0.1, 1.0)
    tight_crop: float = 0.1
    max_cut: float = 0.1
    neighbours: float = 0.3
    ink: Range = (5, 120)
    fading: Range = (0.0, 0.4)
    pencil: float = 0.15
    white_paper: float = 0.45
    paper: Range = (165, 235)
    shading: Range = (0.0, 7.0)
    texture: Range = (0.0, 4.0)
    noise: Range = (0.0, 4.0)
    ruled: float = 0.2
    border: float = 0.06
    bleed_through: float = 0.15
    edge_shadow: float = 0.1
    blur: Range = (0.003, 0.013)
    jpeg: float = 0.3
    jpeg_quality: Range = (30, 85)

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 if field.type is float else len(value) == 2 and value[0] <= value[1]):
                raise InputError(f"Synthetic style: {field.name} cannot be {value!r}.")

    def happens(self, chance: float, generator: np.random.Generator) -> bool:
        """Draws whether something of this chance is the case, more often with more strength."""
        return generator.random() < self.strength * chance

    def amount(self, bounds: Range, generator: np.random.Generator) -> float:
        """Draws an amount that 0 strength makes 0."""
        return self.strength * generator.uniform(*bounds)


def smooth_field(generator: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> np.ndarray:
    """Noise `(height, width)` around 0, of a standard deviation below 1, that changes over `cell` pixels."""
    coarse = [int(length / step) + 2 for length, step in zip(shape, cell, strict=True)]
    noise = Image.fromarray(generator.standard_normal(coarse, dtype=np.float32))
    return np.asarray(noise.resize(shape[::-1], Image.Resampling.BICUBIC))
