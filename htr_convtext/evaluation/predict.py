"""What a model reads on lines with ground truth."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from datasets import Dataset

from htr_convtext.data.lines import open_line
from modeling_htr_convtext import HTRConvTextPipeline


@dataclass(frozen=True)
class Prediction:
    """Ground truth and reading of one line, both in Unicode form NFC; an unreadable image is read as nothing."""

    source: str
    name: str
    reference: str
    text: str
    score: float
    error: str | None = None


def predict_lines(pipeline: HTRConvTextPipeline, lines: Dataset, batch_size: int = 16) -> Iterator[Prediction]:
    """Reads `lines` (columns `image`, not decoded, `text` and `source`) in their order."""
    for start in range(0, len(lines), batch_size):
        batch = [lines[index] for index in range(start, min(start + batch_size, len(lines)))]
        images, errors = {}, {}
        for index, line in enumerate(batch):
            try:
                images[index] = pipeline.preprocess(open_line(line["image"]))["image"]
            except ValueError as error:
                errors[index] = str(error)
        read = pipeline.forward({"image": list(images.values())})["lines"] if images else []
        results = dict(zip(images, read, strict=True))
        for index, line in enumerate(batch):
            result = results.get(index, {"text": "", "score": 0.0})
            yield Prediction(
                source=line["source"],
                name=line["image"].get("path") or str(start + index),
                reference=unicodedata.normalize("NFC", line["text"]),
                text=unicodedata.normalize("NFC", result["text"]),
                score=result["score"],
                error=errors.get(index),
            )
