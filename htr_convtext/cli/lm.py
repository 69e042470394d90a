"""Make a language model of texts, to read handwriting with.

Examples:
    # what your archive has transcribed already, mixed with the language models that come with the bundled model
    %(prog)s data/mine letters.txt --output archive.klm
    htr recognize scans --lm archive.klm

    # a language model of its own, of at most 2 MB
    %(prog)s data/a data/b books.txt --alone --max-size 2 --output fr.klm

A source is a text file (.txt, UTF-8) or a data set with transcriptions, as htr train takes it; of that it learns the
training split. The model is one of characters, of n-grams up to --order: modified Kneser-Ney, in the form of KenLM.
Transcriptions, each text file and the language models of --model are mixed as fits best what is held out: the
validation splits, or one line in twenty where there are none. The texts go through the text policy of --model;
characters that it cannot write are dropped. What cannot be opened in a folder is reported and left out; the exit code
is then 1. `htr tune` finds how much a language model should count.
"""

import argparse

from .arguments import add_model, new_parser


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("sources", nargs="+", metavar="TEXT_OR_DATA", help="text files and data sets")
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write, such as archive.klm")
    parser.add_argument("--alone", action="store_true", help="do not mix with the language models of --model")
    parser.add_argument(
        "--validation", nargs="+", default=[], metavar="TEXT_OR_DATA", help="find the weights for these, held out"
    )
    parser.add_argument("--order", type=int, choices=range(2, 7), default=6, help="longest n-grams (default: 6)")
    parser.add_argument("--max-size", type=float, metavar="MB", help="largest file (default: as it comes)")
    add_model(parser)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.language_model import build_language_model, write_model
    from htr_convtext.loading import load_processor

    processor = load_processor(settings.model)
    stored = processor.language_models
    base = {} if settings.alone or stored is None else stored.files
    max_bytes = None if settings.max_size is None else int(settings.max_size * 1_000_000)
    built = build_language_model(
        settings.sources, processor.tokenizer, base, settings.validation, max_bytes, settings.order
    )
    write_model(built.model, settings.output)
    print(built.summary())
    print(settings.output)
    return 1 if built.unreadable else 0
