"""Regions and lines that come from elsewhere, brought onto the image at hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from htr_convtext.errors import InputError

from .geometry import Points, bounding_box, has_area, scale_points
from .page import Page, PageLine


# A line given by its baseline alone reaches this far above and below it, in units of the distance to its neighbours.
ABOVE, BELOW = 0.75, 0.3
# How much wider or higher an image may be for its page than another.
SHAPE = 1.1


def in_pixels(page: Page, image: Image.Image) -> Page:
    """
    A page measured in other units, or on a scan of another size than `image`, in pixels of `image`.

    A line that has only a baseline is given a polygon around it.

    Raises:
        InputError: if the page is of another shape than the image.
    """
    across, down = 1.0, 1.0
    if page.width and page.height:
        across, down = image.width / page.width, image.height / page.height
    if not 1 / SHAPE < across / down < SHAPE:
        raise InputError(
            f"{page.image or 'the page'}: its lines were drawn on {page.width:g} × {page.height:g}, but the image is "
            f"{image.width} × {image.height}; give that image, or save it without EXIF rotation."
        )
    lines = [
        replace(
            line,
            polygon=scale_points(line.polygon, across, down),
            baseline=scale_points(line.baseline, across, down),
        )
        for line in page.lines
    ]
    lines = [replace(line, polygon=outline) for line, outline in zip(lines, _outlines(lines), strict=True)]
    regions = [replace(region, polygon=scale_points(region.polygon, across, down)) for region in page.regions]
    return replace(page, width=image.width, height=image.height, regions=regions).with_lines(lines)


def _outlines(lines: Sequence[PageLine]) -> list[Points]:
    """The polygons of lines; where there is a baseline, but no polygon with an area, a band around it."""
    has_outline = [has_area(line.polygon) or not line.baseline for line in lines]
    if all(has_outline):
        return [line.polygon for line in lines]
    distances = sorted(_to_nearest([line.baseline for line in lines if line.baseline]))
    outlines = []
    for line, is_whole in zip(lines, has_outline, strict=True):
        if is_whole:
            outlines.append(line.polygon)
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
    nearest = []
    for x, y in ways:
        distances = []
        for other_x, other_y in ways:
            left, right = max(x[0], other_x[0]), min(x[-1], other_x[-1])
            if left < right:
                middle = (left + right) / 2
                distances.append(abs(np.interp(middle, x, y) - np.interp(middle, other_x, other_y)))
        nearest += [min(filter(None, distances))] if any(distances) else []
    return nearest
