"""Measuring a model on data sets: predictions, report and pictures."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from datasets import Dataset
from PIL import Image

from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from htr_convtext.reading import LineReader
from htr_convtext.whole_files import whole_folder, write_whole
from processing.confidence import Calibration, ExpectedCER
from processing.images import open_image

from .measures import measure
from .pictures import draw_samples, evenly_chosen
from .predict import Prediction, predict_lines
from .report import write_report


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Evaluation:
    """
    What a model read on some data sets.

    Attributes:
        sets: The lines by the names of their sets.
        predictions: One for each line.
        report: Of `measure`, with the names of the `"model"` and the `"split"`, and how many lines of each set were
            left out, `"without_transcription"`.
    """

    sets: Mapping[str, Dataset]
    predictions: list[Prediction]
    report: dict

    def image_of(self, prediction: Prediction) -> Image.Image:
        """The image of a line; an `InputError` if it cannot be opened."""
        return open_image(self.sets[prediction.source][prediction.index]["image"])

    def draw(self, count: int = 10) -> "Figure":
        """
        A picture of lines, evenly chosen among those that could be opened, with ground truth and what was read.

        Raises:
            InputError: if no line could be opened.
        """
        shown = evenly_chosen([line for line in self.predictions if line.error is None], count)
        if not shown:
            raise InputError("There is no picture to draw, for no line could be read.")
        images = [self.image_of(line) for line in shown]
        return draw_samples(images, [line.reference for line in shown], [line.text for line in shown])


def evaluate(
    recognizer: LineReader,
    sets: Mapping[str, Dataset],
    *,
    model: str = "bundled",
    split: str = "test",
    policy: TextPolicy | None = None,
    batch_size: int = 16,
    output: str | os.PathLike | None = None,
    on_line: Callable[[Prediction], None] | None = None,
) -> Evaluation:
    """
    Reads the lines of data sets and measures what was read. Lines without a transcription are left out and counted.

    Args:
        sets: Of `load_sets`.
        model, split: What is measured, for the report.
        policy: What ground truth and reading go through; by default the one stored with the model.
        output: A folder for `predictions.jsonl`, `report.json` and `report.html`: all of them are written, or none.
        on_line: Is called with each prediction as soon as it is there.

    Raises:
        InputError: if there are no lines.
    """
    policy, predictions, left_out = policy or recognizer.text_policy, [], {}
    with whole_folder(output) if output else nullcontext() as folder:
        with open(folder / "predictions.jsonl", "wb") if folder else nullcontext() as stream:
            for name, lines in sets.items():
                before = len(predictions)
                for prediction in predict_lines(recognizer, name, lines, policy, batch_size):
                    predictions.append(prediction)
                    if stream:
                        stream.write(prediction.to_json().encode(errors="backslashreplace"))
                    if on_line:
                        on_line(prediction)
                left_out[name] = len(lines) - (len(predictions) - before)

        if not predictions:
            raise InputError(f"There are no lines to measure; {sum(left_out.values())} have no transcription.")
        report = {"model": model, "split": split, **measure(predictions, policy, recognizer.charset)}
        report["without_transcription"] = left_out
        if recognizer.calibration is not None:
            for name, expected in expected_cers(predictions, recognizer.calibration).items():
                report["sets"][name]["expected_cer"] = asdict(expected)
        evaluation = Evaluation(sets, predictions, report)
        if folder:
            write_whole(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
            write_report(report, predictions, folder / "report.html", evaluation.image_of)
    return evaluation


def expected_cers(predictions: Iterable[Prediction], calibration: Calibration) -> dict[str, ExpectedCER]:
    """The CER to expect of each set without its ground truth; a line of no page is one by itself."""
    sets: dict[str, list[Prediction]] = {}
    for line in predictions:
        if line.confidence is not None:
            sets.setdefault(line.source, []).append(line)
    return {
        name: calibration.expected_cer(
            [line.confidence for line in lines], [(line.page, None if line.page else line.index) for line in lines]
        )
        for name, lines in sets.items()
    }
