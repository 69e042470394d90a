"""Handwriting lines: loading, checking, preparing and batching."""

from .augmentation import AugmentationSettings, LineAugmentation, preview_augmentations
from .lines import select_trainable
from .preparation import prepare_lines
from .report import DataReport
from .sampler import SimilarWidthSampler
from .sources import load_lines, load_sources
from .splitting import split_by_group
from .text_policy import TextPolicy


__all__ = [
    "AugmentationSettings",
    "DataReport",
    "LineAugmentation",
    "SimilarWidthSampler",
    "TextPolicy",
    "load_lines",
    "load_sources",
    "prepare_lines",
    "preview_augmentations",
    "select_trainable",
    "split_by_group",
]
