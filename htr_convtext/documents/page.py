"""What is on a page: regions, lines, words and characters."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from htr_convtext.doubt import doubtful_parts
from htr_convtext.reading import Character, Provenance
from processing.confidence import ExpectedCER, LineConfidence

from .geometry import Points, bounding_box


@dataclass(frozen=True)
class Word:
    """
    A word, its polygon on the page, and the probability that it is right, if the model is calibrated, else the mean of
    the scores of its characters.
    """

    text: str
    score: float
    polygon: Points


@dataclass(frozen=True)
class PageLine:
    """
    A line of a page.

    Attributes:
        text: Empty if there is none.
        polygon, baseline: In the units of the page, or empty.
        score: The mean of the scores of the characters, 0 where there are none; `None` if the line was not read here.
        error: Why it could not be read, or its coordinates in a file.
        confidence: Of what was read, if the model is calibrated.
        without_ink: Whether nothing but paper was found where it is, so that it was not read. It keeps the text it had.
    """

    id: str
    text: str
    polygon: Points
    baseline: Points
    score: float | None = None
    words: list[Word] = field(default_factory=list)
    characters: list[Character] = field(default_factory=list)
    error: str | None = None
    confidence: LineConfidence | None = None
    without_ink: bool = False

    @property
    def certainty(self) -> float | None:
        """The probability that the whole line is right, if the model is calibrated, else the score."""
        return self.score if self.confidence is None else self.confidence.line

    @property
    def was_read_as_nothing(self) -> bool:
        """Whether a reader, not a person, found that it is empty."""
        return not self.text and self.certainty is not None and self.certainty < 1

    def doubtful_parts(self, min_confidence: float) -> list[tuple[int, int]]:
        """
        The words whose score is below `min_confidence`, by their first and end in the text; all of a line without words
        whose `certainty` is below it. See `doubtful_parts`.
        """
        if self.certainty is None:
            return []
        words = [(word.text, word.score) for word in self.words]
        return doubtful_parts(self.text, words, self.certainty, min_confidence)


@dataclass(frozen=True)
class Region:
    """A block of lines in reading order; its polygon may be empty."""

    id: str
    polygon: Points
    lines: list[PageLine]


@dataclass(frozen=True)
class Page:
    """
    A page, its regions in reading order.

    Attributes:
        image: File name without a folder, or empty.
        width, height: Of the image in the units of the polygons (pixels, or in ALTO also 1/10 mm or 1/1200 inch); 0
            where a file does not say.
        unit: What ALTO measures in; `"pixel"` for all pages in pixels, and for what is unknown.
        print_space: The outline of all parts of the page in ALTO, or empty.
        units: How many units of the file a pixel is, across and down, once `in_pixels` has changed them to pixels.
        notes: What is to be said about how the page was understood.
        number: Of the page in its file, from 1.
        format: That of the XML file it comes from; `None` if it was not read from one.
        source: What was in that file, which is written again with the new text.
        provenance: What read it here.
        expected_cer: Of the lines that were read, if that is calibrated.
    """

    image: str
    width: float
    height: float
    regions: list[Region]
    number: int = 1
    format: Literal["page", "alto"] | None = None
    source: bytes | None = field(default=None, repr=False, compare=False)
    provenance: Provenance | None = None
    expected_cer: ExpectedCER | None = None
    unit: str = "pixel"
    print_space: Points = field(default_factory=list)
    units: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[PageLine]:
        return [line for region in self.regions for line in region.lines]

    def with_lines(self, lines: Iterable[PageLine]) -> "Page":
        """The page with others in place of its `lines`, as many, in the same order."""
        new = iter(lines)
        regions = [replace(region, lines=[next(new) for _ in region.lines]) for region in self.regions]
        return replace(self, regions=regions)

    @property
    def text(self) -> str:
        """The text, a line each, an empty line between regions."""
        regions = ["\n".join(line.text for line in region.lines) for region in self.regions]
        return "\n\n".join(regions)

    @property
    def is_sideways(self) -> bool:
        """Whether most lines are far higher than wide, as on a page that was scanned on its side."""
        boxes = [bounding_box(line.polygon) for line in self.lines if line.polygon]
        tall = sum(bottom - top > 1.5 * (right - left) for left, top, right, bottom in boxes)
        return tall > max(1, len(boxes) / 2)
