"""Handwriting lines: loading, checking and batching."""

from .augmentation import AugmentationSettings, LineAugmentation, preview_augmentations
from .collator import LineCollator
from .lines import load_lines, load_sources, select_trainable
from .sampler import SimilarWidthSampler
from .text_policy import TextPolicy


__all__ = [
    "AugmentationSettings",
    "LineAugmentation",
    "LineCollator",
    "SimilarWidthSampler",
    "TextPolicy",
    "load_lines",
    "load_sources",
    "preview_augmentations",
    "select_trainable",
]
