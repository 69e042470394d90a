"""From the image of a page to its text."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

from PIL import Image

from htr_convtext.documents.geometry import LineCut, cut_line
from htr_convtext.documents.ink import has_ink
from htr_convtext.documents.layout import in_pixels, scaled
from htr_convtext.documents.page import Page, PageLine, Word
from htr_convtext.documents.page_images import PageImages
from htr_convtext.errors import InputError
from htr_convtext.reading import Character, LineReader, LineReading, certain
from htr_convtext.recognizer import load_recognizer
from processing.confidence import Calibration
from processing.images import full_size

from .segmentation import Segmenter, default_segmenter


EMPTY = Image.new("L", (1, 1))


def transcribe(
    path: str | os.PathLike,
    recognizer: LineReader | None = None,
    layout: Page | None = None,
    segmenter: Segmenter | None = None,
    number: int = 1,
    batch_size: int = 8,
) -> Page:
    """
    Finds the lines of a page and reads them in order.

    Args:
        path: PNG, JPEG, TIFF, PDF and whatever else Pillow reads.
        recognizer: From `load_recognizer`; by default with the bundled model.
        layout: Regions and lines from elsewhere (`read_page`); by default they are found.
        segmenter: What finds them; by default `TextDetector`.
        number: Which page of a file with several, from 1.

    Returns:
        The page in pixels of the image. A line that cannot be cut out has an `error`, and one where there is no ink is
        not read (`without_ink`); both keep the text they had.

    Raises:
        InputError: names the file if it cannot be read.
        IndexError: if it has no page of this number.
        ModuleNotFoundError: names what must be installed.
    """
    page = transcribe_image(PageImages(path)[number - 1], recognizer, layout, segmenter, batch_size)
    return replace(page, image=page.image or os.path.basename(path), number=number)


def transcribe_image(
    image: Image.Image,
    recognizer: LineReader | None = None,
    layout: Page | None = None,
    segmenter: Segmenter | None = None,
    batch_size: int = 8,
) -> Page:
    """The same for an 8-bit RGB image; for one that was scaled down when it was opened in pixels of what it was."""
    recognizer = recognizer or load_recognizer()
    if layout is None:
        layout = Page("", image.width, image.height, (segmenter or default_segmenter())(image))
    layout = in_pixels(layout, image)
    grey = image.convert("L")
    lines = layout.lines
    cuts: deque[tuple[int, LineCut]] = deque()

    def images() -> Iterator[Image.Image]:
        """Cuts lines out while they are read: each may be as large as the page."""
        for index, line in enumerate(lines):
            try:
                cut = cut_line(grey, line.polygon, line.baseline)
            except InputError as error:
                lines[index] = replace(line, error=line.error or str(error))
                continue
            if has_ink(cut.image):
                cuts.append((index, replace(cut, image=EMPTY)))
                yield cut.image
            else:
                lines[index] = replace(line, without_ink=True, score=None if line.text.strip() else 0.0)

    for reading in recognizer.read(images(), batch_size, pages=repeat(None)):  # all of this one
        index, cut = cuts.popleft()
        lines[index] = with_reading(lines[index], cut, reading)
    width, height = full_size(image)
    page = replace(layout.with_lines(lines), width=width, height=height, provenance=recognizer.provenance)
    if (width, height) != image.size:
        page = scaled(page, width / image.width, height / image.height)
    return with_expected_cer(page, recognizer.calibration)


def with_reading(line: PageLine, cut: LineCut, reading: LineReading) -> PageLine:
    """A line with what was read in its cut, and its words on the page."""
    return replace(
        line,
        text=reading.text,
        score=reading.score,
        words=_words(reading, cut),
        characters=list(reading.characters),
        error=None,
        confidence=reading.confidence,
        without_ink=False,
    )


def with_expected_cer(page: Page, calibration: Calibration | None) -> Page:
    """A page with the CER to expect of its lines, if what read them is calibrated, and any were read."""
    lines = [line.confidence for line in page.lines if line.confidence is not None]
    expected = calibration.expected_cer(lines) if calibration is not None and lines else None
    return replace(page, expected_cer=expected)


def _words(reading: LineReading, cut: LineCut) -> list[Word]:
    """Words with their polygons. CTC sees a letter in few columns, so a word reaches on, but not to its neighbours."""
    if not reading.words:
        return []
    reach = cut.width / len(reading.characters) / 2
    ends = [-reach, *(word.end for word in reading.words)]
    starts = [*(word.start for word in reading.words), cut.width + reach]
    borders = [(end + start) / 2 for end, start in zip(ends, starts, strict=True)]
    words = []
    for word, left, right in zip(reading.words, borders[:-1], borders[1:], strict=True):
        outline = cut.to_page(max(left, word.start - reach), min(right, word.end + reach))
        words.append(Word(word.char, word.score, outline))
    return words


def corrected(line: PageLine, text: str, cut: LineCut) -> PageLine:
    """A line with the text that a person gave it: certain, its characters spread evenly over where it was read."""
    start = line.characters[0].start if line.characters else 0.0
    end = line.characters[-1].end if line.characters else float(cut.width)
    step = (end - start) / max(1, len(text))
    places = [start + step * index for index in range(len(text))]
    characters = tuple(Character(char, 1.0, place, place + step) for char, place in zip(text, places, strict=True))
    return with_reading(line, cut, LineReading(text, 1.0, characters, certain(text)))
