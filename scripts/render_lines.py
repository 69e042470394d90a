"""Render lines of handwriting from any text, to train on.

Examples:
    # look at some first
    python scripts/render_lines.py --text vi.txt de.txt --preview sheet.png

    # a data set for train.py: other texts for validation, and lines of another seed
    python scripts/render_lines.py --text vi.txt --language vi --num-lines 20000 --output data/synthetic
    python scripts/render_lines.py --text vi_rest.txt --num-lines 500 --split validation --output data/synthetic

    # with fonts of your own, one text three times as often as the other
    python scripts/render_lines.py --text a.txt b.txt --weights 3 1 --fonts my_fonts --output data/synthetic

The texts are UTF-8; lines are cut from them at random. The fonts of the package have all letters of English, French,
German, Italian and Vietnamese; a font is used only for lines of which it has every character. Check that the licences
of other fonts and of the texts allow what you do with the lines.
"""

import argparse
import io
import logging
import sys
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw

from htr_convtext.cli import positive_int
from htr_convtext.data.synthetic import LineRenderer, LineTexts, SyntheticStyle, find_fonts, synthetic_lines


PREVIEW_LINES = 20
SPLITS = ("train", "validation", "test")


def draw_sheet(lines: Iterable[dict], renderer: LineRenderer, width: int = 1600) -> Image.Image:
    """Lines below one another, each above its text in clean type."""
    fonts = {font.name: font for font in renderer.fonts}
    label = 24
    pictures = []
    for line in lines:
        picture = Image.open(io.BytesIO(line["image"]["bytes"]))
        row = Image.new("L", (width, picture.height + 2 * label), 255)
        row.paste(picture, (0, 0))
        font = fonts[line["writer"]]
        font = font.at_size(round(0.4 * label / font.metrics.x_height))
        ImageDraw.Draw(row).text((4, picture.height + label), line["text"], fill=0, font=font, anchor="lm")
        pictures.append(row)
    sheet = Image.new("L", (width, sum(row.height for row in pictures)), 255)
    top = 0
    for row in pictures:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, metavar="FILE", help="running text in UTF-8")
    parser.add_argument("--language", nargs="+", metavar="CODE", help="language of each text (default: not noted)")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="share of each text (default: equal)")
    parser.add_argument("--fonts", metavar="DIR", help="folder of .ttf and .otf files (default: the package's fonts)")
    parser.add_argument("--height", type=positive_int, default=64, help="height of the lines in pixels (default: 64)")
    parser.add_argument("--strength", type=float, default=1.0, help="how far lines depart from clean type (default: 1)")
    parser.add_argument("--num-lines", type=positive_int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--split", choices=SPLITS, default="train", help="name of the Parquet file (default: train)")
    parser.add_argument("--seed", type=int, help="default: 0, 1 or 2 for train, validation or test")
    parser.add_argument("--workers", type=positive_int, default=1, help="processes that render (default: 1)")
    parser.add_argument("--output", metavar="DIR", help="folder for the Parquet file, for load_lines and train.py")
    parser.add_argument("--preview", metavar="FILE", help=f"write a picture of the first {PREVIEW_LINES} lines")
    arguments = parser.parse_args()
    if not (arguments.output or arguments.preview):
        parser.error("give --output, --preview or both")
    logging.basicConfig(level=logging.WARNING, format="render_lines.py: %(message)s")
    seed = SPLITS.index(arguments.split) if arguments.seed is None else arguments.seed

    try:
        texts = LineTexts.from_files(arguments.text, arguments.language, arguments.weights)
        fonts = find_fonts(arguments.fonts) if arguments.fonts else find_fonts()
        renderer = LineRenderer(fonts, arguments.height, SyntheticStyle(strength=arguments.strength))
        if arguments.preview:
            lines = synthetic_lines(texts, PREVIEW_LINES, seed, renderer, streaming=True)
            draw_sheet(islice(lines, arguments.num_lines), renderer).save(arguments.preview)
        if arguments.output:
            output = Path(arguments.output)
            if next(output.glob(f"{arguments.split}-*.parquet"), None):
                raise ValueError(f"{output}: there are {arguments.split} lines already; give another folder.")
            output.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=output, prefix=".") as cache:
                lines = synthetic_lines(
                    texts, arguments.num_lines, seed, renderer, num_proc=arguments.workers, cache_dir=cache
                )
                # `load_lines` names the source of a line after its folder.
                lines.remove_columns("source").to_parquet(output / f"{arguments.split}-00000-of-00001.parquet")
                del lines
    except (ValueError, OSError) as error:
        sys.exit(f"render_lines.py: {error}")


if __name__ == "__main__":
    main()
