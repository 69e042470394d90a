"""Turn lines or words from anywhere into LMDB stores of the layout that scene-text recognition uses.

Examples:
    %(prog)s words/gt.txt --output lmdb/words
    %(prog)s iam --partition RWTH_partition --output lmdb/iam_words
    %(prog)s data/iam_words data/imgur5k --split train --output lmdb/train

A source is whatever htr prepare takes; its help says more, of words too. A store has the keys num-samples, and
image-000000001 … and label-000000001 …: the bytes of the images as they are, and the texts in UTF-8. There is one for
each split, in a folder of its name, or a single one if there is only train, or with --split. They are sources too.

Every image is opened. What cannot be, and lines without text, are left out and counted; of a folder or link that cannot
be opened the exit code is 1. DIR is there when all of it is complete. Started again after it was stopped, the same
command goes on; if the lines have changed, it starts anew and says so.
"""

import argparse
import sys

from .arguments import add_source_options, new_parser, source_options


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="Hub id, folder or file")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write; it must not exist")
    parser.add_argument("--split", metavar="NAME", help="write this split only, as one store (default: all)")
    add_source_options(parser)
    settings = parser.parse_args(words)
    settings.prog = prog
    return settings


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.data import write_lmdb

    try:
        report = write_lmdb(settings.sources, settings.output, settings.split, **source_options(settings))
    except KeyboardInterrupt:
        print(f"{settings.prog}: stopped; the same command goes on.", file=sys.stderr)
        return 130
    print(report.summary())
    return 1 if report.unreadable else 0
