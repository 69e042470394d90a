"""Finding the text lines of a page."""

from functools import lru_cache
from typing import Protocol

import numpy as np
from PIL import Image

from htr_convtext.documents.page import PageLine, Region
from htr_convtext.documents.reading_order import order_regions


# Of a line's height, from its lower edge upwards: where its baseline is taken to be.
BASELINE_HEIGHT = 0.22
# How many times as long as wide an image may be for the detector; a longer one is padded.
MAX_ASPECT = 20
# What is longer than so many times the side that the detector works with is scaled down beforehand, to save memory.
FINEST = 4


class Segmenter(Protocol):
    """Finds the lines of a page."""

    def __call__(self, image: Image.Image) -> list[Region]:
        """
        Regions of lines without text, in reading order, with polygons and baselines in pixels.

        Args:
            image: 8-bit RGB, upright.
        """
        ...


class TextDetector:
    """
    The text detector of PP-OCRv6 (Apache-2.0), a small network that comes with the package rapidocr.

    It runs on the CPU, without downloads, in about two seconds a page.

    Args:
        side: The longer side of the image is brought down to this many pixels.
        unclip_ratio: How far the outlines go beyond the ink that was found.
        box_threshold: Mean probability that a box must have.

    Raises:
        ModuleNotFoundError: if rapidocr is missing.
    """

    def __init__(self, side: int = 1536, unclip_ratio: float = 1.2, box_threshold: float = 0.4):
        try:
            from rapidocr import RapidOCR
        except ModuleNotFoundError:
            raise ModuleNotFoundError("Finding lines needs rapidocr: pip install 'htr-convtext[pages]'") from None
        self.side = side
        self.detect = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Global.log_level": "error",
                "Det.limit_type": "max",
                "Det.limit_side_len": side,
                "Det.unclip_ratio": unclip_ratio,
                "Det.box_thresh": box_threshold,
            }
        )

    def __call__(self, image: Image.Image) -> list[Region]:
        full = image
        if max(image.size) > FINEST * self.side:
            image = image.copy() if image.mode == "RGB" else image.convert("RGB")
            image.thumbnail((FINEST * self.side,) * 2)  # before it is padded, which may make it 20 times as large
        scale = np.array([full.width / image.width, full.height / image.height])
        padded, shortest = image, -(-max(image.size) // MAX_ASPECT)
        if min(image.size) < shortest:
            padded = Image.new("RGB", (max(image.width, shortest), max(image.height, shortest)), "white")
            padded.paste(image)
        boxes = self.detect(np.asarray(padded)[..., ::-1], use_det=True, use_cls=False, use_rec=False).boxes
        quads = [] if boxes is None else [np.clip(np.asarray(box, dtype=float), 0, image.size) for box in boxes]
        quads = [quad * scale for quad in quads if np.ptp(quad, axis=0).min() > 0]
        lines = []
        for quad in quads:
            top, bottom = quad[[0, 1]], quad[[3, 2]]
            baseline = bottom + BASELINE_HEIGHT * (top - bottom)
            lines.append(PageLine("", "", [*map(tuple, quad.tolist())], [*map(tuple, baseline.tolist())]))
        return order_regions(lines)


@lru_cache(maxsize=1)
def default_segmenter() -> Segmenter:
    return TextDetector()
