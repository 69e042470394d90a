"""Measure on pages with ground truth how many lines are found and how well the pages are read.

Examples:
    %(prog)s ground_truth
    %(prog)s page1.xml page2.xml --model my_model --output pages.json

Ground truth is PAGE-XML or ALTO with its images. A line counts as found where the polygons share half of their union
(IoU at least 0.5). The text of a page is compared in reading order, and lines that the ground truth leaves out count as
errors; beside it stand the CER of the found lines alone, and that of the lines of the ground truth, when these are
given. All texts go through the text policy of the model. It needs pip install 'htr-convtext[train,pages]'.
"""

import argparse
import json
import sys
from dataclasses import asdict

from tqdm import tqdm

from .arguments import add_models, add_reading, new_parser, open_recognizer


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("pages", nargs="+", metavar="PAGE_OR_FOLDER", help="PAGE-XML or ALTO files, or folders of them")
    add_models(parser)
    parser.add_argument("--output", metavar="FILE", help="write the counts here as JSON")
    add_reading(parser)
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.documents import find_documents
    from htr_convtext.errors import InputError
    from htr_convtext.evaluation.pages import measure_documents, page_table
    from htr_convtext.whole_files import write_whole

    documents, failed = find_documents(settings.pages)
    recognizer = open_recognizer(settings)
    with tqdm(documents, unit="page", file=sys.stderr, disable=None) as progress:
        measures, left_out = measure_documents(progress, recognizer, settings.batch_size)
    failed += left_out
    for reason in failed:
        print(f"{settings.prog}: left out: {reason}", file=sys.stderr)
    if not measures:
        raise InputError("there is no page to measure.")
    print(page_table(measures))
    without_text = sum(page.without_text for page in measures.values())
    if without_text:
        print(f"{settings.prog}: {without_text} lines without transcription are left out.", file=sys.stderr)
    if settings.output:
        text = json.dumps({name: asdict(page) for name, page in measures.items()}, indent=2)
        write_whole(settings.output, text + "\n")
    return 1 if failed else 0
