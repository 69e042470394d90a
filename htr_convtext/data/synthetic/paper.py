"""Paper, pen and camera: ink to the grey levels of a scan."""

import io

import numpy as np
from PIL import Image, ImageFilter

from .style import SyntheticStyle, smooth_field
from .writing import Writing


def photograph(writing: Writing, style: SyntheticStyle, generator: np.random.Generator) -> Image.Image:
    """The image (mode L) of a written line, dark on light, of the size of its ink."""
    shape = height, _ = writing.ink.shape
    ink = _darkness(writing, style, generator)
    paper, ink_level = _paper(shape, style, generator)
    if style.happens(style.bleed_through, generator):
        other = np.roll(_blurred(writing.ink[:, ::-1], 0.03 * height), generator.integers(height), axis=0)
        paper -= generator.uniform(5, 25) * other
    ink = np.maximum(ink, _rules(writing, style, generator))
    ink = _blurred(ink, height * style.amount(style.blur, generator))
    image = paper + (ink_level - paper) * ink
    image += style.amount(style.noise, generator) * generator.standard_normal(shape, dtype=np.float32)
    if style.happens(style.white_paper, generator):  # the levels are spread until most of the paper is white
        white = paper.mean() - generator.uniform(5, 20)
        image = 255 - (white - image) * (255 - ink_level / 2) / (white - ink_level)
    picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    if style.happens(style.jpeg, generator):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=round(generator.uniform(*style.jpeg_quality)))
        picture = Image.open(stream).copy()
    return picture


def _blurred(ink: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray((ink * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255


def _darkness(writing: Writing, style: SyntheticStyle, generator: np.random.Generator) -> np.ndarray:
    """Ink that is not as dark everywhere, and grainy if it is a pencil's."""
    ink, size = writing.ink, writing.x_height
    if style.happens(style.pencil, generator):
        grain = smooth_field(generator, ink.shape, (1.3, 1.3))
        return ink * np.clip(generator.uniform(0.6, 0.85) + 0.2 * grain, 0.4, 1)
    uneven = smooth_field(generator, ink.shape, (size, 2 * size))
    return ink * (1 - min(style.amount(style.fading, generator), 0.7) * np.clip(0.4 + uneven, 0, 1))


def _paper(shape: tuple[int, int], style: SyntheticStyle, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Empty paper `(height, width)` in grey levels, and the level of full ink on it."""
    height, width = shape
    level = generator.uniform(*style.paper)
    paper = np.full(shape, level, dtype=np.float32)
    paper += style.amount(style.shading, generator) * smooth_field(generator, shape, (height, 2 * height))
    fibres = smooth_field(generator, shape, (2, 2 * generator.uniform(1, 6)))
    stains = smooth_field(generator, shape, (height / 5, height / 5))
    paper += style.amount(style.texture, generator) * (fibres + stains) / 2
    if style.happens(style.edge_shadow, generator):
        distance = np.arange(width, dtype=np.float32)[:: generator.choice((-1, 1))]
        paper -= generator.uniform(15, 70) * np.exp(-distance / (height * generator.uniform(0.1, 0.6)))
    return paper, min(generator.uniform(*style.ink), level - 100)


def _rules(writing: Writing, style: SyntheticStyle, generator: np.random.Generator) -> np.ndarray:
    """Printed or drawn lines `(height, width)` as dark as ink where they are 1."""
    height, width = writing.ink.shape
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    rules = np.zeros((height, width), dtype=np.float32)
    if style.happens(style.ruled, generator):
        row = writing.baseline + generator.uniform(-0.05, 0.3) * writing.x_height
        slope = style.amount((-0.004, 0.004), generator)
        line = _stroke(rows - row - slope * (columns - width / 2), height, generator)
        if generator.random() < 0.25:
            line = line * (columns % (height / 16) < height / 32)  # dotted
        rules = np.maximum(rules, line)
    if style.happens(style.border, generator):
        column = generator.uniform(0, 0.3) * writing.x_height
        column = generator.choice((column, width - 1 - column))
        slope = style.amount((-0.03, 0.03), generator)
        rules = np.maximum(rules, _stroke(columns - column - slope * (rows - height / 2), height, generator))
    return rules


def _stroke(distance: np.ndarray, height: int, generator: np.random.Generator) -> np.ndarray:
    """A straight stroke of random width and darkness, from the distance of each pixel to its middle."""
    half_width = height / 64 * generator.uniform(0.5, 1.2)
    return generator.uniform(0.25, 0.9) * np.clip(half_width + 0.5 - np.abs(distance), 0, 1)
