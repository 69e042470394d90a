"""PDF of page images with their text behind it, to be searched and copied."""

import io
import logging
import math
from collections.abc import Iterable
from importlib.resources import as_file, files

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from .page import Page, Word
from .page_images import PDF_DPI


logger = logging.getLogger(__name__)

FONT = "Mali-LightItalic"  # any that has the letters would do: nobody sees it
INVISIBLE = 3
JPEG_QUALITY = 85
DOUBTFUL = (0.85, 0.47, 0.02)  # the colour of the line under doubtful words


def to_pdf(pages: Iterable[tuple[Page, Image.Image]], min_confidence: float | None = None) -> bytes:
    """
    Pages in pixels of their images, at 300 pixels to the inch, as a PDF whose words lie where they were read.

    Words that are less sure than `min_confidence` are underlined.

    Letters that the font lacks cannot be searched for; a warning names them.
    """
    with as_file(files("htr_convtext") / "fonts" / f"{FONT}.ttf") as file:
        font = TTFont(FONT, file)
    pdfmetrics.registerFont(font)
    missing: set[str] = set()
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setCreator("HTR-ConvText")
    point = 72 / PDF_DPI
    for page, image in pages:
        width, height = page.width, page.height  # those of the image, but if it was scaled down
        canvas.setPageSize((width * point, height * point))
        picture = io.BytesIO()
        image.save(picture, "JPEG", quality=JPEG_QUALITY)
        canvas.drawImage(ImageReader(picture), 0, 0, width * point, height * point)
        canvas.scale(point, point)
        for line in page.lines:
            for word in line.words:
                _write_word(canvas, word, height)
                if min_confidence is not None and word.score < min_confidence:
                    _underline(canvas, word, height)
                missing.update(char for char in word.text if ord(char) not in font.face.charToGlyph)
        canvas.showPage()
    canvas.save()
    if missing:
        logger.warning("In the PDF these cannot be searched for: %s", " ".join(sorted(missing)))
    return buffer.getvalue()


def _write_word(canvas, word: Word, page_height: int) -> None:
    """A word and a space, as long as its polygon: along the upper edge from the left, then back along the lower."""
    half = len(word.polygon) // 2
    (left, top), (right, right_top) = word.polygon[0], word.polygon[half - 1]
    x, y = word.polygon[-1]
    length = math.hypot(right - left, right_top - top)
    size = max(1.0, math.hypot(x - left, y - top))
    angle = math.atan2(top - right_top, right - left)
    text = canvas.beginText()
    text.setTextRenderMode(INVISIBLE)
    text.setFont(FONT, size)
    natural = canvas.stringWidth(word.text, FONT, size)
    text.setHorizScale(100 * length / natural if natural else 100)
    cos, sin = math.cos(angle), math.sin(angle)
    text.setTextTransform(cos, sin, -sin, cos, x, page_height - y + 0.2 * size)
    text.textOut(word.text + " ")
    canvas.drawText(text)


def _underline(canvas, word: Word, page_height: int) -> None:
    """A line along the lower edge of a word."""
    half = len(word.polygon) // 2
    (left, bottom), (right, right_bottom) = word.polygon[-1], word.polygon[half]
    canvas.setStrokeColorRGB(*DOUBTFUL)
    canvas.setLineWidth(3)
    canvas.line(left, page_height - bottom, right, page_height - right_bottom)
