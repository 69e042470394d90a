"""What is to be said of all pages that were read: how well that is expected to be, and which to check first."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from htr_convtext.documents.page import Page
from processing.confidence import Calibration, ExpectedCER, LineConfidence


@dataclass(frozen=True)
class PageToCheck:
    """
    A page without ground truth.

    Attributes:
        errors: Character errors to expect in it.
        cer: The CER to expect, with its bounds.
    """

    name: str
    errors: float
    cer: ExpectedCER


class ReadingSummary:
    """
    Collects pages as they are read.

    Args:
        calibration: Of what reads them; without one nothing is expected.

    Attributes:
        empty: Lines that were read as nothing.
        without_ink: Lines in which there was nothing to read.
    """

    def __init__(self, calibration: Calibration | None):
        self.calibration = calibration
        self.empty = 0
        self.without_ink = 0
        self._lines: list[LineConfidence] = []
        self._pages: list[Hashable] = []
        self._to_check: list[PageToCheck] = []

    def add(self, name: str, page: Page) -> None:
        """
        Args:
            name: Tells it apart from all others.
        """
        self.empty += sum(line.was_read_as_nothing and not line.without_ink for line in page.lines)
        self.without_ink += sum(line.without_ink for line in page.lines)
        if page.expected_cer is None:
            return
        # Without the characters: there may be very many lines.
        found = [replace(each.confidence, characters=(), words=()) for each in page.lines if each.confidence]
        self._lines += found
        self._pages += [name] * len(found)
        self._to_check.append(PageToCheck(name, sum(line.errors for line in found), page.expected_cer))

    @property
    def expected_cer(self) -> ExpectedCER | None:
        """The CER to expect of all lines together."""
        if self.calibration is None or not self._lines:
            return None
        return self.calibration.expected_cer(self._lines, self._pages)

    def to_check(self) -> list[PageToCheck]:
        """The pages, those first in which most errors are expected."""
        return sorted(self._to_check, key=lambda page: -page.errors)

    def sentences(self, pages: int = 5) -> list[str]:
        """
        What to say of it to a person; empty if there is nothing.

        Args:
            pages: How many pages to name at most.
        """
        said = []
        if self.empty:
            said.append(f"{self.empty} {'line' if self.empty == 1 else 'lines'} read as nothing.")
        if self.without_ink:
            lines = "line" if self.without_ink == 1 else "lines"
            said.append(f"{self.without_ink} {lines} without ink, not read; the text that was there is kept.")
        expected = self.expected_cer
        if expected is not None:
            said.append(f"expected CER {cer_with_bounds(expected)}.")
        if len(self._to_check) > 1:
            worst = self.to_check()[:pages]
            named = [f"{page.name} ({page.errors:.0f} errors, CER {100 * page.cer.cer:.1f} %)" for page in worst]
            said.append(f"check first, for most errors are expected there: {'; '.join(named)}.")
        return said


def cer_with_bounds(expected: ExpectedCER) -> str:
    """For people: `8.3 % (90 % interval 5.9 to 11.6 %)`."""
    low, high = 100 * expected.low, 100 * expected.high
    return f"{100 * expected.cer:.1f} % ({100 * expected.level:.0f} % interval {low:.1f} to {high:.1f} %)"
