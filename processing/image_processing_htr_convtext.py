"""Line images for HTR-ConvText: any picture to grey `pixel_values` of a fixed height. Works without torchvision."""

import numpy as np
from PIL import Image, ImageChops
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils import TensorType

from .image_processing_lines import LineImageProcessor


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


class HTRConvTextImageProcessor(LineImageProcessor):
    r"""
    Turns line images into grey `pixel_values` with white = 1, and a `pixel_mask` of the columns that are not padding.

    Takes file names, URLs, Pillow images, arrays and tensors. By default a line keeps its aspect ratio (times a
    constant `horizontal_scale`), is narrowed only if it is wider than `size["width"]`, and is padded with white on the
    right to a multiple of `pad_to_multiple_of`. [`HTRConvTextImageProcessor.published`] is the behaviour of the
    published system (arXiv 2512.05021).
    """

    _auto_class = "AutoImageProcessor"  # saved folders carry this code
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

    def visible_width(self, height: int, width: int) -> int:
        """The same with the padding where the network is not told where a line ends, as in the published system."""
        if self.pad_to_max_width and not self.return_pixel_mask:
            return self.size.width
        return self.resized_width(height, width)

    @staticmethod
    def _resized_width(height: int, width: int, size: SizeDict, horizontal_scale: float) -> int:
        return max(1, min(int(width * horizontal_scale * size.height / height), size.width))

    def _preprocess(
        self,
        images: list[Image.Image],
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
                image = ImageChops.invert(image)
            if do_resize:
                width = self._resized_width(image.height, image.width, size, horizontal_scale)
                image = image.resize((width, size.height), resample)
            image, white = np.asarray(image)[None], 255.0
            if do_rescale:
                # In double precision, so that the factor 1/255 gives what a division by 255 gives.
                image, white = image.astype(np.float64) * rescale_factor, 255.0 * rescale_factor
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
