"""Any data sets of lines to one in Parquet, with a report."""

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage
from tqdm import tqdm

from htr_convtext.documents.ink import has_ink
from htr_convtext.errors import InputError
from htr_convtext.whole_files import whole_folder, write_whole
from processing.images import full_size, open_image

from .lines import BARRED, reason_against_image
from .report import DataReport
from .sources import load_lines
from .splitting import split_by_group
from .text_policy import TextPolicy


ROWS = 100  # of a row group: what is read at once
SHARD_BYTES = 500_000_000
# Where an image is in several splits, the first of these keeps it.
ORDER = ("test", "validation", "train")


def prepare_lines(
    sources: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    *,
    policy: TextPolicy | None = None,
    charset: str | None = None,
    split_by: str | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    max_height: int = 128,
    drop_duplicates: bool = False,
    **load_options,
) -> DataReport:
    """
    Writes the lines of all sources as `<split>-00000-of-0000N.parquet`, `text_policy.json`, `report.json` and
    `report.md`. Lines without text or ink and unreadable images are left out, and named in the report.

    Args:
        output: A folder without Parquet files; it is made if it does not exist.
        policy: How texts are written; by default `TextPolicy()`.
        charset: Characters to compare the texts with.
        split_by: A column (`"page"`, `"writer"`): sources that have only `train` are split apart by it.
        validation: Share of the lines for validation, with `split_by`.
        test: Share of the lines for test, with `split_by`.
        seed: Of that split.
        max_height: Higher images are scaled down to this and stored as grey PNG; the others stay as they are. In
            pixels; 0 leaves all as they are.
        drop_duplicates: Leave out an image that occurs before: test comes before validation, that before train.
        load_options: For `load_lines`.

    Raises:
        InputError: names the source that cannot be loaded or split, the folder that has Parquet files, or the height.
    """
    output, policy = new_folder(output), policy or TextPolicy()
    if max_height < 0:
        raise InputError(f"The images cannot be {max_height} pixels high; 0 leaves them as they are.")
    sources, report = list(sources), DataReport(charset)
    report.notes = [f"Sources: {', '.join(map(str, sources))}", f"Texts: {policy}"]
    parts: dict[str, list[Dataset]] = {}
    for source in sources:
        skipped: list[tuple[str, str, str]] = []
        unreadable: dict[Path, str] = {}
        data = load_lines(
            source, skipped=skipped, unreadable=unreadable, dropped=report.dropped_characters, **load_options
        )
        for path, reason in unreadable.items():
            report.leave_out(str(path), reason, is_unreadable=True)
        for split, name, reason in skipped:
            report.leave_out(f"{source}, {split}: {name}", reason)
        if split_by and set(data) == {"train"}:
            try:
                data = split_by_group(data["train"], split_by, validation, test, seed)
            except InputError as error:
                raise InputError(f"{source}: {error}") from None
            report.notes.append(f"{source}: splits made apart by {split_by}, seed {seed}")
        elif split_by:
            report.notes.append(f"{source}: has the splits {', '.join(data)} and keeps them")
        for split, lines in data.items():
            parts.setdefault(split, []).append(lines)
    write_data_set(parts, output, report, policy, max_height, drop_duplicates)
    return report


def new_folder(path: str | os.PathLike) -> Path:
    """The folder for a data set; an `InputError` if there are Parquet files in it."""
    path = Path(path)
    if next(path.glob("*.parquet"), None):
        raise InputError(f"{path}: there are Parquet files already; give another folder.")
    return path


