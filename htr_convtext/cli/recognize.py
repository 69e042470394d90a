"""Read images of handwritten lines.

Examples:
    %(prog)s examples
    %(prog)s line1.png line2.jpg --format jsonl --output lines.jsonl
    %(prog)s scans --model my_model --lm my_archive.klm --batch-size 32
    %(prog)s scans --model bundled --model my_model

An image holds one line. A folder stands for all images in it and below; links are followed. What cannot be read (a
damaged file, a folder without permission, a link that leads nowhere, a pipe) is reported and left out; the exit code is
then 1.

Where the model is calibrated for its decoder (htr tune), jsonl has the probability that the line is right (confidence),
its expected_cer, the decoder and the id of the calibration. --min-confidence marks doubtful words, in text by [?] after
the word; in jsonl there are the words with their scores and "doubtful".
"""

import argparse
import json
import re
import sys

from tqdm import tqdm

from htr_convtext.doubt import marked
from htr_convtext.reading import LineReading, Provenance

from .arguments import (
    add_min_confidence,
    add_models,
    add_reading,
    new_parser,
    open_output,
    open_recognizer,
    positive_int,
    warn_of_scores,
)


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE_OR_FOLDER", help="images of single lines, or folders of them"
    )
    add_models(parser)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: file, tab, text (tabs and line breaks in names as \\t, \\n); jsonl: objects with file, text "
        "and score, or file and error (default: text)",
    )
    add_min_confidence(parser)
    parser.add_argument(
        "--alternatives",
        type=positive_int,
        metavar="N",
        help="jsonl: add the N best texts that the decoder found, each with its log_probability (greedy finds one)",
    )
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    add_reading(parser)
    parser.set_defaults(prog=prog)
    settings = parser.parse_args(words)
    if settings.alternatives and settings.format != "jsonl":
        parser.error("--alternatives needs --format jsonl")
    return settings


def formatted(file: str, reading: LineReading, provenance: Provenance, settings: argparse.Namespace) -> str | None:
    """One line of output; None for a failed file where the format has no place for it."""
    if settings.format == "jsonl":
        found = {"error": reading.error} if reading.error else found_in(reading, provenance, settings)
        return json.dumps({"file": file, **found}, ensure_ascii=False)
    if reading.error:
        return None
    parts = [] if settings.min_confidence is None else reading.doubtful_parts(settings.min_confidence)
    return "\t".join(map(one_cell, (file, marked(reading.text, parts))))


def found_in(reading: LineReading, provenance: Provenance, settings: argparse.Namespace) -> dict:
    """What jsonl has of a line that was read."""
    found = {"text": reading.text, "score": reading.score}
    if reading.confidence is not None:
        found |= {"confidence": reading.confidence.line, "expected_cer": reading.confidence.cer}
        found |= {"decoder": provenance.decoder, "calibration": provenance.calibration}
    if settings.min_confidence is not None:
        words = [(word, word.score < settings.min_confidence) for word in reading.words]
        found["words"] = [{"text": word.char, "score": word.score, "doubtful": doubtful} for word, doubtful in words]
        if not words:
            found["doubtful"] = bool(reading.doubtful_parts(settings.min_confidence))
    if settings.alternatives:
        best = reading.alternatives[: settings.alternatives]
        found["alternatives"] = [{"text": text, "log_probability": value} for text, value in best]
    return found


def one_cell(text: str) -> str:
    """A name or text without tabs and line breaks, which would make more columns and lines: as escapes."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda match: ascii(match[0])[1:-1], text)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.recognizer import find_images

    files, unreadable = find_images(settings.images)
    recognizer = open_recognizer(settings)
    warn_of_scores(settings, recognizer)
    failed = 0

    def write(file: str, reading: LineReading) -> None:
        nonlocal failed
        if reading.error:
            failed += 1
            tqdm.write(f"{settings.prog}: {reading.error}", file=sys.stderr)
        line = formatted(file, reading, recognizer.provenance, settings)
        if line is not None:
            with progress.external_write_mode(file=sys.stderr):
                print(line, file=stream, flush=True)

    with (
        open_output(settings.output) as stream,
        tqdm(total=len(files), unit="line", file=sys.stderr, disable=None) as progress,
    ):
        for path, reason in unreadable.items():
            write(path, LineReading("", 0.0, error=f"{path}: {reason}."))
        for file, reading in zip(files, recognizer.read(files, settings.batch_size), strict=True):
            write(file, reading)
            progress.update()
    if failed:
        print(f"{settings.prog}: {failed} of {len(files) + len(unreadable)} files could not be read.", file=sys.stderr)
    return 1 if failed else 0
