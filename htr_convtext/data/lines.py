"""Lines of handwriting as `datasets` objects with the columns `image` (not decoded), `text` and `source`."""

import io
import os
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from datasets import Dataset, Image, Value, concatenate_datasets, load_dataset
from PIL import Image as PILImage

from modeling_htr_convtext import HTRConvTextConfig
from processing import HTRConvTextProcessor, UnknownCharacterError
from processing.image_processing_htr_convtext import open_image


SPLITS = ("train", "validation", "test")


def load_lines(source: str | os.PathLike, split: str) -> Dataset | None:
    """
    Loads one split of a data set.

    Args:
        source: A folder of Parquet files (named by split, as `datasets` writes them); one Parquet file, whose split is
            in its name, or else `train`; or an image folder: one sub-folder for each split with the images and a
            `metadata.jsonl` or `metadata.csv` that has `file_name` and `text`.
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        The lines, or `None` if the data set has no such split. A missing text is empty.

    Raises:
        ValueError: names the source if it is missing, holds no lines or has no `image` or `text` column.
    """
    path = Path(source)
    if path.is_file() and path.suffix == ".parquet":
        named = next((name for name in SPLITS if name in path.stem.lower()), "train")
        kind, files = "parquet", {"data_files": {named: str(path)}}
    elif path.is_dir():
        kind, files = "parquet" if any(path.rglob("*.parquet")) else "imagefolder", {"data_dir": str(path)}
    else:
        raise ValueError(f"{source}: there is no such folder or Parquet file.")
    try:
        data = load_dataset(kind, **files)
    except Exception as error:  # `datasets` raises many kinds for folders it cannot read
        raise ValueError(f"{source}: no lines found; give Parquet files or images with metadata. ({error})") from None
    if split not in data:
        return None
    lines = data[split]
    missing = {"image", "text"} - set(lines.column_names)
    if missing:
        raise ValueError(
            f"{source}: the {split} split has no column {' and '.join(sorted(missing))} (it has "
            f"{', '.join(lines.column_names)}). An image folder needs metadata.jsonl with file_name and text."
        )
    lines = lines.cast_column("image", Image(decode=False)).cast_column("text", Value("string"))
    if None in lines["text"]:
        lines = lines.map(lambda line: {"text": line["text"] or ""})
    return lines.add_column("source", [path.stem if path.is_file() else path.name] * len(lines))


def load_sources(sources: Iterable[str | os.PathLike], split: str) -> Dataset:
    """
    The lines of several data sets in one, their columns cut down to `image`, `text` and `source`.

    Raises:
        ValueError: if none of the sources has the split.
    """
    parts = [load_lines(source, split) for source in sources]
    parts = [part.select_columns(["image", "text", "source"]) for part in parts if part is not None]
    if not parts:
        raise ValueError(f"None of the data sets has a {split} split.")
    return concatenate_datasets(parts)


def open_line(image: dict) -> PILImage.Image:
    """
    Opens an image that `datasets` did not decode (`{"bytes": ..., "path": ...}`) as 8-bit grey, upright.

    Raises:
        ValueError: names the file if it is no image or damaged.
    """
    if image["bytes"] is None:
        return open_image(image["path"])
    return open_image(io.BytesIO(image["bytes"]), name=image["path"] or "An image without a name")


def required_frames(labels: list[int]) -> int:
    """Frames that CTC needs for `labels`: one for each, and a blank between two equal ones."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))


def select_trainable(
    lines: Dataset, processor: HTRConvTextProcessor, config: HTRConvTextConfig
) -> tuple[Dataset, Counter]:
    """
    Keeps the lines that a model can be trained on and adds their resized `width` in pixels, to batch similar ones.

    Returns:
        The lines, and how many were left out for which reason: `"empty text"`, `"unreadable image"`,
        `"unknown character"` (where the tokenizer raises) or `"more characters than frames"`.
    """
    kept, widths, left_out = [], [], Counter()
    for index, line in enumerate(lines):
        try:
            labels = processor.tokenizer(line["text"], add_special_tokens=False).input_ids
        except UnknownCharacterError:
            left_out["unknown character"] += 1
            continue
        if not labels:
            left_out["empty text"] += 1
            continue
        try:
            image = open_line(line["image"])
        except ValueError:
            left_out["unreadable image"] += 1
            continue
        width = processor.image_processor.resized_width(image.height, image.width)
        if required_frames(labels) > -(-width // config.inputs_to_logits_ratio):
            left_out["more characters than frames"] += 1
            continue
        kept.append(index)
        widths.append(width)
    return lines.select(kept).add_column("width", widths), left_out
