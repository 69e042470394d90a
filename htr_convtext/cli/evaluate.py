"""Measure a model on lines with ground truth.

Examples:
    %(prog)s --model runs/tiny/best --data my_lines --split validation
    %(prog)s --data data/a data/b --split test --output results/tiny
    %(prog)s --model my_model --data examples --split train --picture read.png

With --output the folder gets predictions.jsonl, report.json and report.html, all or none of them: micro and macro CER,
WER under three tokenisers, lines without error, 95 %% intervals by bootstrap over writers or pages, kinds of errors,
calibration and the worst lines. With another decoder than greedy, such as a language model, the figures of greedy
decoding of the same lines stand beside its own. Ground truth and reading both go through the text policy of the model;
characters outside its charset are errors. Lines without transcription are left out and counted. `htr compare` puts
several of such folders side by side.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from .arguments import add_models, add_reading, new_parser, open_recognizer, picture_file


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    add_models(parser)
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="SOURCE",
        help="data sets with ground truth, as `htr train` takes them",
    )
    parser.add_argument("--split", default="test", help="split to measure (default: test)")
    parser.add_argument("--output", metavar="DIR", help="folder for predictions and reports")
    parser.add_argument(
        "--picture",
        type=picture_file,
        metavar="FILE",
        help="picture of ten lines, evenly chosen, with ground truth and what was read",
    )
    parser.add_argument(
        "--text-policy", metavar="FILE", help="JSON text policy (default: the one stored with the model)"
    )
    add_reading(parser, batch_size=16)
    parser.set_defaults(prog=prog)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.data import TextPolicy
    from htr_convtext.errors import InputError
    from htr_convtext.evaluation import Prediction, evaluate, load_sets, report_table
    from htr_convtext.whole_files import whole_file

    recognizer = open_recognizer(settings)
    policy = TextPolicy.from_file(settings.text_policy) if settings.text_policy else None
    found = load_sets(settings.data, settings.split)
    sets = {name: lines for name, lines in found.items() if lines is not None}
    for name in [name for name in found if name not in sets]:
        print(f"{settings.prog}: {name} has no lines in a {settings.split} split; left out.", file=sys.stderr)
    if not sets:
        raise InputError(f"none of the data sets has lines in a {settings.split} split.")

    model = recognizer.source
    if recognizer.decoder_name != "greedy":
        model += f", {recognizer.decoder_name}"
    with tqdm(total=sum(map(len, sets.values())), unit="line", file=sys.stderr, disable=None) as progress:

        def show(prediction: Prediction) -> None:
            if prediction.error:
                tqdm.write(f"{settings.prog}: read as nothing: {prediction.error}", file=sys.stderr)
            progress.set_description(prediction.source, refresh=False)
            progress.update()

        evaluation = evaluate(
            recognizer,
            sets,
            model=model,
            split=settings.split,
            policy=policy,
            batch_size=settings.batch_size,
            output=settings.output,
            on_line=show,
        )
        progress.total = progress.n  # without the lines that have no transcription
    print(f"text policy of ground truth and reading: {TextPolicy(**evaluation.report['policy'])}")
    print(report_table(evaluation.report))
    if settings.output:
        print(Path(settings.output) / "report.html")
    if settings.picture:
        with whole_file(settings.picture) as file:
            evaluation.draw().savefig(file, dpi=100, format=Path(settings.picture).suffix[1:])
        print(settings.picture)
    return 0
