"""Random changes to the line images of a training batch, on tensors, and a picture of what they do."""

from .line_augmentation import LineAugmentation
from .normalization import augment_normalized
from .preview import preview_augmentations
from .settings import AUGMENTATION_PRESETS, AugmentationSettings, Chance


__all__ = [
    "AUGMENTATION_PRESETS",
    "AugmentationSettings",
    "Chance",
    "LineAugmentation",
    "augment_normalized",
    "preview_augmentations",
]
