"""Pages of a long document that are read already, kept until all of it is written."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from htr_convtext.documents.page import Page, PageLine, Region, Word
from htr_convtext.reading import Character
from htr_convtext.whole_files import write_whole


class KeptPages:
    """
    A folder beside an output file, called as it with `.pages`, with a JSON file for each page that was read.

    Args:
        model, decoder: What reads the pages; one that others read is not taken.
    """

    def __init__(self, target: Path, model: str | None, decoder: str = "greedy"):
        self.target = target
        self.folder = target.with_name(target.name + ".pages")
        self.reader = {"model": model, "decoder": decoder}

    def get(self, number: int, newer_than: Path) -> Page | None:
        """The page of this number, unless another reader read it, or `newer_than`, its document, has changed."""
        file = self._file(number)
        if not file.exists() or file.stat().st_mtime < newer_than.stat().st_mtime:
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        page = content.pop("page")
        return page_from_dict(page) if {"decoder": "greedy"} | content == self.reader else None

    def put(self, page: Page) -> None:
        content = {**self.reader, "page": asdict(replace(page, source=None))}
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
        return PageLine(**with_points(values) | {"words": words, "characters": characters})

    regions = [
        Region(**with_points(region) | {"lines": list(map(line, region["lines"]))}) for region in page["regions"]
    ]
    return Page(**page | {"regions": regions})
