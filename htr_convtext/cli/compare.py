"""Put measured models side by side.

Examples:
    %(prog)s results/before results/after
    %(prog)s results/tiny results/small results/base --output results/compared

Reads folders that `htr evaluate --output` has filled, of the same lines. The first is the baseline: the others are
compared with it line by line, with 95 %% intervals of the differences. With --output the folder gets compare.json and
compare.html, which also shows the lines on which they differ most.
"""

import argparse
from pathlib import Path

from .arguments import new_parser


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("folders", nargs="+", metavar="DIR", help="folders of `htr evaluate --output`")
    parser.add_argument("--output", metavar="DIR", help="folder for compare.json and compare.html")
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.data import TextPolicy
    from htr_convtext.evaluation import compare, comparison_table, load_runs, write_comparison

    runs = load_runs(settings.folders)
    comparison = compare(runs)
    print(f"text policy of ground truth and reading: {TextPolicy(**runs[0].policy)}")
    print(comparison_table(comparison))
    if settings.output:
        write_comparison(comparison, runs, settings.output)
        print(Path(settings.output) / "compare.html")
    return 0
