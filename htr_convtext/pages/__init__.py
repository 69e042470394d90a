"""Pages: finding lines, reading them, PAGE-XML, ALTO and PDF."""

from .geometry import LineCut, cut_line
from .page import Character, Page, PageLine, Region, Word
from .page_images import PageImages
from .segmentation import Segmenter, TextDetector
from .transcription import transcribe, transcribe_image
from .xml_reader import read_page


__all__ = [
    "Character",
    "LineCut",
    "Page",
    "PageImages",
    "PageLine",
    "Region",
    "Segmenter",
    "TextDetector",
    "Word",
    "cut_line",
    "read_page",
    "transcribe",
    "transcribe_image",
]
