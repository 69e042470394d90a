"""What a model reads on lines with ground truth."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from datasets import Dataset

from htr_convtext.data import TextPolicy, load_lines
from htr_convtext.data.lines import transcribed_rows
from htr_convtext.errors import InputError
from htr_convtext.reading import LineReader
from processing.confidence import LineConfidence

from .alignment import Piece, differences


@dataclass(frozen=True)
class Prediction:
    """
    Ground truth and reading of one line, both through the same text policy.

    `source` and `index`, the name of the set and the row in it, tell which line it is. An unreadable image is read as
    nothing, with a score of 0 and the `error`. `greedy` is what `LineReading.greedy` is, and `confidence` likewise, but
    without its characters and words.
    """

    source: str
    index: int
    name: str | None
    reference: str
    text: str
    score: float
    page: str | None = None
    writer: str | None = None
    error: str | None = None
    greedy: str | None = None
    confidence: LineConfidence | None = None

    @cached_property
    def pieces(self) -> list[Piece]:
        """Where reading and ground truth differ. All that shows it takes it from here: to align takes time."""
        return differences([self.reference], [self.text])[0]

    def to_json(self) -> str:
        """One line of `predictions.jsonl`."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def load_sets(sources: Iterable[str | os.PathLike], split: str) -> dict[str, Dataset | None]:
    """
    The lines of one split of each source under the names of their sets, as their column `source` has them.

    Prepared data may hold several sets. Where a name is taken, the whole path of the source stands before it. A source
    without lines in that split is `None`, under its path.

    Raises:
        InputError: names the source that cannot be read, or is given twice.
    """
    sets, seen = {}, set()
    for source in map(str, sources):
        if source in seen:
            raise InputError(f"{source} is given twice.")
        seen.add(source)
        lines = load_lines(source, split)
        names = lines["source"] if lines else []
        found = {
            name: lines.select([index for index, other in enumerate(names) if other == name])
            for name in dict.fromkeys(names)
        }
        for name, part in (found or {source: None}).items():
            sets[f"{source}: {name}" if name in sets else name] = part
    return sets


def predict_lines(
    recognizer: LineReader, source: str, lines: Dataset, policy: TextPolicy, batch_size: int = 16
) -> Iterator[Prediction]:
    """
    Reads `lines` (columns `image`, not decoded, and `text`; `page` and `writer` if known) in their order.

    `index` of a prediction is the row of its line. Lines without a transcription are left out, with a warning.
    """
    rows = transcribed_rows(lines, policy, source)
    lines = lines.select(rows)
    pages = lines["page"] if "page" in lines.column_names else [None] * len(lines)
    pages = [index if page in (None, "") else str(page) for index, page in enumerate(pages)]
    readings = recognizer.read((line["image"] for line in lines), batch_size, pages)
    for index, line, reading in zip(rows, lines, readings, strict=True):
        page, writer = (line.get(column) for column in ("page", "writer"))
        yield Prediction(
            source=source,
            index=index,
            name=line["image"]["path"],
            reference=policy(line["text"]),
            text=policy(reading.text),
            score=reading.score,
            page=None if page in (None, "") else str(page),
            writer=None if writer in (None, "") else str(writer),
            error=reading.error,
            greedy=None if reading.greedy is None else policy(reading.greedy),
            confidence=reading.confidence and replace(reading.confidence, characters=(), words=()),
        )


def read_predictions(folder: str | os.PathLike) -> list[Prediction]:
    """
    The predictions that `evaluate` wrote to a folder.

    Raises:
        InputError: names the file if it is missing or a line of it is no prediction.
    """
    path = Path(folder) / "predictions.jsonl"
    try:
        rows = path.read_text(encoding="utf-8").split("\n")
        return [_from_json(row) for row in rows if row]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give folders written by evaluate with --output.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not predictions of evaluate, or an interrupted run. ({error})") from None


def _from_json(row: str) -> Prediction:
    values = json.loads(row)
    confidence = values.pop("confidence", None)  # of reports before it there is none
    return Prediction(**values, confidence=confidence and LineConfidence(**confidence))
