"""Polygons and baselines in pixels, x to the right and y down; lines cut out of pages along their baseline."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from htr_convtext.errors import InputError
from processing.errors import one_line


Points = list[tuple[float, float]]

# A baseline that strays less than this share of the line's height from a horizontal needs no straightening.
STRAIGHT = 0.12
MANY_CORNERS = 1000  # of a polygon
THINNEST = 1.0  # pixels from side to side, on average, of a polygon that has an area
CROSSED = 0.9  # of its area that a polygon may lose where it crosses itself
COLUMNS = 64  # in which the area of a polygon is measured
PAIRS = 1_000_000  # of a corner and a column that are compared at once


def parse_points(text: str) -> Points:
    """
    Points written `"x,y x,y"` (PAGE-XML), `"x y x y"` (also seen in ALTO) or `"x y, x y"`.

    Raises:
        InputError: if these are not pairs of numbers: one that is missing must not move all that follow.
    """
    is_torn = re.search(r"(^|\s),\S", text)  # nothing before the comma
    text = re.sub(r"\s*,\s*", ",", text.strip())
    by_space, by_comma = ([part.split(other) for part in text.split(one)] for one, other in ((None, ","), (",", None)))
    for parts in (by_space, by_comma):
        if all(len(part) == 2 for part in parts):
            return [(parse_number(x), parse_number(y)) for x, y in parts]
    numbers = text.split("," if len(by_space) == 1 else None)
    if is_torn or len(numbers) % 2 or ("," in text and len(by_space) > 1):
        raise InputError(f"not pairs of coordinates: {one_line(text)[:60]!r}")
    values = [parse_number(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def parse_number(text: str | None) -> float:
    """A finite number, or an `InputError`."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"not a coordinate: {one_line(text or 'nothing')}")
    return number


