"""Handwriting lines: loading, checking and batching."""

from .collator import LineCollator
from .lines import load_lines, load_sources, select_trainable


__all__ = ["LineCollator", "load_lines", "load_sources", "select_trainable"]
