"""Measure a model on lines with ground truth: CER and WER of each data set.

Examples:
    python scripts/evaluate.py --model runs/tiny/best --data my_lines --split validation
    python scripts/evaluate.py --data data/a data/b --split test --output results/

CER counts code points, WER words between spaces; both are micro-averaged over the lines of a set. Ground truth and
reading are compared in Unicode form NFC, otherwise as they are: characters outside the model's charset are errors.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from htr_convtext.cli import positive_int
from htr_convtext.data import load_lines
from htr_convtext.evaluation import error_rates, predict_lines
from htr_convtext.recognition import load_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    parser.add_argument(
        "--data", nargs="+", required=True, help="Parquet folders or files, image folders with metadata"
    )
    parser.add_argument("--split", default="test", help="split to measure (default: test)")
    parser.add_argument("--output", metavar="DIR", help="folder for report.json and predictions.jsonl")
    parser.add_argument("--batch-size", type=positive_int, default=16, help="lines read at once (default: 16)")
    parser.add_argument("--device", help="cpu, cuda, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()

    predictions, report = [], {}
    try:
        pipeline = load_pipeline(arguments.model, arguments.device)
        for source in arguments.data:
            lines = load_lines(source, arguments.split)
            if not lines:
                print(f"evaluate.py: {source} has no lines in a {arguments.split} split; left out.", file=sys.stderr)
                continue
            reader = predict_lines(pipeline, lines, arguments.batch_size)
            read = list(tqdm(reader, total=len(lines), desc=lines[0]["source"], unit="line", file=sys.stderr))
            predictions += read
            rates = error_rates([line.reference for line in read], [line.text for line in read])
            name = source if read[0].source in report else read[0].source  # two folders may have one name
            report[name] = {**asdict(rates), "unreadable": sum(line.error is not None for line in read)}
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
    if not report:
        sys.exit(f"evaluate.py: none of the data sets has a {arguments.split} split.")

    print(f"{'data set':<20}{'lines':>8}{'CER %':>9}{'WER %':>9}")
    for name, rates in report.items():
        print(f"{name:<20}{rates['lines']:>8}{100 * rates['cer']:>9.2f}{100 * rates['wer']:>9.2f}")
    mean = [sum(rates[kind] for rates in report.values()) / len(report) for kind in ("cer", "wer")]
    print(f"{'mean of the sets':<20}{len(predictions):>8}{100 * mean[0]:>9.2f}{100 * mean[1]:>9.2f}")
    if arguments.output:
        folder = Path(arguments.output)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as stream:
            for line in predictions:
                stream.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