def bounding_box(points: Points) -> tuple[float, float, float, float]:
    """Left, top, right and bottom."""
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def box_points(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def has_area(polygon: Points) -> bool:
    """Whether a polygon is `THINNEST` or more from side to side, on average; strokes and points are not."""
    return len(set(polygon)) > 2 and _filled_area(np.array(polygon, dtype=float)) >= _least_area(polygon)


def whole_outline(polygon: Points) -> Points:
    """
    A polygon that holds what one from elsewhere means: of one that crosses itself so that parts of it fall outside (its
    corners out of order, or gone round twice) the convex hull; of one without area the box around its points, which may
    have no area either.
    """
    if len(set(polygon)) < 3:
        return box_points(*bounding_box(polygon)) if polygon else polygon
    points = np.array(polygon, dtype=float)
    least, filled, signed = _least_area(polygon), _filled_area(points), _signed_area(points)
    if filled >= least and CROSSED * max(filled, signed) <= min(filled, signed):
        return polygon
    hull = _convex_hull(polygon)
    if _signed_area(np.array(hull)) >= least:
        return hull
    return box_points(*bounding_box(polygon))


def _least_area(polygon: Points) -> float:
    left, top, right, bottom = bounding_box(polygon)
    return THINNEST * max(math.hypot(right - left, bottom - top), 1e-9)


def _signed_area(points: np.ndarray) -> float:
    """What a polygon encloses; what it goes round the other way counts against it, what it goes round twice double."""
    x, y = (points - points[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _filled_area(points: np.ndarray) -> float:
    """What is filled when a polygon is drawn, measured in `COLUMNS` columns."""
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    left, right = x0.min(), x0.max()
    columns = left + (right - left) * (np.arange(COLUMNS) + 0.5) / COLUMNS
    heights = []
    for at in np.array_split(columns, math.ceil(COLUMNS * len(points) / PAIRS)):
        crossed = (x0 <= at[:, None]) != (x1 <= at[:, None])
        share = (at[:, None] - x0) / np.where(x0 == x1, 1.0, x1 - x0)
        crossings = np.sort(np.where(crossed, y0 + share * (y1 - y0), np.inf))
        pairs = crossings[:, : crossings.shape[1] // 2 * 2].reshape(len(at), -1, 2)
        is_pair = np.isfinite(pairs[..., 1])
        heights.append(np.where(is_pair, pairs[..., 1] - np.where(is_pair, pairs[..., 0], 0), 0).sum(1))
    return float(np.concatenate(heights).mean() * (right - left))


def _convex_hull(polygon: Points) -> Points:
    """By Andrew's monotone chain."""
    points = sorted(set(polygon))

    def chain(points: Iterable[tuple[float, float]]) -> Points:
        hull: Points = []
        for x, y in points:
            while len(hull) > 1 and (
                (hull[-1][0] - hull[-2][0]) * (y - hull[-2][1]) <= (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0])
            ):
                hull.pop()
            hull.append((x, y))
        return hull[:-1]

    return chain(points) + chain(reversed(points))


def scale_points(points: Points, across: float, down: float) -> Points:
    return [(x * across, y * down) for x, y in points]


@dataclass(frozen=True)
class LineCut:
    """
    A line cut out of a page, and the way back.

    Attributes:
        image: 8-bit grey, white outside of the line's polygon; the pixel columns follow the baseline.
        path: `(width + 1, 2)`, the point of the page that each column border has on the baseline.
        normals: `(width + 1, 2)`, unit vectors across the baseline, downwards.
        above, below: Pixels above and below the path.
    """

    image: Image.Image
    path: np.ndarray
    normals: np.ndarray
    above: float
    below: float

    @property
    def width(self) -> int:
        """Of the image, in pixels."""
        return len(self.path) - 1

    def to_page(self, start: float, end: float) -> Points:
        """The polygon on the page of the columns from `start` to `end`: along the top, then back along the bottom."""
        last = len(self.path) - 1
        start, end = (min(max(value, 0.0), float(last)) for value in (start, end))
        at = np.array([start, *self._bends(start, end), end])
        columns = np.arange(last + 1)
        path, normals = (
            np.stack([np.interp(at, columns, values[:, axis]) for axis in (0, 1)], 1)
            for values in (self.path, self.normals)
        )
        outline = [*(path - self.above * normals), *(path + self.below * normals)[::-1]]
        return [(float(x), float(y)) for x, y in outline]

    def _bends(self, start: float, end: float) -> list[float]:
        """Columns between the two, about a line's height apart, where the path is not straight."""
        if np.ptp(self.normals[:, 0]) < 1e-6:
            return []
        step = max(1.0, self.above + self.below)
        return list(np.arange(start + step, end - step / 2, step))


def cut_line(image: Image.Image, polygon: Points, baseline: Points = ()) -> LineCut:
    """
    Cuts a line out of a grey page, straightened along its baseline if that is slanted or curved.

    Args:
        image: 8-bit grey (`L`).
        polygon: Outline of the line, in pixels.
        baseline: From left to right; without it the middle of the polygon serves.

    Raises:
        InputError: if nothing of the polygon lies within the image.
    """
    left, top, right, bottom = _box_within(image, polygon)
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in polygon], fill=255)
    crop = Image.new("L", mask.size, 255)
    crop.paste(image.crop((left, top, right, bottom)), mask=mask)
    del mask  # both may be as large as the page
    course = course_of(polygon, baseline)
    if np.ptp(course[:, 1]) <= STRAIGHT * _thickness(polygon, course):
        columns = np.arange(right - left + 1.0)
        path = np.stack([columns + left, np.full_like(columns, top)], 1)
        return LineCut(crop, path, np.tile([0.0, 1.0], (len(path), 1)), 0.0, float(bottom - top))
    return _straightened(crop, np.array([left, top]), polygon, course)


def cut_box(image: Image.Image, centre: tuple[float, float], size: tuple[float, float], angle: float) -> Image.Image:
    """
    Cuts a rotated box out of a page, turned upright; what lies outside of the page is white.

    Args:
        image: 8-bit grey (`L`).
        centre: In pixels.
        size: Width and height, along and across the text, in pixels.
        angle: How far the box is turned, in degrees counterclockwise as one sees it.

    Raises:
        InputError: if the box has no area, or none of it lies within the image, or it is larger than the image is.
    """
    (x, y), (width, height) = centre, size
    if not (width > 0 and height > 0 and max(width, height) <= 2 * math.hypot(*image.size)):
        raise InputError(f"a box of {width:g} × {height:g} pixels")
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    reach = (abs(width * cosine) + abs(height * sine)) / 2, (abs(width * sine) + abs(height * cosine)) / 2
    _box_within(image, [(x - reach[0], y - reach[1]), (x + reach[0], y + reach[1])])
    # From a point of the cut to one of the page, y pointing down in both: along the text and across it.
    left, top = x - (width * cosine + height * sine) / 2, y - (-width * sine + height * cosine) / 2
    way = (cosine, sine, left, -sine, cosine, top)
    shape = (max(1, round(width)), max(1, round(height)))
    return image.transform(shape, Image.Transform.AFFINE, way, Image.Resampling.BICUBIC, fillcolor=255)


def _box_within(image: Image.Image, polygon: Points) -> tuple[int, int, int, int]:
    left, top, right, bottom = bounding_box(polygon) if len(polygon) > 1 else (0, 0, 0, 0)
    box = (max(0, math.floor(left)), max(0, math.floor(top)))
    box += (min(image.width, math.ceil(right)), min(image.height, math.ceil(bottom)))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise InputError("the polygon has no area within the page")
    return box


def course_of(polygon: Points, baseline: Points = ()) -> np.ndarray:
    """The way of a line from left to right, `(points, 2)`: its baseline, or else the middle of its polygon."""
    points = np.array(baseline, dtype=float).reshape(-1, 2)
    if len(points) > 1 and np.ptp(points[:, 0]) > 0:
        points = points if points[0, 0] <= points[-1, 0] else points[::-1]
        return points[np.concatenate([[True], np.diff(np.maximum.accumulate(points[:, 0])) > 0])]
    left, top, right, _ = bounding_box(polygon)
    if right - left < 2:
        return np.array([(left, top), (left + 1, top)])
    across = np.linspace(left, right, 9)[1:-1]
    middle = [sum(_crossings(polygon, x)) / 2 for x in across]
    slope, height = np.polyfit(across, middle, 1)
    return np.array([(x, height + slope * x) for x in (left, right)])


def _crossings(polygon: Points, x: float) -> tuple[float, float]:
    """The highest and the lowest point of a polygon at `x`."""
    found = []
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if min(x0, x1) <= x <= max(x0, x1):
            found += [y0, y1] if x0 == x1 else [y0 + (y1 - y0) * (x - x0) / (x1 - x0)]
    return min(found), max(found)


def _thickness(polygon: Points, course: np.ndarray) -> float:
    """Height of a line, measured from its course: the farthest above and below it together."""
    x, y = np.array(polygon, dtype=float).T
    distance = y - np.interp(x, course[:, 0], course[:, 1])
    return float(max(1.0, distance.max() - distance.min()))


def _straightened(crop: Image.Image, origin: np.ndarray, polygon: Points, course: np.ndarray) -> LineCut:
    """Straightens `crop`, whose upper left pixel is `origin` on the page."""
    thickness = min(_thickness(polygon, course), float(crop.height))
    left, right = float(origin[0]), float(origin[0] + crop.width)
    # A smooth way from end to end of the polygon: hand-drawn baselines have corners that would tear letters.
    fine = np.arange(left, right + 1.0)
    height = np.interp(fine, *_extended(course, left, right).T)
    height = height.clip(origin[1] - crop.height, origin[1] + 2 * crop.height)  # a spike in it would widen the cut
    radius = max(1, round(thickness / 2))
    height = np.convolve(np.pad(height, radius, "reflect", reflect_type="odd"), _hat(radius), "valid")
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(fine), np.diff(height)))])
    width = max(1, round(length[-1]))
    at = np.linspace(0, length[-1], width + 1)
    path = np.stack([np.interp(at, length, fine), np.interp(at, length, height)], 1)
    tangent = np.gradient(path, axis=0) if width > 1 else np.tile([1.0, 0.0], (len(path), 1))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normals = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    above, below = (min(extent, math.hypot(*crop.size)) for extent in _extent(polygon, path, normals))

    tops, bottoms = path - above * normals - origin, path + below * normals - origin
    step = max(1, round(thickness / 4))
    size = (width, max(1, round(above + below)))
    mesh = []
    for start in range(0, width, step):
        end = min(start + step, width)
        corners = np.concatenate([tops[start], bottoms[start], bottoms[end], tops[end]])
        mesh.append(((start, 0, end, size[1]), tuple(corners)))
    straight = crop.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC, fillcolor=255)
    return LineCut(straight, path, normals, above, below)


