"""Measure a model on lines with ground truth, or put measured models side by side.

Examples:
    python scripts/evaluate.py --model runs/tiny/best --data my_lines --split validation
    python scripts/evaluate.py --data data/a data/b --split test --output results/tiny
    python scripts/evaluate.py --model my_model --data examples --split train --picture read.png
    python scripts/evaluate.py --compare results/tiny results/small --output results/compared

With --output the folder gets predictions.jsonl (written while it reads), report.json and report.html: micro
and macro CER, WER under three tokenisers, lines without error, 95 % intervals by bootstrap over writers or pages, kinds
of errors, calibration and the worst lines. Ground truth and reading both go through the text policy of the model;
characters outside its charset are errors. --compare reads such folders and writes compare.json and compare.html.
"""

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from datasets import Dataset
from tqdm import tqdm

from htr_convtext.cli import positive_int
from htr_convtext.data import TextPolicy
from htr_convtext.data.lines import open_line
from htr_convtext.evaluation import (
    Prediction,
    compare,
    comparison_table,
    load_runs,
    load_sets,
    measure,
    predict_lines,
    report_table,
    write_comparison,
    write_report,
)
from htr_convtext.evaluation.pictures import draw_samples
from htr_convtext.recognition import load_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", nargs="+", metavar="SOURCE", help="data sets with ground truth, as train.py takes them")
    what.add_argument(
        "--compare", nargs="+", metavar="DIR", help="folders that --output has filled; the first is the baseline"
    )
    parser.add_argument("--split", default="test", help="split to measure (default: test)")
    parser.add_argument("--output", metavar="DIR", help="folder for predictions and reports")
    parser.add_argument(
        "--picture", metavar="FILE", help="picture of ten lines, evenly chosen, with ground truth and what was read"
    )
    parser.add_argument(
        "--text-policy", metavar="FILE", help="JSON text policy (default: the one stored with the model)"
    )
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: 16)")
    parser.add_argument("--device", help="cpu, cuda, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()
    try:
        if (arguments.output or arguments.picture) and not find_spec("matplotlib"):
            raise ValueError("--output and --picture need matplotlib: pip install 'htr-convtext[train]'.")
        compare_runs(arguments) if arguments.compare else evaluate_model(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")


def evaluate_model(arguments: argparse.Namespace) -> None:
    pipeline = load_pipeline(arguments.model, arguments.device)
    tokenizer = pipeline.processor.tokenizer
    policy = TextPolicy.from_file(arguments.text_policy) if arguments.text_policy else TextPolicy.of(tokenizer)
    sets = load_sets(arguments.data, arguments.split)
    for name in [name for name, lines in sets.items() if lines is None]:
        print(f"evaluate.py: {name} has no lines in a {arguments.split} split; left out.", file=sys.stderr)
        del sets[name]
    if not sets:
        raise ValueError(f"none of the data sets has lines in a {arguments.split} split.")

    folder = Path(arguments.output) if arguments.output else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for old in ("report.json", "report.html"):  # not of these predictions, should this run be interrupted
            (folder / old).unlink(missing_ok=True)
    predictions = []
    with open(folder / "predictions.jsonl" if folder else os.devnull, "w", encoding="utf-8") as stream:
        for name, lines in sets.items():
            reader = predict_lines(pipeline, name, lines, policy, arguments.batch_size)
            for prediction in tqdm(reader, total=len(lines), desc=name, unit="line", file=sys.stderr):
                predictions.append(prediction)
                stream.write(prediction.to_json())
                stream.flush()
                if prediction.error:
                    tqdm.write(f"evaluate.py: read as nothing: {prediction.error}", file=sys.stderr)

    report = {"model": arguments.model or "bundled", "split": arguments.split}
    report.update(measure(predictions, policy, tokenizer.charset))
    print(f"text policy of ground truth and reading: {policy}")
    print(report_table(report))
    if folder:
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        (folder / "report.json").write_text(text, encoding="utf-8")
        write_report(
            report, predictions, folder / "report.html", lambda line: open_line(sets[line.source][line.index]["image"])
        )
        print(f"{folder / 'report.html'}")
    if arguments.picture:
        picture(predictions, sets, arguments.picture)


def picture(predictions: list[Prediction], sets: dict[str, Dataset], path: str, count: int = 10) -> None:
    """Draws lines evenly chosen among those that could be opened."""
    read = [line for line in predictions if line.error is None]
    shown = [read[len(read) * number // count] for number in range(count)] if len(read) > count else read
    if not shown:
        raise ValueError(f"{path}: not written, for no line could be read.")
    images = [open_line(sets[line.source][line.index]["image"]) for line in shown]
    figure = draw_samples(images, [line.reference for line in shown], [line.text for line in shown])
    figure.savefig(path, dpi=100)
    print(path)


def compare_runs(arguments: argparse.Namespace) -> None:
    runs = load_runs(arguments.compare)
    comparison = compare(runs)
    print(f"text policy of ground truth and reading: {TextPolicy(**runs[0].policy)}")
    print(comparison_table(comparison))
    if arguments.output:
        write_comparison(comparison, runs, arguments.output)
        print(f"{Path(arguments.output) / 'compare.html'}")


if __name__ == "__main__":
    main()
