"""Synthetic lines of handwriting: any text, written with fonts on paper."""

from .files import draw_sheet, write_lines
from .fonts import LineFont, find_fonts
from .lines import synthetic_lines
from .renderer import LineRenderer
from .style import SyntheticStyle
from .texts import LineTexts


__all__ = [
    "LineFont",
    "LineRenderer",
    "LineTexts",
    "SyntheticStyle",
    "draw_sheet",
    "find_fonts",
    "synthetic_lines",
    "write_lines",
]
