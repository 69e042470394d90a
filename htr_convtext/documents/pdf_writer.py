"""PDF of page images with their text behind it, to be searched and copied."""

import io
import logging
import math
import re
from collections.abc import Iterable, Sequence
from importlib.resources import as_file, files

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from htr_convtext import __version__
from htr_convtext.xml_characters import drop_unwritable

from .page import Page, Word
from .page_images import PDF_DPI


logger = logging.getLogger(__name__)

FONT = "Mali-LightItalic"  # any that has the letters would do: nobody sees it
INVISIBLE = 3
GAP = 0.25  # between words, in sizes of the letters; pdftotext wants 0.1, or 0.15 with -raw
JPEG_QUALITY = 85
DOUBTFUL = (0.85, 0.47, 0.02)  # the colour of the line under doubtful words


def to_pdf(pages: Iterable[tuple[Page, Image.Image]], min_confidence: float | None = None) -> bytes:
    """
    Pages in pixels of their images, at 300 pixels to the inch, as a PDF whose words lie where they were read.

    Words that are less sure than `min_confidence` are underlined. The title is the name of the image of the first page,
    the language that of the language model that read it, if one was chosen and is named by it (`fr`), else `und`
    (undetermined).

    Letters that the font lacks cannot be searched for; a warning names them.
    """
    with as_file(files("htr_convtext") / "fonts" / f"{FONT}.ttf") as file:
        font = TTFont(FONT, file)
    pdfmetrics.registerFont(font)
    missing: set[str] = set()
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setAuthor("")
    canvas.setCreator(f"HTR-ConvText {__version__}")
    point = 72 / PDF_DPI
    for index, (page, image) in enumerate(pages):
        if index == 0:
            _describe(canvas, page)
        width, height = page.width, page.height  # those of the image, but if it was scaled down
        canvas.setPageSize((width * point, height * point))
        picture = io.BytesIO()
        image.save(picture, "JPEG", quality=JPEG_QUALITY)
        canvas.drawImage(ImageReader(picture), 0, 0, width * point, height * point)
        canvas.scale(point, point)
        for line in page.lines:
            size, lengths = _fit(line.words)
            for word, length in zip(line.words, lengths, strict=True):
                _write_word(canvas, word, size, length, height)
                if min_confidence is not None and word.score < min_confidence:
                    _underline(canvas, word, height)
                missing.update(char for char in word.text if ord(char) not in font.face.charToGlyph)
        canvas.showPage()
    canvas.save()
    if missing:
        logger.warning("In the PDF these cannot be searched for: %s", " ".join(sorted(missing)))
    return buffer.getvalue()


def _describe(canvas: Canvas, page: Page) -> None:
    """Title, language and what read it, for the whole document."""
    canvas.setTitle(drop_unwritable(page.image.rpartition(".")[0] or page.image))
    canvas.setViewerPreference("DisplayDocTitle", "true")
    read_by = page.provenance
    canvas.setSubject(f"model: {read_by.model or 'unnamed'}; decoder: {read_by.decoder}" if read_by else "")
    language = re.fullmatch(r"lm: ([a-z]{2})(_.*)?", read_by.decoder if read_by else "")
    canvas.setCatalogEntry("Lang", language[1] if language else "und")


def _fit(words: Sequence[Word]) -> tuple[float, list[float]]:
    """
    The size of the letters of a line, and how long each of its words is written, in pixels.

    That is the height and the length of their polygons, but each word ends before the next one begins, by a share of
    the size: programs that take text out of a PDF tell words by the gaps, not by the spaces that are written.
    """
    boxes = [_course(word) for word in words]
    rooms = []  # from the start of a word to its end, or the start of the next one
    for (left, top), _, _, angle in boxes:
        ahead = ((x - left) * math.cos(angle) - (y - top) * math.sin(angle) for (x, y), *_ in boxes)
        rooms.append(min((far for far in ahead if far > 0), default=math.inf))
    size = min((max(1.0, height) for _, _, height, _ in boxes), default=1.0)
    tight = min((min(length, room) for (_, length, *_), room in zip(boxes, rooms, strict=True)), default=size)
    size = max(size / 8, min(size, tight / 2 / GAP))  # at least half of each word is written, in lower letters
    return size, [
        max(min(length, room - GAP * size), min(length, room) / 2)
        for (_, length, *_), room in zip(boxes, rooms, strict=True)
    ]


def _course(word: Word) -> tuple[tuple[float, float], float, float, float]:
    """
    The upper left corner of a word, its length and height in pixels, and its angle.

    Its polygon goes along the upper edge from the left, then back along the lower.
    """
    (left, top), (right, right_top) = word.polygon[0], word.polygon[len(word.polygon) // 2 - 1]
    x, y = word.polygon[-1]
    angle = math.atan2(top - right_top, right - left)
    return (left, top), math.hypot(right - left, right_top - top), math.hypot(x - left, y - top), angle


def _write_word(canvas: Canvas, word: Word, size: float, length: float, page_height: float) -> None:
    """A word and a space at the lower edge of its polygon."""
    x, y = word.polygon[-1]
    _, _, height, angle = _course(word)
    text = canvas.beginText()
    text.setTextRenderMode(INVISIBLE)
    text.setFont(FONT, size)
    natural = canvas.stringWidth(word.text, FONT, size)
    text.setHorizScale(100 * length / natural if natural else 100)
    cos, sin = math.cos(angle), math.sin(angle)
    text.setTextTransform(cos, sin, -sin, cos, x, page_height - y + 0.2 * height)
    text.textOut(word.text + " ")
    canvas.drawText(text)


def _underline(canvas: Canvas, word: Word, page_height: float) -> None:
    """A line along the lower edge of a word."""
    half = len(word.polygon) // 2
    (left, bottom), (right, right_bottom) = word.polygon[-1], word.polygon[half]
    canvas.setStrokeColorRGB(*DOUBTFUL)
    canvas.setLineWidth(3)
    canvas.line(left, page_height - bottom, right, page_height - right_bottom)
