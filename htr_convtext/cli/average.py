"""Make one model of the weights of several: their weighted mean. Models that went on from one another, or from the same
one, often read better so than each of them.

Examples:
    %(prog)s models/8 models/9 --output mean
    %(prog)s models/8 runs/9/best --share 0.25 0.75 --output mean

The models must differ in nothing but their weights. Of a checkpoint with averaged weights these are taken, as
`htr export` does. Measure the mean before you use it: `htr evaluate --model mean`.
"""

import argparse
import sys

from .arguments import new_parser
from .card_arguments import add_facts, facts_given


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("models", nargs="+", metavar="DIR", help="model folders, checkpoints or Hub ids")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--share", nargs="+", type=float, metavar="SHARE", help="of each model, in their order (default: equal)"
    )
    parser.add_argument("--full-precision", action="store_true", help="store 32-bit floats (twice the size)")
    add_facts(parser)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.averaging import average_models, normalise_shares

    shares = normalise_shares(settings.share, len(settings.models))
    facts = facts_given(settings)
    average_models(settings.models, settings.output, shares, not settings.full_precision, facts)
    for model, share in zip(settings.models, shares, strict=True):
        print(f"{share:.4g} of {model}", file=sys.stderr)
    print(f"{settings.output}: the mean of {len(settings.models)} models", file=sys.stderr)
    return 0
