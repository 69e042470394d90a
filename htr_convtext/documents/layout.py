"""Regions and lines that come from elsewhere, brought onto the image at hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from .geometry import Points, bounding_box, has_area, scale_points, whole_outline
from .page import Page, PageLine
from .scale import pixels_per_unit


# A line given by its baseline alone reaches this far above and below it, in units of the distance to its neighbours.
ABOVE, BELOW = 0.75, 0.3
ALIKE = 1e-6  # pixels: a baseline, and others in the same place, are not their own neighbours


def in_pixels(page: Page, image: Image.Image) -> Page:
    """
    A page measured in other units, or on a scan of another size than `image`, in pixels of `image`.

    A line that has only a baseline is given a polygon around it; one whose polygon crosses itself or has no area, the
    hull of its points or the box around them.

    Raises:
        InputError: if the page is of another shape than the image, or its units cannot be known.
    """
    across, down, note = pixels_per_unit(page, image)
    notes = [*page.notes, *([note] if note else [])]
    size = {"width": image.width, "height": image.height, "unit": "pixel", "print_space": []}
    page = scaled(replace(page, **size, units=page.units or (1.0, 1.0), notes=notes), across, down)
    lines = page.lines
    return page.with_lines(
        replace(line, polygon=outline) for line, outline in zip(lines, _outlines(lines), strict=True)
    )


def scaled(page: Page, across: float, down: float) -> Page:
    """A page with everything on it so many times as far to the right and down; its width and height stay."""
    units = page.units and (page.units[0] / across, page.units[1] / down)

    def scale(part):
        return replace(part, polygon=scale_points(part.polygon, across, down))

    lines = [
        replace(
            scale(line), baseline=scale_points(line.baseline, across, down), words=[scale(word) for word in line.words]
        )
        for line in page.lines
    ]
    return replace(page, units=units, regions=[scale(region) for region in page.regions]).with_lines(lines)


def _outlines(lines: Sequence[PageLine]) -> list[Points]:
    """The whole polygons of lines; where there is a baseline, but no polygon with an area, a band around it."""
    has_outline = [has_area(line.polygon) or not line.baseline for line in lines]
    if all(has_outline):
        return [whole_outline(line.polygon) for line in lines]
    distances = sorted(_to_nearest([line.baseline for line in lines if line.baseline]))
    outlines = []
    for line, is_whole in zip(lines, has_outline, strict=True):
        if is_whole:
            outlines.append(whole_outline(line.polygon))
            continue
        left, _, right, _ = bounding_box(line.baseline)
        spacing = distances[len(distances) // 2] if distances else (right - left) / 10
        above = [(x, y - ABOVE * spacing) for x, y in line.baseline]
        below = [(x, y + BELOW * spacing) for x, y in line.baseline]
        outlines.append([*above, *below[::-1]])
    return outlines


def _to_nearest(baselines: Sequence[Points]) -> list[float]:
    """How far it is from each baseline to the nearest above or below it, for those that have one."""
    ways = [np.array(sorted(baseline)).T for baseline in baselines]
    starts, ends = (np.array([x[end] for x, _ in ways]) for end in (0, -1))
    # One after the other on one long axis, so that a single interpolation finds the height of each at its own place.
    shifts = np.arange(len(ways)) * (ends.max() - starts.min() + 1)
    all_x = np.concatenate([x + shift for (x, _), shift in zip(ways, shifts, strict=True)])
    all_y = np.concatenate([y for _, y in ways])
    nearest = []
    for x, y in ways:
        left, right = np.maximum(starts, x[0]), np.minimum(ends, x[-1])
        beside = left < right
        middle = (left + right)[beside] / 2
        distances = np.abs(np.interp(middle, x, y) - np.interp(middle + shifts[beside], all_x, all_y))
        distances = distances[distances > ALIKE]
        nearest += [distances.min()] if len(distances) else []
    return nearest
