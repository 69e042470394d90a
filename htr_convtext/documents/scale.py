"""How large the units of a page from elsewhere are on the image at hand."""

from PIL import Image

from htr_convtext.errors import InputError
from processing.images import full_size

from .geometry import Points, bounding_box
from .ink import InkMap
from .page import Page


# How much wider or higher an image may be for its page than another.
SHAPE = 1.1
SAME = 1.02  # sizes that differ by less are the same
# The units of ALTO besides pixels, by how many make an inch (`MeasurementUnit`).
UNITS_PER_INCH = {"mm10": 254.0, "inch1200": 1200.0}
# What is on a page, in units of ALTO, reaches over this much of it at least, or the resolution of its image is wrong.
LEAST_EXTENT = 0.5
# How much more of the lines must be whole, of all, if what a file says is not to be believed.
MORE_WHOLE = 0.2


def pixels_per_unit(page: Page, image: Image.Image) -> tuple[float, float, str | None]:
    """
    How many pixels of `image` a unit of `page` is across and down, and what is to be said about it, if anything is.

    Raises:
        InputError: if the page is of another shape than the image, or its units cannot be known.
    """
    if page.unit in UNITS_PER_INCH and not page.width and not page.height:
        return *_of_print_space(page, image), None
    across = image.width / page.width if page.width else 0.0
    down = image.height / page.height if page.height else 0.0
    across, down = across or down or 1.0, down or across or 1.0
    if not 1 / SHAPE < across / down < SHAPE:
        raise InputError(
            f"{page.image or 'the page'}: its lines were drawn on {page.width:g} × {page.height:g}, but the image is "
            f"{image.width} × {image.height}; give that image, or save it without EXIF rotation."
        )
    if page.unit == "pixel" and not is_same(across, down) and _are_in_pixels(page, image, across, down):
        # Of the image in its file: it may have been scaled down when it was opened.
        width, height = full_size(image)
        return (
            image.width / width,
            image.height / height,
            f"the file gives its size as {page.width:g} × {page.height:g}, but the lines fit the image itself, "
            f"{width} × {height}; they are used as they are.",
        )
    return across, down, None


def is_same(across: float, down: float) -> bool:
    return all(1 / SAME < scale < SAME for scale in (across, down))


def _of_print_space(page: Page, image: Image.Image) -> tuple[float, float]:
    """By the print space if that is the whole page, or else by the resolution of the image."""
    if page.print_space:
        left, top, right, bottom = bounding_box(page.print_space)
        if left == top == 0 and right and bottom:
            across, down = image.width / right, image.height / bottom
            if 1 / SAME < across / down < SAME:
                return across, down
    resolution = image.info.get("dpi")
    if resolution:
        width, height = full_size(image)
        across = resolution[0] / UNITS_PER_INCH[page.unit] * image.width / width
        down = resolution[1] / UNITS_PER_INCH[page.unit] * image.height / height
        left, top, right, bottom = bounding_box([(0.0, 0.0), *page.print_space, *_points_of(page)])
        shares = right * across / image.width, bottom * down / image.height
        if LEAST_EXTENT < max(shares) < SAME and min(left, top) >= 0:
            return across, down
    raise InputError(
        f"{page.image or 'the page'}: its lines are measured in {page.unit}, but neither the size of the page nor a "
        "resolution of the image that fits them is known; give WIDTH and HEIGHT of the Page."
    )


def _points_of(page: Page) -> Points:
    return [point for line in page.lines for points in (line.polygon, line.baseline) for point in points]


def _are_in_pixels(page: Page, image: Image.Image, across: float, down: float) -> bool:
    """
    Whether lines were drawn on the image itself, not on one of the size that their file gives: everything lies within
    the image, and beyond that size, or the regions fill the image, or the lines are cut through by that size only.
    """
    lines, regions = _points_of(page), [point for region in page.regions for point in region.polygon]
    if not lines:
        return False
    width, height = full_size(image)
    left, top, right, bottom = bounding_box([*lines, *regions, *page.print_space])
    if min(left, top) < 0 or right > width * SAME or bottom > height * SAME:
        return False
    if (page.width and right > page.width * SAME) or (page.height and bottom > page.height * SAME):
        return True
    if is_same(width / right, height / bottom):
        return True
    ink = InkMap(image)
    own = image.width / width, image.height / height
    boxes = [_box_of(line.polygon, line.baseline) for line in page.lines if line.polygon or line.baseline]
    as_they_are, by_size = (
        ink.whole([(x0 * a, y0 * d, x1 * a, y1 * d) for x0, y0, x1, y1 in boxes]) for a, d in (own, (across, down))
    )
    return as_they_are > by_size + MORE_WHOLE


def _box_of(polygon: Points, baseline: Points) -> tuple[float, float, float, float]:
    """The box of a line; above a baseline alone a guess at where its letters are."""
    left, top, right, bottom = bounding_box(polygon or baseline)
    return left, (top if bottom - top >= 1 else top - (right - left) / 20), right, bottom
