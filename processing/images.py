"""Images of any kind, from anywhere, as 8-bit Pillow images: opening, orientation, channels, depth."""

import base64
import io
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError


DOWNLOAD_TIMEOUT = 60  # seconds


def open_image(
    source: str | os.PathLike | BinaryIO | Mapping[str, Any],
    name: str | None = None,
    convert: Callable[[Image.Image], Image.Image] | None = None,
) -> Image.Image:
    """
    Opens an image (the first page of a file with several) as 8-bit grey, upright.

    Args:
        source: File name, URL (`data:` ones too), opened file, or an image that `datasets` did not decode
            (`{"bytes": ..., "path": ...}`).
        name: What to call it in errors; by default the file name or URL.
        convert: What to make of it instead of grey: `to_rgb`.

    Raises:
        InputError: names the image if it is missing, empty, damaged, too large or no image.
    """
    import httpx  # slow to import, and of no use to most

    if isinstance(source, Mapping):
        if source.get("bytes") is None:
            source = source.get("path")
            if not source:
                raise InputError(f"{name or 'A line'}: there is no image.")
            if is_address(source):  # data sets are read, nobody asked for what their rows name to be fetched
                shown = name or ("A line" if source.startswith("data:") else source)
                raise InputError(f"{shown}: no image but its address; download it, and store the image.")
        else:
            name = name or source.get("path") or "An image without a name"
            source = io.BytesIO(source["bytes"])
    if isinstance(source, (str, os.PathLike)):
        source = os.fspath(source)
    if name is None:
        name = source if isinstance(source, str) and not source.startswith("data:") else "The image"
    try:
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            answer = httpx.get(source, timeout=DOWNLOAD_TIMEOUT, follow_redirects=True)
            source = io.BytesIO(answer.raise_for_status().content)
        elif isinstance(source, str) and source.startswith("data:"):
            source = io.BytesIO(base64.b64decode(source.partition(",")[2]))
        return (convert or to_grey)(upright(Image.open(source)))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"{name}: it could not be downloaded. ({error})") from None
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{name}: this is a folder; give the image files in it.") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image, or of a format that Pillow cannot read.") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too many pixels for a line image; cut the lines out first. ({error})") from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise InputError(f"{name}: the image is damaged or cut short; export it again. ({error})") from error


def is_address(source: str | os.PathLike) -> bool:
    """Whether a string is a URL of any kind rather than a file."""
    return isinstance(source, str) and (source.startswith("data:") or "://" in source)


def upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation; an image whose EXIF data are damaged stays as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises almost anything on malformed tags, which matter to nobody here
        return image


def as_numpy(array) -> np.ndarray:
    """An array or tensor, on any device, as a numpy array."""
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def array_to_image(array: np.ndarray) -> Image.Image:
    """
    An array of `(height, width)`, `(height, width, channels)` or `(channels, height, width)` as an 8-bit image.

    Floats are taken as 0…1, or as 0…255 if any is above 2 (resampling may overshoot 1 a little); integers as 0…255, or
    as 0…65535 if they are unsigned 16-bit ones or any is above 255.

    Raises:
        InputError: if the array is empty, not finite or of another shape.
    """
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
    if not np.isfinite(array).all():
        raise InputError("The image array holds values that are not finite.")
    if array.dtype == bool:
        largest = 1
    elif np.issubdtype(array.dtype, np.floating):
        largest = 1 if array.max() <= 2 else 255
    else:
        largest = 65535 if array.dtype == np.uint16 or array.max() > 255 else 255
    if largest != 255:
        array = np.round(array * (255 / largest))
    return Image.fromarray(np.clip(array, 0, 255).astype(np.uint8))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any upright Pillow image as 8-bit RGB: transparency on white, 16 bits and floats scaled down."""
    if _is_deep(image):
        image = to_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_grey(image: Image.Image) -> Image.Image:
    """Any upright Pillow image as 8-bit grey: transparency on white, 16 bits and floats scaled down."""
    if _is_deep(image):
        array = np.asarray(image)
        return array_to_image(array.astype(np.uint16) if image.mode.startswith("I;16") else array)
    return (image if image.mode in ("1", "L") and not image.has_transparency_data else to_rgb(image)).convert("L")


def _is_deep(image: Image.Image) -> bool:
    """Whether it has more than 8 bits a channel: `convert` would clip these instead of scaling them."""
    return image.mode.startswith("I") or image.mode == "F"
