"""Reading line images with a trained model."""

import os
from collections.abc import Iterable, Iterator
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
    """
    network, processor = load_model(model)
    if device is None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return HTRConvTextPipeline(model=network, processor=processor, task="image-to-text", device=device)


def find_images(paths: Iterable[str | os.PathLike]) -> list[str]:
    """
    The files of `paths`; a folder stands for the images in it and below, sorted by name.

    Raises:
        ValueError: names a folder without images.
    """
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    files = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(str(path))
            continue
        found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        if not found:
            raise ValueError(f"{path}: there are no images in this folder.")
        files.extend(found)
    return files


def recognize_files(pipeline: HTRConvTextPipeline, files: list[str], batch_size: int = 8) -> Iterator[LineResult]:
    """Reads `files` in their order, a batch at a time. A file that cannot be read gives a result with its `error`."""
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        images, errors = {}, {}
        for file in batch:
            try:
                images[file] = pipeline.preprocess(file)["image"]
            except ValueError as error:
                errors[file] = str(error)
        lines = pipeline.forward({"image": list(images.values())})["lines"] if images else []
        texts = dict(zip(images, (pipeline.postprocess({"lines": line}) for line in lines), strict=True))
        for file in batch:
            yield LineResult(file, error=errors[file]) if file in errors else LineResult(file, **texts[file])
