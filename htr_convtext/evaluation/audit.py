"""Looking for wrong transcriptions: lines ranked by how little their texts fit their images; a page of the worst."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

from datasets import Dataset
from PIL import Image

from htr_convtext.recognizer import Recognizer
from htr_convtext.text_alignment import TOO_LONG, UNREADABLE, AlignedLine, align_lines, check_frames
from htr_convtext.whole_files import write_whole
from processing.images import full_size, open_image

from .alignment import Piece, differences, edits
from .report import image_uri, write_page
from .tables import align_columns


# Measured with the bundled model on 16 sets, with faults put into them: 97 % of the lines with their neighbour's text
# are above the first, 92 % of those without their last third above the second; of the lines as they were 0.1 and 1.4 %.
ANOTHER_LINE, DOUBTFUL = 1.0, 0.4
OTHER_TEXT = 0.6  # a character error rate
LARGEST_SHARE = 2 / 3


@dataclass(frozen=True)
class AuditedLine:
    """
    What speaks for and against the transcription of a line.

    Attributes:
        source, split, index, name, page: Which line: its row in that split of the source as it was given.
        reason: What kind of difference there is, in words.
        misfit, score, reading, reading_score, unknown: Of `AlignedLine`; `score` is that of the transcription.
        stretch: The pixel columns of the image where the transcription fits least.
        width: Of the image as it is stored, in pixels; 0 if it cannot be read.
    """

    source: str
    split: str
    index: int
    name: str | None
    page: str | None
    transcription: str
    reading: str
    reason: str
    misfit: float | None
    score: float | None
    reading_score: float
    unknown: str
    stretch: tuple[float, float] | None
    width: int

    @cached_property
    def pieces(self) -> list[Piece]:
        """Where reading and transcription differ."""
        return differences([self.transcription], [self.reading])[0]


def audit(
    recognizer: Recognizer,
    sets: Mapping[tuple[str, str], Dataset],
    batch_size: int = 16,
    on_line: Callable[[AuditedLine], None] | None = None,
) -> list[AuditedLine]:
    """
    All lines, those first whose transcription fits their image least.

    First come the texts that have more characters than the image has frames, then the others by their misfit, last the
    images that cannot be read. Characters that the model does not know are left out, and named.

    Args:
        recognizer: With a model that reads by CTC over frames.
        sets: Of `load_splits`.
        on_line: Is called with each line as soon as it is there.

    Raises:
        InputError: if the model reads otherwise.
    """
    check_frames(recognizer)
    audited = []
    for (source, split), lines in sets.items():
        pairs = ((row["image"], row["text"]) for row in lines)
        for index, (row, line) in enumerate(zip(lines, align_lines(recognizer, pairs, batch_size), strict=True)):
            audited.append(_audited(source, split, index, row, line))
            if on_line:
                on_line(audited[-1])
    first = {TOO_LONG: 0, UNREADABLE: 2}
    return sorted(audited, key=lambda line: (first.get(line.reason, 1), -(line.misfit or 0.0)))


def _audited(source: str, split: str, index: int, row: Mapping, line: AlignedLine) -> AuditedLine:
    page = row.get("page")
    return AuditedLine(
        source=source,
        split=split,
        index=index,
        name=row["image"]["path"],
        page=None if page in (None, "") else str(page),
        transcription=line.text,
        reading=line.reading,
        reason=line.error or reason_of(line.text, line.reading),
        misfit=line.misfit,
        score=None if line.error else line.score,
        reading_score=line.reading_score,
        unknown=line.unknown,
        stretch=line.stretch,
        width=full_size(line.image)[0] if line.image else 0,
    )


def reason_of(transcription: str, reading: str) -> str:
    """How a reading differs from the transcription, in words."""
    if transcription == reading:
        return "agrees"
    if not transcription:
        return "no transcription"
    if not reading:
        return "nothing read"
    counts = edits(differences([transcription], [reading])[0])
    total = sum(counts.values())
    if total >= OTHER_TEXT * len(transcription):
        return "text is not transcribed" if counts["insertions"] > LARGEST_SHARE * total else "another text"
    if counts["insertions"] > LARGEST_SHARE * total:
        return "text is not transcribed"
    if counts["deletions"] > LARGEST_SHARE * total:
        return "text is not in the image"
    return "differs"


def write_audit(
    audited: list[AuditedLine],
    sets: Mapping[tuple[str, str], Dataset],
    folder: str | os.PathLike,
    model: str = "bundled",
    worst: int = 100,
) -> None:
    """
    Writes `audit.jsonl`, a row for each line in their order, and `audit.html`, a page that shows the worst.

    Args:
        audited, sets: Of `audit` and `load_splits`.
        model: What read, for the page.
        worst: How many lines the page shows.
    """
    folder = Path(folder)
    rows = ({"rank": rank, **asdict(line)} for rank, line in enumerate(audited, 1))
    write_whole(folder / "audit.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    unreadable = [line for line in audited if line.reason == UNREADABLE]
    shown = [
        {"line": line, "image": image_uri(partial(_image_of, sets, line))}
        for line in audited[: min(worst, len(audited) - len(unreadable))]
    ]
    write_page(
        "audit.html", folder / "audit.html", model=model, counts=_counts(audited), shown=shown, unreadable=unreadable,
        lines=len(audited), another=ANOTHER_LINE, doubtful=DOUBTFUL,
    )  # fmt: skip


def _image_of(sets: Mapping[tuple[str, str], Dataset], line: AuditedLine) -> Image.Image:
    return open_image(sets[line.source, line.split][line.index]["image"])


def _counts(audited: Iterable[AuditedLine]) -> dict[tuple[str, str], Counter]:
    """By source and split."""
    counts: dict[tuple[str, str], Counter] = {}
    for line in audited:
        found = counts.setdefault((line.source, line.split), Counter())
        found["lines"] += 1
        found[line.reason] += 1
        found["unknown"] += bool(line.unknown)
        if line.misfit is not None:
            found["another"] += line.misfit > ANOTHER_LINE
            found["doubtful"] += DOUBTFUL < line.misfit <= ANOTHER_LINE
    return counts


def summary_of(audited: list[AuditedLine], worst: int = 10) -> str:
    """A few lines for the terminal: counts of each split, and the first of the lines to look at."""
    header = ["", "split", "lines", f"misfit > {ANOTHER_LINE:g}", f"> {DOUBTFUL:g}", TOO_LONG, UNREADABLE]
    names = ("lines", "another", "doubtful", TOO_LONG, UNREADABLE)
    rows = [[*where, *(str(found[name]) for name in names)] for where, found in sorted(_counts(audited).items())]
    parts = [align_columns([header, *rows], left=2)]
    for line in [line for line in audited if line.reason == TOO_LONG or (line.misfit or 0) > DOUBTFUL][:worst]:
        misfit = "" if line.misfit is None else f"{line.misfit:.2f}"
        where = f"{line.source}, {line.split} {line.index}" + (f" ({line.name})" if line.name else "")
        parts.append(
            f"{misfit:>6}  {where}: {line.reason}\n        text: {line.transcription}\n        read: {line.reading}"
        )
    return "\n".join(parts)
