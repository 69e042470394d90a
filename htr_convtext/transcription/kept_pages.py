"""Pages of a long document that are read already, kept until all of it is written."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from htr_convtext.documents.page import Page, PageLine, Region, Word
from htr_convtext.reading import Character, Provenance
from htr_convtext.whole_files import write_whole
from processing.confidence import ExpectedCER, LineConfidence


class KeptPages:
    """
    A folder beside an output file, called as it with `.pages`, with a JSON file for each page that was read.

    Args:
        provenance: What reads the pages; one that others read is not taken.
    """

    def __init__(self, target: Path, provenance: Provenance):
        self.target = target
        self.folder = target.with_name(target.name + ".pages")
        self.provenance = provenance

    def get(self, number: int, newer_than: Path) -> Page | None:
        """The page of this number, unless another reader read it, or `newer_than`, its document, has changed."""
        file = self._file(number)
        if not file.exists() or file.stat().st_mtime < newer_than.stat().st_mtime:
            return None
        page = json.loads(file.read_text(encoding="utf-8"))
        # One that an earlier version of this program kept says no `provenance` of its own.
        return page_from_dict(page) if page.get("provenance") == asdict(self.provenance) else None

    def put(self, page: Page) -> None:
        content = asdict(replace(page, source=None))
        write_whole(self._file(page.number), json.dumps(content, ensure_ascii=False).encode())

    def are_newer(self) -> bool:
        """Whether a page was read since the output was written, or that is not there."""
        written = self.target.stat().st_mtime_ns if self.target.exists() else 0
        return any(file.stat().st_mtime_ns > written for file in self.folder.glob("*.json"))

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04}.json"


def page_from_dict(page: dict) -> Page:
    """The inverse of `dataclasses.asdict`, also by way of JSON, which has no tuples."""

    def with_points(values: dict) -> dict:
        return values | {
            key: [tuple(point) for point in values[key]] for key in ("polygon", "baseline") if key in values
        }

    def line(values: dict) -> PageLine:
        words = [Word(**with_points(word)) for word in values["words"]]
        characters = [Character(**character) for character in values["characters"]]
        confidence = values["confidence"] and LineConfidence(
            **values["confidence"] | {name: tuple(values["confidence"][name]) for name in ("characters", "words")}
        )
        return PageLine(**with_points(values) | {"words": words, "characters": characters, "confidence": confidence})

    regions = [
        Region(**with_points(region) | {"lines": list(map(line, region["lines"]))}) for region in page["regions"]
    ]
    provenance = page["provenance"] and Provenance(**page["provenance"])
    expected = page["expected_cer"] and ExpectedCER(**page["expected_cer"])
    units = page["units"] and tuple(page["units"])
    return Page(**page | {"regions": regions, "provenance": provenance, "expected_cer": expected, "units": units})
