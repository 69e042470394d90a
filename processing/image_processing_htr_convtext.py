"""Line images for HTR-ConvText: any picture to grey `pixel_values` of a fixed height. Works without torchvision."""

import base64
import io
import os
from typing import BinaryIO

import httpx
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils import TensorType


DOWNLOAD_TIMEOUT = 60  # seconds


class HTRConvTextImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    horizontal_scale (`float`, *optional*, defaults to 1.0):
        Width of the resized line in units of its aspect-true width. Above 1 dense writing gets more frames, below 1
        everything is faster.
    pad_to_max_width (`bool`, *optional*, defaults to `False`):
        Whether to pad to `size["width"]` rather than to the widest line of the batch.
    pad_to_multiple_of (`int`, *optional*, defaults to 32):
        The padded width is a multiple of this.
    return_pixel_mask (`bool`, *optional*, defaults to `True`):
        Whether to return `pixel_mask` of shape `(batch_size, width)`, 1 for the columns of the line.
    do_invert (`bool`, *optional*, defaults to `False`):
        Whether the scans are white on black and must be inverted.
    """

    horizontal_scale: float | int
    pad_to_max_width: bool
    pad_to_multiple_of: int
    return_pixel_mask: bool
    do_invert: bool


def open_image(source: str | os.PathLike | BinaryIO, name: str | None = None) -> Image.Image:
    """
    Opens an image (the first page of a file with several) as 8-bit grey, upright.

    Args:
        source: File name, URL (`data:` ones too) or opened file.
        name: What to call it in errors; by default the file name or URL.

    Raises:
        ValueError: names the image if it is missing, empty, damaged, too large or no image.
    """
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
        return to_grey(upright(Image.open(source)))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(f"{name}: it could not be downloaded. ({error})") from None
    except FileNotFoundError:
        raise ValueError(f"{name}: there is no such file.") from None
    except IsADirectoryError:
        raise ValueError(f"{name}: this is a folder; give the image files in it.") from None
    except UnidentifiedImageError:
        raise ValueError(f"{name}: not an image, or of a format that Pillow cannot read.") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: too many pixels for a line image; cut the lines out first. ({error})") from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise ValueError(f"{name}: the image is damaged or cut short; export it again. ({error})") from error


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
        ValueError: if the array is empty, not finite or of another shape.
    """
    if 0 in array.shape:
        raise ValueError(f"The image is empty: its shape is {array.shape}.")
    if array.ndim == 3 and array.shape[-1] not in (1, 2, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (2, 3, 4)):
        raise ValueError(
            f"An image array must have 1 to 4 channels, first or last, or none; this one has shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("The image array holds values that are not finite.")
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
    """Any upright Pillow image of 8 bits or fewer a channel as 8-bit RGB, transparency on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_grey(image: Image.Image) -> Image.Image:
    """Any upright Pillow image as 8-bit grey: transparency on white, 16 bits and floats scaled down."""
    if image.mode.startswith("I") or image.mode == "F":  # `convert` would clip these instead of scaling them
        array = np.asarray(image)
        return array_to_image(array.astype(np.uint16) if image.mode.startswith("I;16") else array)
    return (image if image.mode in ("1", "L") and not image.has_transparency_data else to_rgb(image)).convert("L")


class HTRConvTextImageProcessor(PilBackend):
    r"""
    Turns line images into grey `pixel_values` with white = 1, and a `pixel_mask` of the columns that are not padding.

    Takes file names, URLs, Pillow images, arrays and tensors. By default a line keeps its aspect ratio (times a
    constant `horizontal_scale`), is narrowed only if it is wider than `size["width"]`, and is padded with white on the
    right to a multiple of `pad_to_multiple_of`. [`HTRConvTextImageProcessor.published`] is the behaviour of the
    published system (arXiv 2512.05021).
    """

    valid_kwargs = HTRConvTextImageProcessorKwargs
    model_input_names = ["pixel_values", "pixel_mask"]
    size = {"height": 64, "width": 2048}
    default_to_square = False
    resample = PILImageResampling.BICUBIC
    do_resize = True
    do_rescale = True
    do_normalize = False
    do_pad = True
    horizontal_scale = 1.0
    pad_to_max_width = False
    pad_to_multiple_of = 32
    return_pixel_mask = True
    do_invert = False

    @classmethod
    def published(cls, **kwargs) -> "HTRConvTextImageProcessor":
        """Height 64; lines wider than 8:1 squashed to 512 pixels, all others padded to 512 with white; no mask."""
        published = {"size": {"height": 64, "width": 512}, "pad_to_max_width": True, "return_pixel_mask": False}
        return cls(**{**published, **kwargs})

    def resized_width(self, height: int, width: int) -> int:
        """Width in pixels of a line of `height` × `width` after resizing, without padding."""
        return self._resized_width(height, width, self.size, self.horizontal_scale)

    @staticmethod
    def _resized_width(height: int, width: int, size: SizeDict, horizontal_scale: float) -> int:
        return max(1, min(int(width * horizontal_scale * size.height / height), size.width))

    def fetch_images(self, images):
        """File names and URLs are opened, grey arrays without a channel axis become images; everything else passes."""
        if isinstance(images, (list, tuple)):
            return [self.fetch_images(image) for image in images]
        if isinstance(images, (str, os.PathLike)):
            return open_image(images)
        if getattr(images, "ndim", None) == 2:
            return array_to_image(as_numpy(images))
        return super().fetch_images(images)

    def process_image(self, image, **kwargs) -> np.ndarray:
        """
        One image to an 8-bit array of `(1, height, width)`, upright and grey.

        Raises:
            ValueError: if the image is empty or cannot be converted.
        """
        if not isinstance(image, Image.Image):
            image = array_to_image(as_numpy(image))
        if 0 in image.size:
            raise ValueError(f"The image is empty: it has {image.width} × {image.height} pixels.")
        return np.asarray(to_grey(upright(image)))[None]

    def _preprocess(
        self,
        images: list[np.ndarray],
        do_resize: bool,
        size: SizeDict,
        resample: PILImageResampling | None,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: float | list[float] | None,
        image_std: float | list[float] | None,
        do_pad: bool | None,
        horizontal_scale: float,
        pad_to_max_width: bool,
        pad_to_multiple_of: int,
        return_pixel_mask: bool,
        do_invert: bool,
        return_tensors: str | TensorType | None,
        **kwargs,
    ) -> BatchFeature:
        lines = []
        for image in images:
            if do_invert:
                image = 255 - image
            if do_resize:
                width = self._resized_width(*image.shape[-2:], size, horizontal_scale)
                image = np.asarray(Image.fromarray(image[0]).resize((width, size.height), resample))[None]
            white = 255.0
            if do_rescale:
                # In double precision, so that the factor 1/255 gives what a division by 255 gives.
                image, white = (image.astype(np.float64) * rescale_factor), 255.0 * rescale_factor
            if do_normalize:
                image = self.normalize(image, image_mean, image_std)
                white = float(self.normalize(np.full((1, 1, 1), white), image_mean, image_std)[0, 0, 0])
            lines.append(image.astype(np.float32))

        widths = [line.shape[-1] for line in lines]
        if do_pad:
            padded_width = (
                size.width if pad_to_max_width else -(-max(widths) // pad_to_multiple_of) * pad_to_multiple_of
            )
            pad_size = SizeDict(height=max(line.shape[-2] for line in lines), width=max(padded_width, *widths, 1))
            lines = self.pad(lines, pad_size=pad_size, fill_value=white)
        data = {"pixel_values": lines}
        if return_pixel_mask:
            data["pixel_mask"] = [
                (np.arange(line.shape[-1]) < width).astype(np.int64) for line, width in zip(lines, widths, strict=True)
            ]
        return BatchFeature(data=data, tensor_type=return_tensors)


__all__ = ["HTRConvTextImageProcessor"]
