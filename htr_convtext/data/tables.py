"""Lines from tables of image names and texts: with tabs, CSV, JSON Lines, Parquet. Every cell is read as text."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from htr_convtext.errors import InputError
from htr_convtext.folder_files import opened_file
from htr_convtext.xml_characters import drop_unwritable

from .columns import KNOWN_COLUMNS, find_column, refuse_other_than_text
from .items import LineItems
from .lists import image_finder, read_rows


FILE_COLUMNS = (
    "file_name", "filename", "file", "path", "image_path", "img_path", "image_file", "image_file_name",
)  # fmt: skip
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # of an image folder of `datasets`
# A row by its columns, or why there is none.
Row = dict[str, str | None] | str


def read_tables(
    files: list[Path],
    image_root: str | os.PathLike | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
) -> LineItems:
    """
    The lines of tables: image name and text, or more columns under a header.

    All is text as it stands in the file: `null`, `0012`, `True`, `1848-03-05`. `datasets` guesses at types, and makes
    missing values, numbers and dates of these.

    Args:
        files: `.csv`, `.jsonl`, `.parquet`, or with tabs, which have no quoting and may do without a header.
        image_root: Folder of the images; by default they are looked for beside the table and in the folders there.
        image_column: Its header; by default found by its name, as that of `text_column`.

    Raises:
        InputError: names the file that is not UTF-8, damaged or has not the columns.
    """
    found = LineItems([])
    for file in files:
        _read_table(file, found, image_root, image_column, text_column)
    for item in found.items:
        item.update({name: item.get(name) for name in found.columns})
    return found


def read_table(file: Path, **options) -> LineItems:
    """As `read_tables`, of one file."""
    return read_tables([file], **options)


def _read_table(
    file: Path,
    found: LineItems,
    image_root: str | os.PathLike | None,
    image_column: str | None,
    text_column: str | None,
) -> None:
    """Adds the lines of a table to `found`."""
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}.get(file.suffix.lower())
    read = read or partial(_tab_rows, has_header=bool(image_column or text_column))
    try:
        rows = list(read(file))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: the table is not UTF-8; save it as UTF-8. ({error})") from None
    columns = list(dict.fromkeys(chain.from_iterable(row for _, row in rows if isinstance(row, dict))))
    if columns:
        image_column = find_column("image", columns, image_column, str(file), more_names=FILE_COLUMNS)
        text_column = find_column("text", columns, text_column, str(file))
    others = [name for name in columns if name not in (image_column, text_column, "image", "text")]
    found.columns += [name for name in others if name not in found.columns]
    find_image = image_finder(file, image_root)
    for number, row in rows:
        place = f"{file.name}:{number}"
        if isinstance(row, str):
            found.skipped.append((place, row))
            continue
        name = row.get(image_column)
        name = name.strip() if isinstance(name, str) else ""
        image = find_image(name)
        if image is None:
            found.skipped.append((name, "no such image") if name else (place, "no image name"))
            continue
        text = row.get(text_column)
        if text is not None and not isinstance(text, str):
            found.skipped.append((place, f"{text_column!r} holds more than a text"))
            continue
        line = {"image": {"bytes": None, "path": str(image)}, "text": drop_unwritable(text or "", found.dropped)}
        found.items.append({**line, **{name: _cell(row.get(name)) for name in others}})


def _cell(value: object) -> str | None:
    """The text of a cell beside the line: what JSON nests stays JSON."""
    if value is None:
        return None
    return drop_unwritable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _tab_rows(file: Path, has_header: bool) -> Iterator[tuple[int, Row]]:
    """The rows of a table with tabs; the first is a header if it names images and texts, or `has_header`."""
    rows = [(number, row.split("\t")) for number, row in read_rows(file)]
    if not rows:
        return
    if all(len(cells) == 1 for _, cells in rows):
        raise InputError(f"{file}: no tab between image name and text.")
    header = [name.strip() for name in rows[0][1]]
    names = {name.lower() for name in header}
    if has_header or (names & {*KNOWN_COLUMNS["image"], *FILE_COLUMNS} and names & {*KNOWN_COLUMNS["text"]}):
        yield from _by_columns(file, header, rows[1:])
    else:
        yield from _by_columns(file, ["image", "text"], rows)


def _csv_rows(file: Path) -> Iterator[tuple[int, Row]]:
    with opened_file(file) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, strict=True)
        try:
            rows = ((reader.line_num, row) for row in reader if row)
            _, header = next(rows, (0, []))
            yield from _by_columns(file, [name.strip() for name in header], rows)
        except csv.Error as error:
            raise InputError(
                f"{file}:{reader.line_num}: not CSV ({error}); a text with quotes stands in quotes and doubles them."
            ) from None


def _by_columns(file: Path, header: list[str], rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, Row]]:
    if len(set(header)) < len(header):
        raise InputError(f"{file}: two columns have one name: {', '.join(header)}.")
    for number, cells in rows:
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        else:
            yield number, f"not {len(header)} columns"


def _json_rows(file: Path) -> Iterator[tuple[int, Row]]:
    for number, row in read_rows(file):
        try:
            # Numbers as they are written: 0.10, 12345678901234567890.
            values = json.loads(row, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            yield number, "not JSON"
            continue
        if not isinstance(values, dict):
            yield number, "not a JSON object"
            continue
        yield number, {name: str(cell).lower() if isinstance(cell, bool) else cell for name, cell in values.items()}


def _parquet_rows(file: Path) -> Iterator[tuple[int, Row]]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file}: damaged, or not Parquet. ({error})") from None
    columns = {}
    for name in table.column_names:
        if name.lower() in KNOWN_COLUMNS["text"]:
            refuse_other_than_text(table.schema.field(name).type, name, str(file))
        try:
            columns[name] = table.column(name).cast(pa.string()).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            continue  # nothing that has a text
    for number, cells in enumerate(zip(*columns.values(), strict=True), 1):
        yield number, dict(zip(columns, cells, strict=True))
