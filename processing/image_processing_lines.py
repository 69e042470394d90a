"""Any picture to an image of a line or word: what the families' image processors share. Works without torchvision."""

import os
from collections.abc import Mapping

from PIL import Image
from transformers.image_processing_backends import PilBackend

from .errors import InputError
from .image_files import naming
from .images import array_to_image, as_numpy, open_image, prepared, to_grey


class LineImageProcessor(PilBackend):
    """
    Takes file names, URLs, Base64, bytes, opened files, Pillow images, arrays, tensors and what `datasets` did not
    decode, as grey images.
    """

    def fetch_images(self, images):
        """
        What is no image yet is opened, grey arrays without a channel axis become images; everything else passes.

        Raises:
            InputError: if an image cannot be read (it is named), something is no image, or there are none.
        """
        if isinstance(images, (list, tuple)):
            if not images:
                raise InputError("There are no images: the batch is empty.")
            return [self.fetch_images(image) for image in images]
        if isinstance(images, (str, bytes, bytearray, os.PathLike, Mapping)) or hasattr(images, "read"):
            return open_image(images)
        if isinstance(images, Image.Image):
            return images
        if not hasattr(images, "ndim") or not hasattr(images, "shape"):
            raise InputError(f"An object of the type {type(images).__name__} is no image.")
        return array_to_image(as_numpy(images)) if images.ndim == 2 else images

    def process_image(self, image, **kwargs) -> Image.Image:
        """
        One image as a Pillow image, 8-bit grey and upright: it is resized as such, and only then becomes an array.

        Raises:
            InputError: if the image is empty or cannot be converted.
        """
        if isinstance(image, (list, tuple)):
            raise InputError(f"Give one image here, not a {type(image).__name__} of {len(image)}.")
        if not isinstance(image, Image.Image):
            image = array_to_image(as_numpy(image))
        with naming(getattr(image, "filename", None) or "The image"):
            image.load()
        return prepared(image, to_grey)


__all__ = ["LineImageProcessor"]
