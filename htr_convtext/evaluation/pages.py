"""Measuring pages: whether lines are found, and how well the text of a page is read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from htr_convtext.documents import Document, Page, PageImages, PageLine, in_pixels, read_page
from htr_convtext.errors import InputError
from htr_convtext.reading import LineReader
from htr_convtext.transcription import transcribe_image

from .metrics import count_lines
from .tables import align_columns


MATCH = 0.5
HEADER = ["", "lines", "detected", "recall %", "precision %", "page CER %", "found lines CER %", "given lines CER %"]


@dataclass(frozen=True)
class PageMeasure:
    """
    Lines and characters of a page, or sums over pages.

    Attributes:
        lines: Lines of the ground truth.
        detected: Lines that were detected, right or not.
        matched: Pairs of the two whose polygons share at least half of their union.
        characters, errors: Of the whole text, in reading order; text that the ground truth leaves out is an error.
        matched_characters, matched_errors: Of the matched lines alone.
        given_errors: Of all lines, where the lines of the ground truth are read.
        without_text: Lines that the ground truth marks without a transcription. They are left out, as is what was
            detected in their place.
    """

    lines: int
    detected: int
    matched: int
    characters: int
    errors: int
    matched_characters: int
    matched_errors: int
    given_errors: int
    without_text: int = 0

    def __add__(self, other: "PageMeasure") -> "PageMeasure":
        return PageMeasure(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def recall(self) -> float:
        return self.matched / max(1, self.lines)

    @property
    def precision(self) -> float:
        return self.matched / max(1, self.detected)

    @property
    def cer(self) -> float:
        return self.errors / max(1, self.characters)

    @property
    def matched_cer(self) -> float:
        return self.matched_errors / max(1, self.matched_characters)

    @property
    def given_cer(self) -> float:
        return self.given_errors / max(1, self.characters)


def match_lines(truth: list[PageLine], found: list[PageLine]) -> list[tuple[PageLine, PageLine]]:
    """The pairs, one to one, whose polygons overlap most, of an intersection over union of at least 0.5."""
    from shapely import Polygon, area, intersection, make_valid

    if not truth or not found:
        return []
    # Three corners at least are asked of a polygon; one with less has no area to share.
    ours, theirs = (
        [make_valid(Polygon(line.polygon if len(line.polygon) > 2 else [])) for line in lines]
        for lines in (truth, found)
    )
    common = area(intersection(np.array(ours)[:, None], np.array(theirs)[None]))
    overlap = common / (area(ours)[:, None] + area(theirs)[None] - common).clip(min=1e-9)
    pairs = zip(*linear_sum_assignment(-overlap), strict=True)
    return [(truth[i], found[j]) for i, j in pairs if overlap[i, j] >= MATCH]


def measure_page(truth: Page, found: Page, given: Page, normalize: Callable[[str], str]) -> PageMeasure:
    """
    Compares a page with its ground truth.

    Args:
        truth: The ground truth, in the pixels of the others; of its lines those with a polygon and text count.
        found: The page as `transcribe` reads it.
        given: The same with the lines of `truth`.
        normalize: What all texts go through, a `TextPolicy`.
    """
    marked = [line for line in truth.lines if line.polygon]
    lines = [line for line in marked if normalize(line.text).strip()]
    pairs = match_lines(marked, found.lines)
    of_unknown_text = {id(line) for true, line in pairs if not normalize(true.text).strip()}
    detected = [line for line in found.lines if id(line) not in of_unknown_text]
    pairs = [pair for pair in pairs if id(pair[1]) not in of_unknown_text]
    read = {line.id: "" if line.error else line.text for line in given.lines}

    def count(references: list[str], predictions: list[str]) -> tuple[int, int]:
        counts = count_lines([*map(normalize, references)], [*map(normalize, predictions)]).sum()
        return int(counts["characters"]), int(counts["character_errors"])

    def join(texts: Iterable[str]) -> str:
        return " ".join(filter(None, texts))

    text = join(line.text for line in lines)
    characters, errors = count([text], [join(line.text for line in detected)])
    matched = count([a.text for a, _ in pairs], [b.text for _, b in pairs]) if pairs else (0, 0)
    _, given_errors = count([text], [join(read[line.id] for line in lines)])
    left_out = len(marked) - len(lines)
    return PageMeasure(len(lines), len(detected), len(pairs), characters, errors, *matched, given_errors, left_out)


def measure_documents(
    documents: Iterable[Document], recognizer: LineReader, batch_size: int = 8
) -> tuple[dict[str, PageMeasure], list[str]]:
    """
    Reads pages with ground truth, with lines that are found and with those of the ground truth, and compares them.

    Args:
        documents: From `find_documents`. What has no ground truth is left out.

    Returns:
        The measures by the names of the pages, and why others were left out.

    Raises:
        InputError: if what finds lines is not installed.
    """
    policy = recognizer.text_policy
    measures: dict[str, PageMeasure] = {}
    left_out: list[str] = []
    for document in documents:
        document, truth = _read_truth(document, left_out)
        if truth is None:
            continue
        try:
            image = PageImages(document.image)[0]
            truth = in_pixels(truth, image)
            found, given = (
                transcribe_image(image, recognizer, layout, batch_size=batch_size) for layout in (None, truth)
            )
        except (InputError, OSError) as error:
            left_out.append(f"{document.layout}: {error}")
        except ModuleNotFoundError as error:
            raise InputError(str(error)) from None
        else:
            name = str(document.layout if str(document.name) in measures else document.name)
            measures[name] = measure_page(truth, found, given, policy)
    return measures, left_out


def _read_truth(document: Document, left_out: list[str]) -> tuple[Document, Page | None]:
    """The ground truth of a document, or of what stands in for it; why there is none is added to `left_out`."""
    while document.layout:
        try:
            return document, read_page(document.layout)
        except (InputError, OSError) as error:
            left_out.append(str(error))
        if document.instead is None:
            return document, None
        document = document.instead
    left_out.append(f"{document.image}: no ground truth")
    return document, None


def page_table(measures: Mapping[str, PageMeasure]) -> str:
    """A row a page, and one for all of them."""

    def row(name: str, page: PageMeasure) -> list[str]:
        shares = (page.recall, page.precision, page.cer, page.matched_cer, page.given_cer)
        return [name, str(page.lines), str(page.detected), *(f"{100 * share:.1f}" for share in shares)]

    first, *others = measures.values()
    rows = [*(row(name, page) for name, page in measures.items()), row("all", sum(others, first))]
    return align_columns([HEADER, *rows], left=1)
