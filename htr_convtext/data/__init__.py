"""Handwriting lines: loading, checking and batching."""

from .augmentation import AugmentationSettings, LineAugmentation, preview_augmentations
from .collator import LineCollator
from .lines import select_trainable
from .page_xml import Page, PageLine, crop_polygon, read_page
from .sampler import SimilarWidthSampler
from .sources import load_lines, load_sources
from .text_policy import TextPolicy


__all__ = [
    "AugmentationSettings",
    "LineAugmentation",
    "LineCollator",
    "Page",
    "PageLine",
    "SimilarWidthSampler",
    "TextPolicy",
    "crop_polygon",
    "load_lines",
    "load_sources",
    "preview_augmentations",
    "read_page",
    "select_trainable",
]
