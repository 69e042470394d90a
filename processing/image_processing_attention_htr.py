"""Images of words for AttentionHTR and its kin: any picture to grey `pixel_values` of one size."""

import numpy as np
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils import TensorType

from .image_processing_lines import LineImageProcessor


class AttentionHTRImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    keep_aspect_ratio (`bool`, *optional*, defaults to `False`):
        Whether images keep their shape and their last column is repeated on the right, rather than being stretched or
        squeezed to `size`. Those that are wider than `size` are squeezed in any case.
    """

    keep_aspect_ratio: bool


class AttentionHTRImageProcessor(LineImageProcessor):
    r"""
    Turns images of words into grey `pixel_values` of one size, −1 for black and 1 for white; by default as published
    (arXiv 2201.09390): 32 × 100 pixels, whatever the shape of the word.
    """

    _auto_class = "AutoImageProcessor"  # saved folders carry this code
    valid_kwargs = AttentionHTRImageProcessorKwargs
    model_input_names = ["pixel_values"]
    size = {"height": 32, "width": 100}
    default_to_square = False
    resample = PILImageResampling.BICUBIC
    do_resize = True
    do_rescale = True
    do_normalize = True
    image_mean = [0.5]
    image_std = [0.5]
    keep_aspect_ratio = False

    def resized_width(self, height: int, width: int) -> int:
        """Width in pixels of an image of `height` × `width` after resizing, without padding."""
        return self._resized_width(height, width, self.size, self.keep_aspect_ratio)

    def visible_width(self, height: int, width: int) -> int:
        """The same with padding: the network is not told where a word ends."""
        return self.size.width

    @staticmethod
    def _resized_width(height: int, width: int, size: SizeDict, keep_aspect_ratio: bool) -> int:
        return min(-(-width * size.height // height), size.width) if keep_aspect_ratio else size.width

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
        keep_aspect_ratio: bool,
        return_tensors: str | TensorType | None,
        **kwargs,
    ) -> BatchFeature:
        words = []
        for image in images:
            if do_resize:
                width = self._resized_width(image.height, image.width, size, keep_aspect_ratio)
                image = image.resize((width, size.height), resample)
            word = np.asarray(image)[None]
            if do_resize and word.shape[-1] < size.width:
                word = np.pad(word, ((0, 0), (0, 0), (0, size.width - word.shape[-1])), mode="edge")
            if do_rescale:
                # In double precision, so that the factor 1/255 gives what a division by 255 gives.
                word = word.astype(np.float64) * rescale_factor
            if do_normalize:
                word = self.normalize(word, image_mean, image_std)
            words.append(word.astype(np.float32))
        return BatchFeature(data={"pixel_values": words}, tensor_type=return_tensors)


__all__ = ["AttentionHTRImageProcessor"]
