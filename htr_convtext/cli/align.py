"""Find where in a line each word and character of a known text is written.

Examples:
    %(prog)s line.png "Ma chère sœur,"
    %(prog)s line.png "Ma chère sœur," --json
    %(prog)s --data data/mine --split train --output positions.jsonl

The text is aligned with what the model reads by CTC (Viterbi): of all paths through the frames of the image the most
probable one that reads as the text. Positions are pixel columns of the image, first and last; a model sees a letter in
few columns, mostly in its middle. Scores are the highest probability of a character within its columns, and their mean
for words and lines.

With --data all lines of a data set are aligned. Each row of the output is one line: source, split, index, name, text,
score, words and characters; or an error in place of these. Lines that cannot be aligned are counted at the end, and the
exit code is then 1.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from tqdm import tqdm

from .arguments import add_model, new_parser, open_output, positive_int


if TYPE_CHECKING:
    from htr_convtext.reading import Character
    from htr_convtext.text_alignment import AlignedLine


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="image of a line")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what is written there")
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, not a table")
    parser.add_argument(
        "--data", nargs="+", metavar="SOURCE", help="align the lines of data sets, as `htr train` takes them"
    )
    parser.add_argument("--split", help="with --data: one split of them (default: all)")
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    parser.set_defaults(prog=prog)
    settings = parser.parse_args(words)
    if (settings.data is None) == (settings.text is None) or (settings.data and settings.image):
        parser.error("give an image and its text, or data sets with --data")
    return settings


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.recognizer import load_recognizer

    recognizer = load_recognizer(settings.model, settings.device)
    if settings.data:
        return _align_data(settings, recognizer)
    from htr_convtext.text_alignment import align_text

    line = align_text(recognizer, settings.image, settings.text)
    with open_output(settings.output) as stream:
        if settings.json:
            print(json.dumps({"file": settings.image, **positions(line)}, ensure_ascii=False), file=stream)
        else:
            print("\n".join(table(line)), file=stream)
    return 0


def positions(line: "AlignedLine") -> dict:
    """What is said of a line in JSON."""
    words = [{"text": word.char, "score": word.score, "start": word.start, "end": word.end} for word in line.words]
    return {"text": line.text, "score": line.score, "words": words, "characters": list(map(asdict, line.characters))}


def table(line: "AlignedLine") -> list[str]:
    """The words, below each its characters, and the line at the end."""

    def row(found: "Character", indent: str = "") -> str:
        return f"{found.start:7.1f} {found.end:7.1f} {found.score:6.2f}  {indent}{found.char}"

    rows = [f"{'start':>7} {'end':>7} {'score':>6}"]
    for word in line.words:
        letters = [each for each in line.characters if word.start <= each.start < word.end]
        rows += [row(word), *(row(letter, "  ") for letter in letters)]
    return [*rows, f"{'':7} {'':7} {line.score:6.2f}  the line"]


def _align_data(settings: argparse.Namespace, recognizer) -> int:
    from htr_convtext.data import load_splits
    from htr_convtext.text_alignment import align_lines

    sets = load_splits(settings.data, settings.split)
    failed = Counter()
    with (
        open_output(settings.output) as stream,
        tqdm(total=sum(map(len, sets.values())), unit="line", file=sys.stderr, disable=None) as progress,
    ):
        for (source, split), lines in sets.items():
            pairs = ((row["image"], row["text"]) for row in lines)
            aligned = align_lines(recognizer, pairs, settings.batch_size)
            for index, (row, line) in enumerate(zip(lines, aligned, strict=True)):
                reason = "unknown character" if line.unknown else line.error or (None if line.text else "empty text")
                found = {"text": line.text, "error": reason} if reason else positions(line)
                where = {"source": source, "split": split, "index": index, "name": row["image"]["path"]}
                failed.update([reason] if reason else [])
                with progress.external_write_mode(file=sys.stderr):
                    print(json.dumps({**where, **found}, ensure_ascii=False), file=stream, flush=True)
                progress.update()
    for reason, count in failed.items():
        print(f"{settings.prog}: {count} lines could not be aligned: {reason}.", file=sys.stderr)
    return 1 if failed else 0