def _extended(course: np.ndarray, left: float, right: float) -> np.ndarray:
    """The course, its first and last piece drawn out to `left` and `right`."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = *course[:2], *course[-2:]
    first = (left, y0 + (left - x0) * np.clip((y1 - y0) / (x1 - x0), -1, 1))
    last = (right, y3 + (right - x3) * np.clip((y3 - y2) / (x3 - x2), -1, 1))
    return np.array([*([first] if left < x0 else []), *course, *([last] if right > x3 else [])])


def _hat(radius: int) -> np.ndarray:
    """Weights of a smoothing window of `2 * radius + 1` points."""
    weights = radius + 1.0 - np.abs(np.arange(-radius, radius + 1))
    return weights / weights.sum()


def _extent(polygon: Points, path: np.ndarray, normals: np.ndarray) -> tuple[float, float]:
    """How far the corners of a polygon lie above and below the path."""
    corners = _envelope(np.array(polygon, dtype=float))
    distances = []
    for part in np.array_split(corners, math.ceil(len(corners) * len(path) / PAIRS)):
        nearest = np.abs(part[:, None, :] - path[None]).sum(-1).argmin(1)
        distances.append(((part - path[nearest]) * normals[nearest]).sum(1))
    distance = np.concatenate(distances)
    return float(max(0.0, -distance.min())), float(max(1.0, distance.max()))


def _envelope(corners: np.ndarray) -> np.ndarray:
    """The corners `(corners, 2)` of a polygon; of one with very many the highest and lowest in each pixel column."""
    if len(corners) <= MANY_CORNERS:
        return corners
    order = np.lexsort((corners[:, 1], np.floor(corners[:, 0])))
    columns = np.floor(corners[order, 0])
    changes = np.flatnonzero(np.diff(columns)) + 1
    return corners[order[np.unique([0, *changes, *(changes - 1), len(order) - 1])]]
