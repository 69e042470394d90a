"""Synthetic lines of handwriting: any text, written with fonts on paper."""

from .fonts import LineFont, find_fonts
from .lines import synthetic_lines
from .renderer import LineRenderer
from .style import SyntheticStyle
from .texts import LineTexts


__all__ = ["LineFont", "LineRenderer", "LineTexts", "SyntheticStyle", "find_fonts", "synthetic_lines"]
