"""Handwriting lines: loading, checking, preparing and batching."""

from .augmentation import AugmentationSettings, LineAugmentation, preview_augmentations
from .collator import LineCollator
from .lines import select_trainable
from .page_xml import Page, PageLine, crop_polygon, read_page
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
    "LineCollator",
    "Page",
    "PageLine",
    "SimilarWidthSampler",
    "TextPolicy",
    "crop_polygon",
    "load_lines",
    "load_sources",
    "prepare_lines",
    "preview_augmentations",
    "read_page",
    "select_trainable",
    "split_by_group",
]
