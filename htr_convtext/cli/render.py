"""Render lines of handwriting from any text, to train on.

Examples:
    # look at some first
    %(prog)s --text vi.txt de.txt --preview sheet.png

    # a data set to train on: other texts for validation, and lines of another seed
    %(prog)s --text vi.txt --language vi --num-lines 20000 --output data/synthetic
    %(prog)s --text vi_rest.txt --num-lines 500 --split validation --output data/synthetic

    # with fonts of your own, one text three times as often as the other
    %(prog)s --text a.txt b.txt --weights 3 1 --fonts my_fonts --output data/synthetic

The texts are UTF-8; lines are cut from them at random. The fonts of the package have all letters of English, French,
German, Italian and Vietnamese; a font is used only for lines of which it has every character. Check that the licences
of other fonts and of the texts allow what you do with the lines.
"""

import argparse

from .arguments import new_parser, picture_file, positive_int


PREVIEW_LINES = 20
SPLITS = ("train", "validation", "test")


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
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
    parser.add_argument("--output", metavar="DIR", help="folder for the Parquet file, to train on")
    parser.add_argument(
        "--preview", type=picture_file, metavar="FILE", help=f"write a picture of the first {PREVIEW_LINES} lines"
    )
    settings = parser.parse_args(words)
    if not (settings.output or settings.preview):
        parser.error("give --output, --preview or both")
    if settings.seed is None:
        settings.seed = SPLITS.index(settings.split)
    return settings


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.data.synthetic import (
        LineRenderer,
        LineTexts,
        SyntheticStyle,
        draw_sheet,
        find_fonts,
        write_lines,
    )
    from htr_convtext.whole_files import write_picture

    texts = LineTexts.from_files(settings.text, settings.language, settings.weights)
    fonts = find_fonts(settings.fonts) if settings.fonts else find_fonts()
    renderer = LineRenderer(fonts, settings.height, SyntheticStyle(strength=settings.strength))
    if settings.preview:
        count = min(PREVIEW_LINES, settings.num_lines)
        write_picture(draw_sheet(texts, count, settings.seed, renderer), settings.preview)
    if settings.output:
        write_lines(
            texts,
            settings.num_lines,
            settings.seed,
            renderer,
            output=settings.output,
            split=settings.split,
            num_proc=settings.workers,
        )
    return 0
