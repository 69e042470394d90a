"""Synthetic lines as files: a sheet to look at, and Parquet to train on."""

import io
import os
import shutil
from pathlib import Path

from datasets import Image
from PIL import Image as PILImage
from PIL import ImageDraw

from htr_convtext.errors import InputError
from htr_convtext.whole_files import whole_folder

from .lines import synthetic_lines
from .renderer import LineRenderer
from .texts import LineTexts


SHEET_WIDTH = 1600
LABEL_HEIGHT = 24


def draw_sheet(texts: LineTexts, num_lines: int, seed: int, renderer: LineRenderer) -> PILImage.Image:
    """
    The first lines of a seed below one another, each above its text in clean type.

    Args:
        texts, num_lines, seed, renderer: As for `synthetic_lines`.

    Raises:
        InputError: as `synthetic_lines`.
    """
    fonts = {font.name: font for font in renderer.fonts}
    rows = []
    for line in synthetic_lines(texts, num_lines, seed, renderer, streaming=True):
        picture = PILImage.open(io.BytesIO(line["image"]["bytes"]))
        row = PILImage.new("L", (SHEET_WIDTH, picture.height + 2 * LABEL_HEIGHT), 255)
        row.paste(picture, (0, 0))
        font = fonts[line["writer"]]
        font = font.at_size(round(0.4 * LABEL_HEIGHT / font.metrics.x_height))
        ImageDraw.Draw(row).text((4, picture.height + LABEL_HEIGHT), line["text"], fill=0, font=font, anchor="lm")
        rows.append(row)
    sheet = PILImage.new("L", (SHEET_WIDTH, sum(row.height for row in rows)), 255)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def write_lines(
    texts: LineTexts,
    num_lines: int,
    seed: int,
    renderer: LineRenderer,
    *,
    output: str | os.PathLike,
    split: str = "train",
    num_proc: int | None = None,
) -> None:
    """
    Writes lines as `<split>-00000-of-00001.parquet`, which is there whole or not at all. What a killed run left in the
    folder, hidden, is removed.

    Args:
        texts, num_lines, seed, renderer, num_proc: As for `synthetic_lines`.
        output: A folder without lines of the split; it is made if it does not exist.

    Raises:
        InputError: names the folder that has lines of the split, or as `synthetic_lines`.
    """
    output = Path(output)
    if next(output.glob(f"{split}-*.parquet"), None):
        raise InputError(f"{output}: there are {split} lines already; give another folder.")
    with whole_folder(output, split) as folder:
        cache = folder / "cache"
        lines = synthetic_lines(texts, num_lines, seed, renderer, num_proc=num_proc, cache_dir=str(cache))
        # `load_lines` names the source of a line after its folder.
        lines = lines.remove_columns("source").cast_column("image", Image())
        lines.to_parquet(folder / f"{split}-00000-of-00001.parquet")
        del lines
        shutil.rmtree(cache)
