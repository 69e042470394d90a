"""The words of lines: cut where a model sees the spaces of the ground truth."""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from tqdm import tqdm

from processing.images import full_size

from .data import DataReport, load_lines
from .data.preparation import new_folder, write_data_set
from .errors import InputError
from .reading import Character
from .recognizer import Recognizer
from .text_alignment import align_lines, check_frames


COLUMNS = ("text", "source", "page", "writer", "line")
MIN_SCORE = 0.5


def cut_words(
    recognizer: Recognizer,
    sources: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    min_score: float = MIN_SCORE,
    batch_size: int = 16,
) -> DataReport:
    """
    Writes the words of all lines of some data sets as a data set, the splits as they were.

    The ground truth of a line is aligned with what the model sees; between the last character before a space and the
    first one after it the line is cut at the column with the least ink. Lines are left out, and counted in the report,
    if the model does not know a character of theirs, has fewer frames than characters, or sees something else: if the
    mean probability of their characters is below `min_score`.

    Args:
        recognizer: With a model that reads by CTC over frames.
        output: A folder without Parquet files, written as `prepare_lines` writes it; the column `line` has the name of
            the image of the line.

    Raises:
        InputError: names the source or folder that cannot be used, or says that the model reads otherwise.
    """
    check_frames(recognizer)
    output, sources = new_folder(output), list(sources)
    policy = recognizer.text_policy
    report = DataReport()
    report.notes = [
        f"Words of the lines of {', '.join(map(str, sources))}, cut by {recognizer.source or 'a model'}",
        f"Texts: {policy}",
    ]
    parts: dict[str, list[Dataset]] = {}
    features = Features({"image": Image(decode=False), **dict.fromkeys(COLUMNS, Value("string"))})
    for source in sources:
        skipped: list[tuple[str, str, str]] = []
        unreadable: dict[Path, str] = {}
        data = load_lines(source, skipped=skipped, unreadable=unreadable, dropped=report.dropped_characters)
        for path, reason in unreadable.items():
            report.leave_out(str(path), reason, is_unreadable=True)
        for split, name, reason in skipped:
            report.leave_out(f"{source}, {split}: {name}", reason)
        for split, lines in data.items():
            rows = list(_words_of(recognizer, lines, min_score, batch_size, f"{source}, {split}", report))
            if rows:
                parts.setdefault(split, []).append(Dataset.from_list(rows, features=features))
    if not parts:
        reasons = "; ".join(f"{len(names)} × {reason}" for reason, names in report.left_out.items())
        raise InputError(f"No line of {', '.join(map(str, sources))} could be cut: {reasons}.")
    write_data_set(parts, output, report, policy)
    return report


def _words_of(
    recognizer: Recognizer, lines: Dataset, min_score: float, batch_size: int, where: str, report: DataReport
) -> Iterator[dict[str, Any]]:
    """The rows of the words of lines; notes in the report the lines that have none."""
    rows = tqdm(lines, desc=where, unit="line", file=sys.stderr, disable=None)
    aligned = align_lines(recognizer, ((row["image"], row["text"]) for row in lines), batch_size)
    for index, (row, line) in enumerate(zip(rows, aligned, strict=True)):
        name = f"{where}: {os.path.basename(row['image']['path'] or f'line {index}')}"
        if line.unknown:  # words would lack letters that are in their images
            report.leave_out(name, "unknown character")
        elif line.error:
            report.leave_out(name, line.error)
        elif not line.text:
            report.leave_out(name, "empty text")
        elif line.score < min_score:
            report.leave_out(name, f"score below {min_score}")
        else:
            yield from _rows(row, line.image, line.characters)


def _rows(row: Mapping[str, Any], image: PILImage.Image, characters: Sequence[Character]) -> Iterator[dict[str, Any]]:
    """The words of a line as rows of a data set."""
    facts = {name: row.get(name) for name in ("source", "page", "writer")}
    facts = {name: None if value is None else str(value) for name, value in facts.items()}
    line = os.path.basename(row["image"]["path"] or "") or None
    for number, (text, start, end) in enumerate(find_words(image, characters)):
        stream = io.BytesIO()
        image.crop((start, 0, end, image.height)).save(stream, "PNG")
        name = f"{os.path.splitext(line or 'line')[0]}-{number:02d}.png"
        yield {"image": {"bytes": stream.getvalue(), "path": name}, "text": text, "line": line, **facts}


def find_words(image: PILImage.Image, characters: Sequence[Character]) -> list[tuple[str, int, int]]:
    """
    The words of a line, each with its first pixel column and the one after its last.

    Args:
        characters: Of the line in their order, with the columns where the model sees it, of the image before it was
            scaled down when it was opened.
    """
    scale = image.width / full_size(image)[0]
    characters = [replace(each, start=each.start * scale, end=each.end * scale) for each in characters]
    ink = 255.0 - np.asarray(image, dtype=float).mean(0)
    margin = image.height // 2
    words, word, start = [], [], 0
    for index, character in enumerate(characters):
        if character.char != " ":
            if not word:
                start = max(start, int(character.start) - margin)
            word.append(character)
            continue
        if word:
            following = next((each for each in characters[index:] if each.char != " "), None)
            end = image.width if following is None else int(following.start)
            cut = _least_ink(ink, int(word[-1].end), end)
            words.append(("".join(each.char for each in word), start, min(cut, int(word[-1].end) + margin)))
            word, start = [], cut
    if word:
        end = min(image.width, int(word[-1].end) + margin)
        words.append(("".join(each.char for each in word), start, end))
    return [(text, start, end) for text, start, end in words if end > start]


def _least_ink(ink: np.ndarray, start: int, end: int) -> int:
    """The column between two others with the least ink, of several the one nearest to the middle."""
    columns = np.arange(min(start, end), max(start, end) + 1).clip(0, len(ink) - 1)
    return int(min(columns, key=lambda column: (ink[column], abs(column - (start + end) / 2))))
