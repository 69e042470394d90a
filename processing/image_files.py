"""Opening image files: by handle, of listed formats only, and none that needs much memory to decode."""

import base64
import binascii
import errno
import io
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from .errors import InputError, one_line


# Others are not needed for scans, and Pillow starts programs for some of them (Ghostscript for EPS).
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "PCX", "AVIF")
DOWNLOAD_TIMEOUT = 60  # seconds
MAX_DOWNLOAD = 200_000_000  # bytes
MAX_DECODING = 1_200_000_000  # bytes of memory that decoding an image may take
NO_FILE = "not a file, but a pipe or device"
CIRCLE = "the link leads in a circle"
NOWHERE = "the link leads nowhere"
NO_PERMISSION = "permission denied"
LONGEST_NAME = 255  # characters; a longer text that is no path of a file is not repeated in messages


def readable_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def readable_suffixes() -> set[str]:
    """The suffixes of files of these formats, in lower case."""
    formats = readable_formats()
    return {suffix for suffix, name in Image.registered_extensions().items() if name in formats}


def name_of(source: Any) -> str:
    """What to call an image in messages: its file name or URL, never its content."""
    unnamed = "The image"
    if isinstance(source, Mapping):
        unnamed = "A line" if source.get("bytes") is None else "An image without a name"
        source = source.get("path")
    if isinstance(source, os.PathLike):
        return os.fspath(source)
    if not source or not isinstance(source, str) or source.startswith("data:"):
        return unnamed
    return source if len(source) <= LONGEST_NAME or os.path.exists(source) else unnamed


def is_address(source: str | os.PathLike) -> bool:
    """Whether a string is a URL of any kind rather than a file."""
    return isinstance(source, str) and (source.startswith("data:") or "://" in source)


@contextmanager
def opened(source: Any, name: str | None = None) -> Iterator[Image.Image]:
    """
    A Pillow image that is not decoded yet.

    Args:
        source: File name, URL (`data:` ones too), Base64, the bytes of a file, an opened file, or an image that
            `datasets` did not decode (`{"bytes": ..., "path": ...}`).
        name: What to call it in errors; by default `name_of` it.

    Raises:
        InputError: as `naming`.
    """
    with (
        naming(name or name_of(source)),
        _handle(source) as handle,
        # By handle: Pillow maps files that it opens by their names into memory, some of them wrongly.
        Image.open(handle, formats=readable_formats()) as image,
    ):
        yield image


@contextmanager
def naming(name: str | os.PathLike) -> Iterator[None]:
    """
    For what opens and decodes an image.

    Raises:
        InputError: names the image if it is missing, empty, damaged, too large or no image.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except IsADirectoryError:
        raise InputError(f"{name}: this is a folder; give the image files in it.") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image, or of a format that is not read here.") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too many pixels; scale it down or cut the lines out first. ({error})") from None
    except MemoryError:
        raise InputError(f"{name}: there is not enough memory to open it.") from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{name}: {reason_of(error, name)}.") from None
        raise InputError(f"{name}: the image is damaged or cut short; export it again. ({one_line(error)})") from error


def open_file(path: str | os.PathLike) -> BinaryIO:
    """
    Opens a file to read.

    Raises:
        OSError: if there is none, or it may not be read; an `IsADirectoryError` if it is a folder.
        InputError: if it is a pipe or a device, which could be waited for in vain.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise InputError(f"{NO_FILE}.")
    return open(path, "rb")


def reason_of(error: OSError, path: str | os.PathLike) -> str:
    """Why something cannot be opened, in a few words."""
    if isinstance(error, FileNotFoundError):
        return NOWHERE if os.path.islink(path) else "there is no such file"
    if isinstance(error, PermissionError):
        return NO_PERMISSION
    if isinstance(error, IsADirectoryError):
        return "this is a folder"
    if error.errno == errno.ELOOP:
        return CIRCLE
    return error.strerror or str(error) or type(error).__name__


