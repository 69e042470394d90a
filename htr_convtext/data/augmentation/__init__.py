"""Random changes to the line images of a training batch, on tensors."""

from .line_augmentation import LineAugmentation
from .settings import AUGMENTATION_PRESETS, AugmentationSettings, Chance


__all__ = ["AUGMENTATION_PRESETS", "AugmentationSettings", "Chance", "LineAugmentation"]
