"""What a model reads on lines with ground truth."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from datasets import Dataset

from htr_convtext.data.lines import open_line
from htr_convtext.recognition import read_batch
from modeling_htr_convtext import HTRConvTextPipeline


@dataclass(frozen=True)
class Prediction:
    """Ground truth and reading of one line, both in Unicode form NFC; an unreadable image is read as nothing."""

    source: str
    index: int
    name: str | None
    reference: str
    text: str
    score: float
    error: str | None = None


def predict_lines(pipeline: HTRConvTextPipeline, lines: Dataset, batch_size: int = 16) -> Iterator[Prediction]:
    """
    Reads `lines` (columns `image`, not decoded, `text` and `source`), those of similar width together.

    Yields the predictions in the order of reading; `index` is the row of a line.
    """
    order = range(len(lines))
    if "width" in lines.column_names:
        widths = lines["width"]
        order = sorted(order, key=lambda index: widths[index])
    for start in range(0, len(order), batch_size):
        indices = list(order[start : start + batch_size])
        batch = [lines[index] for index in indices]
        results = read_batch(pipeline, [line["image"] for line in batch], open_line)
        for index, line, result in zip(indices, batch, results, strict=True):
            yield Prediction(
                source=line["source"],
                index=index,
                name=line["image"]["path"],
                reference=unicodedata.normalize("NFC", line["text"]),
                text=unicodedata.normalize("NFC", result.get("text", "")),
                score=result.get("score", 0.0),
                error=result.get("error"),
            )
