"""Cut the words out of lines, for readers of words: where a model sees the spaces of the ground truth.

Examples:
    %(prog)s data/mine --output data/mine_words
    %(prog)s data/a data/b --model my_model --output data/words

A source is whatever htr train takes; the splits stay as they are. Each line is aligned with what the model reads by
CTC, and cut between two words at the column with the least ink. Lines that the model reads quite otherwise are left
out, counted in report.md and named in report.json, as are those with characters that it does not know. Their texts go
through the text policy of the model, which is written beside the words.
"""

import argparse

from .arguments import add_model, new_parser, positive_int


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="Hub id, folder or file")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the Parquet files and the report")
    add_model(parser)
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        help="mean probability of the characters below which a line is left out (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.recognizer import load_recognizer
    from htr_convtext.word_cutting import cut_words

    recognizer = load_recognizer(settings.model, settings.device)
    report = cut_words(recognizer, settings.sources, settings.output, settings.min_score, settings.batch_size)
    print(report.summary())
    print(f"{settings.output}: {report.lines} words; more in report.md")
    return 1 if report.unreadable else 0
