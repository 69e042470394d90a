"""A picture of lines with what was read in them."""

from collections.abc import Sequence
from typing import TypeVar

from matplotlib.figure import Figure
from PIL import Image


T = TypeVar("T")


def evenly_chosen(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, or all, if there are no more."""
    return [items[len(items) * number // count] for number in range(count)] if len(items) > count else list(items)


def draw_samples(images: Sequence[Image.Image], truths: Sequence[str], readings: Sequence[str]) -> Figure:
    """Lines one below the other, over each its ground truth and what was read."""
    figure = Figure(figsize=(12, 1.2 * len(images)), layout="constrained")
    rows = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for axes, image, truth, reading in zip(rows, images, truths, readings, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        axes.set_anchor("W")
        # parse_math: a text with two dollar signs is no formula
        axes.set_title(f"truth: {truth}\nread:  {reading}", loc="left", fontsize=9, parse_math=False)
    return figure
