"""Find wrong transcriptions: rank the lines of data sets by how little their text fits their image.

Examples:
    %(prog)s data/mine --output audit/mine
    %(prog)s data/a data/b --split train --model runs/mine/best --output audit/both
    %(prog)s letters.tsv --output audit/letters --worst 300

A source is whatever htr train takes. Each text is aligned with what the model sees in its image, and lines are ranked
by the stretch of them that fits least (the misfit). So lines with the text of another one come first, then those with
words that are missing, doubled or not in the image, among lines that the model cannot read. The folder gets audit.html,
a page that shows the worst with picture, transcription and reading, and audit.jsonl, all lines in that order. Texts
longer than their image allows come first, unreadable images last; none is left out. Texts go through the text policy of
the model. A model that was trained on the same lines has learned some of their faults, but finds most.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from .arguments import add_model, new_parser, positive_int


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="Hub id, folder or file")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for audit.html and audit.jsonl")
    add_model(parser)
    parser.add_argument("--split", help="one split of the data (default: all)")
    parser.add_argument(
        "--worst", type=positive_int, default=100, metavar="N", help="lines that the page shows (default: %(default)s)"
    )
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.data import load_splits
    from htr_convtext.evaluation import AuditedLine, audit, write_audit
    from htr_convtext.evaluation.audit import summary_of
    from htr_convtext.recognizer import load_recognizer
    from htr_convtext.text_alignment import check_frames

    recognizer = load_recognizer(settings.model, settings.device)
    check_frames(recognizer)
    sets = load_splits(settings.sources, settings.split)
    with tqdm(total=sum(map(len, sets.values())), unit="line", file=sys.stderr, disable=None) as progress:

        def show(line: AuditedLine) -> None:
            progress.set_description(f"{line.source}, {line.split}", refresh=False)
            progress.update()

        audited = audit(recognizer, sets, settings.batch_size, show)
    write_audit(audited, sets, settings.output, settings.model or "bundled", settings.worst)
    print(summary_of(audited))
    print(f"{Path(settings.output) / 'audit.html'}: {min(settings.worst, len(audited))} of {len(audited)} lines")
    return 0
