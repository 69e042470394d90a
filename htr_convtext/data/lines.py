"""Lines of handwriting as `datasets` objects with the columns `image` (not decoded), `text` and `source`."""

import io
import os
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from datasets import Dataset, Image, concatenate_datasets, load_dataset
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from modeling_htr_convtext import HTRConvTextConfig
from processing import HTRConvTextProcessor, UnknownCharacterError


def load_lines(source: str | os.PathLike, split: str) -> Dataset | None:
    """
    Loads one split of a data set.

    Args:
        source: A folder of Parquet files (named by split, as `datasets` writes them), one Parquet file (which is the
            split asked for), or an image folder: one sub-folder for each split with the images and a `metadata.jsonl`
            or `metadata.csv` that has `file_name` and `text`.
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        The lines, or `None` if the data set has no such split.

    Raises:
        ValueError: names the source if it is missing, holds no lines or has no `image` or `text` column.
    """
    path = Path(source)
    if path.is_file() and path.suffix == ".parquet":
        data = load_dataset("parquet", data_files={split: str(path)})
    elif path.is_dir():
        is_parquet = any(path.rglob("*.parquet"))
        try:
            data = load_dataset("parquet" if is_parquet else "imagefolder", data_dir=str(path))
        except Exception as error:  # `datasets` raises many kinds for folders it cannot read
            raise ValueError(
                f"{source}: no lines found. Give Parquet files or images with metadata. ({error})"
            ) from error
    else:
        raise ValueError(f"{source}: there is no such folder or Parquet file.")
    if split not in data:
        return None
    lines = data[split]
    missing = {"image", "text"} - set(lines.column_names)
    if missing:
        raise ValueError(
            f"{source}: the {split} split has no column {' and '.join(sorted(missing))} (it has "
            f"{', '.join(lines.column_names)}). An image folder needs metadata.jsonl with file_name and text."
        )
    lines = lines.cast_column("image", Image(decode=False))
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
    Opens an image that `datasets` did not decode (`{"bytes": ..., "path": ...}`).

    Raises:
        ValueError: names the file if it is no image or damaged.
    """
    name = image.get("path") or "an image without a name"
    try:
        content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
        opened = PILImage.open(io.BytesIO(content))
        opened.load()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, PILImage.DecompressionBombError) as error:
        raise ValueError(f"{name}: not a readable image. ({error})") from error
    return opened


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
