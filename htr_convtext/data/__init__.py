"""Handwriting lines: loading, checking and batching."""

from .collator import LineCollator
from .lines import load_lines, load_sources, select_trainable
from .sampler import SimilarWidthSampler


__all__ = ["LineCollator", "SimilarWidthSampler", "load_lines", "load_sources", "select_trainable"]
