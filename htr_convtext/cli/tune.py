"""Find how a model should be decoded: how much its language models count, and what its confidences mean.

Examples:
    # for the bundled model, on lines of your archive that it has not learned from
    %(prog)s --data data/mine --output my_model

    # with a language model of your archive in place of those of the model
    %(prog)s --model runs/mine/best --lm archive.klm --data data/mine --output my_model

The validation split of the data sets is read once by the network and decoded again and again: with --lm or the language
models of the model, for the weight, the spaces and the blank that give the lowest mean CER of the sets. Then
confidences are fitted, for greedy decoding and with the language models. What was found is saved with the model to
--output. At least some hundred lines are needed for confidences, and lines that training saw are of no use.
"""

import argparse
import os
import sys

from tqdm import tqdm

from .arguments import add_model, new_parser, positive_int


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    add_model(parser)
    parser.add_argument("--data", nargs="+", required=True, metavar="SOURCE", help="data sets with ground truth")
    parser.add_argument("--split", default="validation", help="split to tune on (default: validation)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to save the model to")
    parser.add_argument(
        "--lm",
        nargs="+",
        metavar="FILE",
        help="language models of htr lm (default: those of the model); fr.klm is `fr`",
    )
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: %(default)s)")
    parser.add_argument(
        "--processes",
        type=positive_int,
        default=os.cpu_count() or 1,
        help="processes that decode (default: as many as there are processors)",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.evaluation import load_sets
    from htr_convtext.evaluation.tuning import tune
    from htr_convtext.recognizer import load_recognizer

    recognizer = load_recognizer(settings.model, settings.device, "greedy")
    sets = {name: lines for name, lines in load_sets(settings.data, settings.split).items() if lines is not None}
    with tqdm(total=sum(map(len, sets.values())), unit="line", file=sys.stderr, disable=None) as bar:
        tuned = tune(
            recognizer,
            sets,
            settings.lm,
            processes=settings.processes,
            batch_size=settings.batch_size,
            on_line=bar.update,
            on_trial=lambda trial, cer: tqdm.write(f"{settings.prog}: {trial}: {100 * cer:.2f} %", file=sys.stderr),
        )
    recognizer.save_pretrained(settings.output)
    print(tuned)
    print(settings.output)
    return 0
