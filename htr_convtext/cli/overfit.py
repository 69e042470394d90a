"""Let a new model learn a few lines by heart: the quickest check that data, charset and image size fit together.

A network that cannot read its own training lines without an error after some minutes will not learn from more of them:
look for wrong transcriptions, lines squeezed to fewer frames than characters, or a learning rate that does not fit.

Examples:
    %(prog)s --data my_lines
    %(prog)s --data my_lines --lines 64 --size small --height 48
"""

import argparse
import logging
import sys

from .arguments import new_parser, positive_int


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="SOURCE", help="data sets, as train takes them")
    parser.add_argument("--lines", type=positive_int, default=32, help="lines to learn (default: 32)")
    parser.add_argument(
        "--size", default="tiny", metavar="NAME", help="network, one of those of htr train (default: tiny)"
    )
    parser.add_argument("--height", type=positive_int, default=32, help="height of the lines (default: 32)")
    parser.add_argument("--max-steps", type=positive_int, default=600, help="steps to give up after (default: 600)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="peak learning rate (default: 0.001)")
    parser.add_argument("--seed", type=int, default=123, help="which lines, and the start (default: 123)")
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.training import learn_by_heart

    logging.getLogger("htr_convtext").setLevel(logging.INFO)
    outcome = learn_by_heart(
        settings.data, settings.lines, size=settings.size, height=settings.height, max_steps=settings.max_steps,
        learning_rate=settings.learning_rate, seed=settings.seed,
    )  # fmt: skip
    if outcome.stopped_by:
        return 128 + outcome.stopped_by
    if outcome.scores.cer > 0:
        cer = f"{100 * outcome.scores.cer:.2f}"
        print(f"{settings.prog}: after {outcome.steps} steps the CER is still {cer} %.", file=sys.stderr)
        return 1
    print(f"All {outcome.lines} lines are read without an error after {outcome.steps} steps.")
    return 0
