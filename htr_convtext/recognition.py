"""Reading line images with a trained model."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from htr_convtext.loading import load_model
from modeling_htr_convtext import HTRConvTextPipeline


BATCHES_AHEAD = 16


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
    network = network.to(memory_format=torch.channels_last)  # its convolutions and pools are faster on a CPU
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


def read_lines(
    pipeline: HTRConvTextPipeline,
    sources: Sequence,
    batch_size: int = 8,
    opener: Callable = lambda source: source,
    return_characters: bool = False,
    decoder: Callable | None = None,
) -> Iterator[dict]:
    """
    Reads lines, some batches at a time, and in these those of similar shape together: padding costs time.

    Args:
        sources: Whatever `opener` makes an input of the pipeline from.
        decoder: In place of greedy decoding, for example `BeamSearch()`.

    Yields:
        For each source, in their order, what the pipeline gives: a dict of `text`, `score` and, if asked for,
        `characters`, or of `error` if it cannot be opened (`ValueError`).
    """
    for start in range(0, len(sources), BATCHES_AHEAD * batch_size):
        indices = range(start, min(start + BATCHES_AHEAD * batch_size, len(sources)))
        images, results = {}, {}
        for index in indices:
            try:
                images[index] = pipeline.preprocess(opener(sources[index]))["image"]
            except ValueError as error:
                results[index] = {"error": str(error)}
        order = sorted(images, key=lambda index: images[index].width / images[index].height)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            lines = pipeline.forward({"image": [images[index] for index in batch]}, decoder=decoder)["lines"]
            for index, line in zip(batch, lines, strict=True):
                results[index] = pipeline.postprocess({"lines": line}, return_characters)
        yield from (results[index] for index in indices)


def recognize_files(pipeline: HTRConvTextPipeline, files: list[str], batch_size: int = 8) -> Iterator[LineResult]:
    """Reads `files` in their order. A file that cannot be read gives a result with its `error`."""
    for file, result in zip(files, read_lines(pipeline, files, batch_size), strict=True):
        yield LineResult(file, **result)
