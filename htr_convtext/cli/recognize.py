"""Read images of handwritten lines.

Examples:
    %(prog)s examples
    %(prog)s line1.png line2.jpg --format jsonl --output lines.jsonl
    %(prog)s scans --model my_model --lm my_archive.klm --batch-size 32

An image holds one line. A folder stands for all images in it. A file that cannot be read is reported and left out; the
exit code is then 1.
"""

import argparse
import json
import re
import sys

from tqdm import tqdm

from htr_convtext.reading import LineReading

from .arguments import add_model, add_reading, new_parser, open_output, open_recognizer


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE_OR_FOLDER", help="images of single lines, or folders of them"
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: file, tab, text (tabs and line breaks in names as \\t, \\n); jsonl: objects with file, text "
        "and score, or file and error (default: text)",
    )
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    add_reading(parser)
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def formatted(file: str, reading: LineReading, output_format: str) -> str | None:
    """One line of output; None for a failed file where the format has no place for it."""
    if output_format == "jsonl":
        found = {"error": reading.error} if reading.error else {"text": reading.text, "score": reading.score}
        return json.dumps({"file": file, **found}, ensure_ascii=False)
    return None if reading.error else "\t".join(map(one_cell, (file, reading.text)))


def one_cell(text: str) -> str:
    """A name or text without tabs and line breaks, which would make more columns and lines: as escapes."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda match: ascii(match[0])[1:-1], text)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.recognizer import find_images

    files = find_images(settings.images)
    recognizer = open_recognizer(settings)
    failed = 0
    with (
        open_output(settings.output) as stream,
        tqdm(total=len(files), unit="line", file=sys.stderr, disable=None) as progress,
    ):
        for file, reading in zip(files, recognizer.read(files, settings.batch_size), strict=True):
            if reading.error:
                failed += 1
                tqdm.write(f"{settings.prog}: {reading.error}", file=sys.stderr)
            line = formatted(file, reading, settings.format)
            if line is not None:
                with progress.external_write_mode(file=sys.stderr):
                    print(line, file=stream, flush=True)
            progress.update()
    if failed:
        print(f"{settings.prog}: {failed} of {len(files)} files could not be read.", file=sys.stderr)
    return 1 if failed else 0
