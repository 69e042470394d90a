"""Transcribe pages: find their lines, read them, write text, JSONL, PAGE-XML, ALTO or searchable PDF.

Examples:
    %(prog)s scan.jpg
    %(prog)s letters minutes.pdf --format pdf --output searchable
    %(prog)s export --format page --output transcribed
    %(prog)s export --find-lines --format alto --output transcribed --model my_model

A page is a photograph or scan (PNG, JPEG, TIFF, PDF, also of several pages), or a PAGE-XML or ALTO file beside its
image (of Transkribus or eScriptorium): then its lines are taken. If the output has the format of the input, its regions
and lines stay as they are; only text and words are replaced. A folder stands for all of these in it and below; links
are followed. What is written already is left out, so the same command goes on where it stopped. A page that cannot be
read is reported and left out; the exit code is then 1. The pages of a document that was broken off, or has such a page,
are kept for the next time, in a folder beside its output.

Where the model is calibrated for its decoder (htr tune), the confidences of words and lines are the probabilities that
they are right, and the CER to expect is told at the end, with the pages to check first; otherwise they are mean scores.
PAGE-XML, ALTO and JSONL say which of the two, the decoder and the calibration. --min-confidence marks words that are
less sure, and lines in which nothing was read: in text by [?] after the word, in jsonl by "doubtful", in PAGE-XML by
the tags `unclear` and `gap` of Transkribus, in ALTO by the tag `doubtful`, in PDF by a line under the word. Nothing is
left out.
"""

import argparse
import sys

from tqdm import tqdm

from htr_convtext.documents.formats import PRINTABLE, SUFFIXES
from htr_convtext.transcription.hooks import JobHooks

from .arguments import add_min_confidence, add_models, add_reading, new_parser, open_recognizer, warn_of_scores


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument(
        "pages", nargs="+", metavar="PAGE_OR_FOLDER", help="images, PDF, PAGE-XML or ALTO files, or folders of them"
    )
    parser.add_argument("--format", choices=tuple(SUFFIXES), default="text", help="what to write (default: text)")
    parser.add_argument(
        "--output", metavar="DIR", help="folder to write to (default, for text and jsonl: the terminal)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="do again what is written already, as after a change of the input"
    )
    add_min_confidence(parser)
    parser.add_argument("--find-lines", action="store_true", help="find the lines, also where XML files have them")
    add_models(parser)
    add_reading(parser)
    parser.set_defaults(prog=prog)
    settings = parser.parse_args(words)
    if not settings.output and settings.format not in PRINTABLE:
        parser.error(f"--format {settings.format} needs --output")
    return settings


class Terminal(JobHooks):
    """Shows messages and a progress bar, and prints what is not written to a folder."""

    def __init__(self, prog: str, bar: tqdm):
        self.prog = prog
        self.bar = bar

    def message(self, text: str) -> None:
        tqdm.write(f"{self.prog}: {text}", file=sys.stderr)

    def progress(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def result(self, content: bytes) -> None:
        with self.bar.external_write_mode(file=sys.stderr):
            sys.stdout.buffer.write(content)
            sys.stdout.flush()


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.transcription import TranscriptionJob, open_documents

    plan = open_documents(
        settings.pages,
        settings.format,
        settings.output,
        settings.overwrite,
        not settings.find_lines,
        settings.min_confidence,
    )
    recognizer = open_recognizer(settings)
    warn_of_scores(settings, recognizer)
    with tqdm(total=plan.page_count, unit="page", file=sys.stderr, disable=None) as bar:
        job = TranscriptionJob(
            plan,
            recognizer,
            batch_size=settings.batch_size,
            hooks=Terminal(settings.prog, bar),
        )
        counts = job.run()
    print(
        f"{settings.prog}: {counts.pages} pages with {counts.lines} lines read, {counts.done_before} done before, "
        f"{counts.errors} errors.",
        file=sys.stderr,
    )
    for sentence in job.summary.sentences():
        print(f"{settings.prog}: {sentence}", file=sys.stderr)
    return 1 if counts.errors else 0
