"""Augmentation of images that a processor normalises."""

from collections.abc import Callable

import torch
from transformers.image_processing_utils import BaseImageProcessor


Augmentation = Callable[[torch.Tensor, torch.Tensor | None, int | None], torch.Tensor]


def augment_normalized(augmentation: Augmentation, image_processor: BaseImageProcessor) -> Augmentation:
    """
    An augmentation of pixels from 0 to 1 for the `pixel_values` of an image processor: of those that it normalises
    (`do_normalize`, `image_mean`, `image_std`) it undoes and repeats that. Others it takes as they are.
    """
    if not image_processor.do_normalize:
        return augmentation
    mean, std = (
        torch.as_tensor(value, dtype=torch.float32).reshape(-1, 1, 1)
        for value in (image_processor.image_mean, image_processor.image_std)
    )

    def augment(
        pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None = None, seed: int | None = None
    ) -> torch.Tensor:
        center, scale = mean.to(pixel_values), std.to(pixel_values)
        return (augmentation(pixel_values * scale + center, pixel_mask, seed) - center) / scale

    return augment
