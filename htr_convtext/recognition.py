"""Reading line images with a trained model."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from htr_convtext.loading import load_model
from modeling_htr_convtext import HTRConvTextPipeline


@dataclass(frozen=True)
class LineResult:
    """What was read in a file, or why nothing was."""

    file: str
    text: str | None = None
    score: float | None = None
    error: str | None = None


def load_pipeline(
    model: str | os.PathLike | None = None, device: str | torch.device | None = None
) -> HTRConvTextPipeline:
    """
    A pipeline with a saved model.

    Args:
        model: Folder or Hub id; by default the model that comes with this package.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` …; by default an accelerator if there is one.

    Raises:
        ValueError: names the model or device that cannot be used.
    """
    network, processor = load_model(model)
    if device is None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    try:
        return HTRConvTextPipeline(model=network, processor=processor, task="image-to-text", device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch raises either for a device that is not there
        raise ValueError(f"The device {device} cannot be used. ({error})") from error


def find_images(paths: Iterable[str | os.PathLike]) -> list[str]:
    """The files of `paths`. A folder stands for the images in it and below, sorted, or for itself if it has none."""
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    files = []
    for path in map(Path, paths):
        found = [str(file) for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file()]
        files.extend(sorted(found) if path.is_dir() and found else [str(path)])
    return files


def read_batch(pipeline: HTRConvTextPipeline, sources: list, opener: Callable = lambda source: source) -> list[dict]:
    """
    Reads some lines at once.

    Args:
        sources: Whatever `opener` makes an input of the pipeline from.

    Returns:
        For each source a dict of `text` and `score`, or of `error` if it cannot be opened (`ValueError`).
    """
    inputs, results = [], []
    for source in sources:
        try:
            inputs.append(pipeline.preprocess(opener(source))["image"])
            results.append({})
        except ValueError as error:
            results.append({"error": str(error)})
    lines = iter(pipeline.forward({"image": inputs})["lines"] if inputs else [])
    return [result or pipeline.postprocess({"lines": next(lines)}) for result in results]


def recognize_files(pipeline: HTRConvTextPipeline, files: list[str], batch_size: int = 8) -> Iterator[LineResult]:
    """Reads `files` in their order, a batch at a time. A file that cannot be read gives a result with its `error`."""
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        for file, result in zip(batch, read_batch(pipeline, batch), strict=True):
            yield LineResult(file, **result)
