"""A picture of lines with what was read in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image


if TYPE_CHECKING:  # slow to import, and not installed where lines are only read
    from matplotlib.figure import Figure


def draw_samples(images: Sequence[Image.Image], truths: Sequence[str], readings: Sequence[str]) -> "Figure":
    """Lines one below the other, over each its ground truth and what was read."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.2 * len(images)), layout="constrained")
    rows = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for axes, image, truth, reading in zip(rows, images, truths, readings, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        axes.set_anchor("W")
        # parse_math: a text with two dollar signs is no formula
        axes.set_title(f"truth: {truth}\nread:  {reading}", loc="left", fontsize=9, parse_math=False)
    return figure
