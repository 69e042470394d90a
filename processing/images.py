"""Images of any kind, from anywhere, as 8-bit Pillow images: opening, orientation, channels, depth, size."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError
from .image_files import opened, ready_to_decode


Converter = Callable[[Image.Image, float | None], Image.Image]  # `to_grey`, `to_rgb`
# An image with more pixels is scaled down when it is opened: no network sees more of a line.
LINE_PIXELS = 4_000_000
# The same for pages, out of which lines are cut.
PAGE_PIXELS = 64_000_000
# Rows, or columns, that stay of a line in any case: more than networks take.
LEAST_ROWS = 128
BAND_PIXELS = 4_000_000  # converted at once
ORIENTATION = 0x0112  # an EXIF tag
WHITE_IS_ZERO = (262, 0)  # a TIFF tag, and its value for images whose white is 0
LARGEST_VALUES = (281, 341)  # TIFF tags: the largest value of an image, of integers and of floats


def open_image(
    source: Any,
    name: str | None = None,
    convert: Converter | None = None,
    most_pixels: int = LINE_PIXELS,
) -> Image.Image:
    """
    Opens an image (the first page of a file with several) as 8-bit grey, upright.

    Args:
        source, name: As for `opened`.
        convert: What to make of it instead of grey: `to_rgb`.
        most_pixels: One with more is scaled down; `full_size` tells what it was.

    Raises:
        InputError: names the image if it is missing, empty, damaged, too large or no image.
    """
    with opened(source, name) as image:
        return decoded(image, convert or to_grey, most_pixels)


def decoded(image: Image.Image, convert: Converter, most_pixels: int) -> Image.Image:
    """
    An image of `opened` as for `prepared`.

    Raises:
        DecompressionBombError: if it would take too much memory.
    """
    full = image.size
    ready_to_decode(image, _fewer_pixels(full, most_pixels))
    return prepared(image, convert, most_pixels, full)


def prepared(
    image: Image.Image, convert: Converter, most_pixels: int = LINE_PIXELS, full: tuple[int, int] | None = None
) -> Image.Image:
    """
    A Pillow image, which may not be decoded yet, as `convert` (`to_grey`, `to_rgb`) makes it: 8 bits, upright, and with
    `most_pixels` at most. Besides it, no second copy of a large image is made on the way.

    Args:
        full: Its size in the file, if it is to be decoded at another.
    """
    full = full or full_size(image)
    if 0 in full:
        raise InputError(f"The image is empty: it has {image.width} × {image.height} pixels.")
    was_16_bits = any(";16" in str(tile) for tile in getattr(image, "tile", ()))  # gone when it is decoded
    image.load()
    size = _fewer_pixels(image.size, most_pixels)
    white = _white(image, was_16_bits)
    if size == image.size and math.prod(size) <= BAND_PIXELS:
        result = convert(image, white)
    else:
        result = _in_bands(image, lambda part: convert(part, white), size)
    # Turned at last, when it is small; what tells how is in one of these.
    result.info = {key: value for key, value in image.info.items() if "exif" in key.lower() or "xmp" in key.lower()}
    turned = upright(result)
    if turned.size != result.size:
        full = full[::-1]
    turned.info = {} if turned.size == full else {"shrunk": (turned.size, full)}
    turned.info |= {"dpi": image.info["dpi"]} if _is_resolution(image.info.get("dpi")) else {}  # of the full size
    return turned


def _is_resolution(dpi: object) -> bool:
    return isinstance(dpi, tuple) and len(dpi) == 2 and all(1 < value < math.inf for value in dpi)


def full_size(image: Image.Image) -> tuple[int, int]:
    """Width and height that an image had before it was scaled down as it was opened, upright."""
    shrunk, full = image.info.get("shrunk", (None, None))
    return full if shrunk == image.size else image.size  # what was cut out of it knows nothing of that


def _fewer_pixels(size: tuple[int, int], most: int) -> tuple[int, int]:
    """At most `most` pixels in the same shape, unless fewer than `LEAST_ROWS` or columns would stay of a thin image."""
    if math.prod(size) <= most:
        return size
    factor = math.sqrt(math.prod(size) / most)
    short, long = sorted(size)
    short = max(int(short / factor), min(short, LEAST_ROWS))
    long = max(1, min(int(long / factor), most // short))
    return (long, short) if size[0] > size[1] else (short, long)


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image], size: tuple[int, int]) -> Image.Image:
    """Converts and scales an image, some rows at a time."""
    width, height = size
    per_row = image.height / height
    rows = max(1, int(BAND_PIXELS / image.width / per_row))
    result = None
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = top * per_row, min(bottom * per_row, image.height)
        start, end = int(first), min(math.ceil(last), image.height)
        part = convert(image.crop((0, start, image.width, end)))
        if part.size != (width, bottom - top):
            box = (0, first - start, image.width, last - start)
            part = part.resize((width, bottom - top), Image.Resampling.BOX, box)
        if result is None:
            result = Image.new(part.mode, size)
        result.paste(part, (0, top))
    return result


def upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation; an image whose EXIF data are damaged stays as it is."""
    try:
        if image.getexif().get(ORIENTATION, 1) == 1:  # else it would be copied
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises almost anything on malformed tags, which matter to nobody here
        return image


