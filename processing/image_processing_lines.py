"""Any picture to an image of a line or word: what the families' image processors share. Works without torchvision."""

import os
from collections.abc import Mapping

from PIL import Image
from transformers.image_processing_backends import PilBackend

from .errors import InputError
from .images import array_to_image, as_numpy, open_image, to_grey, upright


class LineImageProcessor(PilBackend):
    """Takes file names, URLs, Pillow images, arrays, tensors and what `datasets` did not decode, as grey images."""

    def fetch_images(self, images):
        """
        File names, URLs and what `datasets` did not decode are opened, grey arrays without a channel axis become
        images; everything else passes.
        """
        if isinstance(images, (list, tuple)):
            return [self.fetch_images(image) for image in images]
        if isinstance(images, (str, os.PathLike, Mapping)):
            return open_image(images)
        if getattr(images, "ndim", None) == 2:
            return array_to_image(as_numpy(images))
        return super().fetch_images(images)

    def process_image(self, image, **kwargs) -> Image.Image:
        """
        One image as a Pillow image, 8-bit grey and upright: it is resized as such, and only then becomes an array.

        Raises:
            InputError: if the image is empty or cannot be converted.
        """
        if not isinstance(image, Image.Image):
            image = array_to_image(as_numpy(image))
        if 0 in image.size:
            raise InputError(f"The image is empty: it has {image.width} × {image.height} pixels.")
        return to_grey(upright(image))


__all__ = ["LineImageProcessor"]