def write_data_set(
    parts: Mapping[str, Sequence[Dataset]],
    output: Path,
    report: DataReport,
    policy: TextPolicy,
    max_height: int = 0,
    drop_duplicates: bool = False,
) -> None:
    """Checks the lines of each split, adds them to the report, and writes all that `prepare_lines` writes."""
    features = features_of(lines for split in parts.values() for lines in split)
    columns = {name for split in parts.values() for lines in split for name in lines.column_names}
    if columns - set(features):
        report.notes.append(f"Columns that are no plain values, left out: {', '.join(sorted(columns - set(features)))}")
    order = sorted(parts, key=lambda split: ORDER.index(split) if split in ORDER else 1)
    # The lines last: they are not to be trained on without the text policy that they were written by.
    with whole_folder(output, last=".parquet") as folder:
        for split in order:
            rows = prepared_rows(split, parts[split], report, policy, max_height, drop_duplicates)
            write_shards(rows, split, features, folder)
        report.splits = {split: report.splits[split] for split in reversed(order) if split in report.splits}
        policy.to_file(folder / "text_policy.json")
        write_whole(folder / "report.json", json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
        write_whole(folder / "report.md", report.as_markdown())


def features_of(parts: Iterable[Dataset]) -> Features:
    """
    The columns that every prepared data set has, and all columns of plain values of `parts`, as strings.

    They are written into the files: `load_dataset` makes images of the images.
    """
    columns = ["text", "source", "page", "writer"]
    for lines in parts:
        columns += [name for name, feature in lines.features.items() if isinstance(feature, Value)]
    sizes = {"width": Value("int32"), "height": Value("int32")}
    return Features({"image": Image(), **dict.fromkeys(columns, Value("string")), **sizes})


def prepared_rows(
    split: str,
    parts: Sequence[Dataset],
    report: DataReport,
    policy: TextPolicy,
    max_height: int,
    drop_duplicates: bool,
) -> Iterator[dict]:
    """Checks, rewrites and counts the lines of a split, and yields those that stay."""
    with tqdm(total=sum(map(len, parts)), desc=split, unit="line", file=sys.stderr, disable=None) as progress:
        for index, line in ((index, line) for lines in parts for index, line in enumerate(lines)):
            progress.update()
            name = f"{line['source']}, {split}: {os.path.basename(line['image']['path'] or f'line {index}')}"
            text = policy(line["text"])
            if not text.strip():
                report.leave_out(name, "empty text")
                continue
            try:
                image = open_image(line["image"])
            except InputError:
                reason = reason_against_image(line["image"])
                report.leave_out(name, reason, is_unreadable=reason in BARRED)
                continue
            if not has_ink(image):
                report.leave_out(name, "no ink in the image")
                continue
            if report.is_duplicate(split, name, image) and drop_duplicates:
                report.dropped_duplicates += 1
                continue
            content, width, height = stored_image(line["image"], image, max_height)
            report.changed_texts += text != line["text"]
            report.add(split, name, text, width, height)
            yield {**line, "image": content, "text": text, "width": width, "height": height}


def stored_image(image: dict, opened: PILImage.Image, max_height: int) -> tuple[dict, int, int]:
    """An image with its bytes, scaled down if it is too high; and its width and height in pixels, upright."""
    content, (width, height) = image["bytes"], full_size(opened)
    if max_height and height > max_height:
        width, height = max(1, round(width * max_height / height)), max_height
        buffer = io.BytesIO()
        opened.resize((width, height), PILImage.Resampling.LANCZOS).save(buffer, "PNG")
        content = buffer.getvalue()
    elif content is None:
        content = Path(image["path"]).read_bytes()
    name = os.path.basename(image["path"]) if image["path"] else None
    return {"bytes": content, "path": name}, width, height


def write_shards(rows: Iterator[dict], split: str, features: Features, folder: Path) -> None:
    """Writes rows as Parquet that `datasets` reads, some at a time, in files of about `SHARD_BYTES`."""
    schema = features.arrow_schema
    plain = [name for name, feature in features.items() if feature == Value("string")]
    files, writer, size = [], None, 0
    while batch := list(islice(rows, ROWS)):
        for row in batch:
            row.update({name: str(row[name]) for name in plain if row.get(name) is not None})
        if writer is None or size > SHARD_BYTES:
            if writer is not None:
                writer.close()
            files.append(folder / str(len(files)))
            writer, size = pq.ParquetWriter(files[-1], schema), 0
        table = pa.Table.from_pylist(batch, schema=schema)
        writer.write_table(table)
        size += table.nbytes
    if writer is not None:
        writer.close()
    for index, file in enumerate(files):
        file.rename(folder / f"{split}-{index:05d}-of-{len(files):05d}.parquet")