def as_numpy(array) -> np.ndarray:
    """An array or tensor, on any device, as a numpy array."""
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def array_to_image(array: np.ndarray) -> Image.Image:
    """
    An array of `(height, width)`, `(height, width, channels)` or `(channels, height, width)` as an 8-bit image.

    Integers are taken as 0…255, or 0 to the largest number of as many bits as the largest value has, if that is above
    255; floats as 0…1 if none is above 2 (resampling may overshoot 1 a little), or else as integers.

    Raises:
        InputError: if the array is empty, not finite or of another shape.
    """
    if array.dtype == object or (not np.issubdtype(array.dtype, np.number) and array.dtype != bool):
        raise InputError(f"The image array has values of the type {array.dtype}, not numbers.")
    if 0 in array.shape:
        raise InputError(f"The image is empty: its shape is {array.shape}.")
    if array.ndim == 3 and array.shape[-1] not in (1, 2, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (2, 3, 4)):
        raise InputError(
            f"An image array must have 1 to 4 channels, first or last, or none; this one has shape {array.shape}."
        )
    if array.dtype == bool:
        return Image.fromarray(array.astype(np.uint8) * np.uint8(255))
    largest = float(array.max())
    return Image.fromarray(_to_8_bits(array, _range(largest, np.issubdtype(array.dtype, np.floating))))


def _range(largest: float, is_float: bool) -> float:
    """What white is where the largest value is `largest`."""
    if not math.isfinite(largest):
        raise InputError("The image holds values that are not finite.")
    if is_float and largest <= 2:
        return 1.0
    # Resampling may overshoot.
    bits = int(largest / 1.02 if is_float else largest).bit_length() if largest > 0 else 8
    return float(2 ** max(8, bits) - 1)


def _to_8_bits(array: np.ndarray, white: float) -> np.ndarray:
    """Negative `white`: what is 0 is white, what is -`white` is black."""
    if array.dtype == np.uint8 and white == 255:
        return array
    array = array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    if not np.isfinite(array).all():
        raise InputError("The image holds values that are not finite.")
    if white < 0:
        array, white = -white - array, -white
    return np.clip(np.round(array * (255 / white)), 0, 255).astype(np.uint8)


def to_rgb(image: Image.Image, white: float | None = None) -> Image.Image:
    """Any upright Pillow image as 8-bit RGB, as `to_grey`."""
    if _is_deep(image):
        return to_grey(image, white).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return _brightened(image.convert("RGB"), white)


def to_grey(image: Image.Image, white: float | None = None) -> Image.Image:
    """
    Any upright Pillow image as 8-bit grey: transparency on white, 16 bits and floats scaled down.

    Args:
        white: The value of white, where the image is but a part of another.
    """
    if _is_deep(image):
        return Image.fromarray(_to_8_bits(np.asarray(image), white or _white(image)))
    if image.mode in ("1", "L") and not image.has_transparency_data:
        return _brightened(image.convert("L"), white)
    return to_rgb(image, white).convert("L")


def _is_deep(image: Image.Image) -> bool:
    """Whether it has more than 8 bits a channel: `convert` would clip these instead of scaling them."""
    return image.mode.startswith("I") or image.mode == "F"


def _white(image: Image.Image, was_16_bits: bool = False) -> float | None:
    """
    The value of white in a deep image: what the file says, or else the largest number of as many bits as the image
    uses; negative if white is 0 and that is black. `None` for other images, if they use all their bits.

    Args:
        was_16_bits: Whether the channels had 16 bits in the file, of which Pillow keeps 8.
    """
    if not _is_deep(image):
        if not was_16_bits:
            return None
        ranges = image.getextrema()
        ranges = ranges[:3] if isinstance(ranges[0], tuple) else (ranges,)
        largest = max(high for _, high in ranges)
        return float(2 ** int(largest).bit_length() - 1) if 0 < largest < 128 else None
    least, largest = image.getextrema()
    tags = getattr(image, "tag_v2", {})
    said = [tags[tag] for tag in LARGEST_VALUES if tag in tags]
    said = [float(max(value) if isinstance(value, tuple) else value) for value in said]
    is_said = bool(said) and said[0] > 0 and largest <= said[0]
    white = said[0] if is_said else _range(float(largest), image.mode == "F")
    return -white if tags.get(WHITE_IS_ZERO[0]) == WHITE_IS_ZERO[1] and least >= 0 else white


def _brightened(image: Image.Image, white: float | None) -> Image.Image:
    """An 8-bit image whose white is less than 255."""
    return image if white is None else image.point(lambda value: min(255, round(value * 255 / white)))
