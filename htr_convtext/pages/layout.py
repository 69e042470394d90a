"""Regions and lines that come from elsewhere, brought onto the image at hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from .geometry import Points, bounding_box, scale_points
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
        ValueError: if the page is of another shape than the image.
    """
    across = image.width / page.width if page.width else 1.0
    down = image.height / page.height if page.height else 1.0
    if not 1 / SHAPE < across / down < SHAPE:
        raise ValueError(
            f"{page.image or 'the page'}: its lines were drawn on {page.width:g} × {page.height:g}, but the image is "
            f"{image.width} × {image.height}. If only its EXIF data turn it, save it turned."
        )
    lines = [
        replace(
            line,
            polygon=scale_points(line.polygon, across, down),
            baseline=scale_points(line.baseline, across, down),
        )
        for line in page.lines
    ]
    outlines = dict(zip((line.id for line in lines), _outlines(lines), strict=True))
    by_id = {line.id: replace(line, polygon=outlines[line.id]) for line in lines}
    regions = [
        replace(
            region,
            polygon=scale_points(region.polygon, across, down),
            lines=[by_id[line.id] for line in region.lines],
        )
        for region in page.regions
    ]
    return replace(page, width=image.width, height=image.height, regions=regions)


def _outlines(lines: Sequence[PageLine]) -> list[Points]:
    """The polygons of lines; where there is only a baseline, a band around it."""
    baselines = [line.baseline for line in lines if line.baseline]
    nearest = [_to_nearest(baseline, baselines) for baseline in baselines]
    distances = sorted(distance for distance in nearest if distance)
    outlines = []
    for line in lines:
        if line.polygon or not line.baseline:
            outlines.append(line.polygon)
            continue
        left, _, right, _ = bounding_box(line.baseline)
        spacing = distances[len(distances) // 2] if distances else (right - left) / 10
        above = [(x, y - ABOVE * spacing) for x, y in line.baseline]
        below = [(x, y + BELOW * spacing) for x, y in line.baseline]
        outlines.append([*above, *below[::-1]])
    return outlines


def _to_nearest(baseline: Points, others: Sequence[Points]) -> float | None:
    """How far the nearest of other baselines above or below one is; `None` if there is none."""
    distances = []
    for other in others:
        left = max(bounding_box(baseline)[0], bounding_box(other)[0])
        right = min(bounding_box(baseline)[2], bounding_box(other)[2])
        if other is not baseline and left < right:
            heights = [np.interp((left + right) / 2, *np.array(sorted(line)).T) for line in (baseline, other)]
            distances.append(abs(heights[0] - heights[1]))
    return min(filter(None, distances), default=None)