def ready_to_decode(image: Image.Image, size: tuple[int, int]) -> None:
    """
    Sets an opened image to be decoded at about `size` or more, where its format can do that.

    Raises:
        DecompressionBombError: if it would still take more than `MAX_DECODING` to decode it.
    """
    full = image.size
    if image.format == "JPEG2000":
        levels = int(math.log2(max(1, min(full[0] / size[0], full[1] / size[1]))))
        while _decoding_bytes(image, full) / 4**levels > MAX_DECODING and levels < 5:
            levels += 1
        if levels:
            image.reduce = levels
        needed = _decoding_bytes(image, full) / 4**levels
    else:
        if _decoding_bytes(image, full) > MAX_DECODING:
            size = min(size[0], full[0] // 2), min(size[1], full[1] // 2)
        if size != full:
            image.draft(image.mode, size)  # JPEG; others have no such thing
        needed = _decoding_bytes(image, full)
    if needed > MAX_DECODING:
        raise Image.DecompressionBombError(
            f"{full[0]} × {full[1]} need {needed / 1e9:.1f} GB of memory in {image.format}"
        )


def _decoding_bytes(image: Image.Image, full: tuple[int, int]) -> float:
    """
    About the most that Pillow and the library of the format hold when they decode an image.

    Args:
        full: Its size in the file.
    """
    pixels, channels = image.width * image.height, len(image.getbands())
    each: float = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    if image.format in ("WEBP", "AVIF"):
        return pixels * 20  # canvases, planes and copies of the whole image, of four channels each
    if image.format == "JPEG2000":
        return pixels * (each + 5 * channels)  # 32 bits for each sample, then 8
    if image.format in ("JPEG", "MPO"):
        # All coefficients of progressive files, 16 bits each, whatever the size that comes out.
        layers = [across * down for _, across, down, *_ in getattr(image, "layer", [])] or [1] * channels
        return pixels * each + full[0] * full[1] * 2 * sum(layers) / max(layers)
    if image.format == "TIFF":
        tags = image.tag_v2
        bits = tags.get(258, (1,))
        sample = sum(bits if isinstance(bits, tuple) else (bits,)) / 8
        rows = min(tags.get(278, image.height), image.height) * image.width
        part = tags[322] * tags[323] if 322 in tags and 323 in tags else rows  # a strip or tile is decoded whole
        turned = 2 if tags.get(274, 1) != 1 else 1
        return pixels * each * turned + part * sample
    return pixels * each


@contextmanager
def _handle(source: Any) -> Iterator[BinaryIO]:
    if isinstance(source, Mapping):
        content, path = source.get("bytes"), source.get("path")
        if content is None and not path:
            raise InputError("there is no image.")
        if content is None and is_address(path):  # nobody asked for what rows of data sets name to be fetched
            raise InputError("no image but its address; download it, and store the image.")
        source = path if content is None else content
        if content is not None and not isinstance(content, (bytes, bytearray, memoryview)):
            raise InputError(f"its bytes are of the type {type(content).__name__}.")
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        source = _download(source)
    elif isinstance(source, str) and source.startswith("data:"):
        source = base64.b64decode(source.partition(",")[2])
    elif isinstance(source, str) and not _exists(source):
        source = _from_base64(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        with open_file(source) as handle:
            yield handle
    else:
        yield source


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a NUL in it
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
    return True


def _from_base64(text: str) -> bytes:
    """The file that a text holds in Base64; a `FileNotFoundError` if that is no image: it was meant as a name."""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        with Image.open(io.BytesIO(content), formats=readable_formats()):
            return content
    except (binascii.Error, ValueError, OSError, SyntaxError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def _download(url: str) -> bytes:
    import httpx  # slow to import, and of no use to most

    content = io.BytesIO()
    try:
        with httpx.stream("GET", url, timeout=DOWNLOAD_TIMEOUT, follow_redirects=True) as answer:
            for part in answer.raise_for_status().iter_bytes():
                content.write(part)
                if content.tell() > MAX_DOWNLOAD:
                    raise InputError(f"more than {MAX_DOWNLOAD // 10**6} MB; it was not downloaded.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"it could not be downloaded. ({error})") from None
    return content.getvalue()
