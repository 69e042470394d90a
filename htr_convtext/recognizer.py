"""Reading line images with a trained model."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from processing.model_facts import ModelFacts

from .decoding import Decoder
from .errors import InputError
from .families import family_of
from .loading import load_model, quiet_loading
from .reading import Character, LineReading


BATCHES_AHEAD = 16


class Recognizer:
    """
    A model, its processor and a decoder, to read lines with.

    Args:
        decoder: What makes text of the probabilities: `"greedy"`, the most probable step by step; `"beam"`, the most
            probable text; or a decoder of the model's family (`Family.decoder`).
        source: Where the model comes from, a folder or Hub id; by default what transformers knows of that.

    Attributes:
        source, decoder_name: What reads, by name; of a model that was never saved the source is `None`.

    Raises:
        InputError: names the device that cannot be used, or the decoder that there is not.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        device: str | torch.device | None = None,
        decoder: str | Decoder = "greedy",
        source: str | None = None,
    ):
        if device is None:
            device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        try:
            # Convolutions and pools of weights in this format are faster on a CPU.
            self.model = model.to(device, memory_format=torch.channels_last).eval()
        except (RuntimeError, AssertionError) as error:  # PyTorch raises either for a device that is not there
            raise InputError(f"The device {device} cannot be used. ({error})") from error
        self.processor = processor
        self.family = family_of(model.config)
        self.decoder = self.family.decoder(decoder, model.config) if isinstance(decoder, str) else decoder
        self.decoder_name = decoder if isinstance(decoder, str) else type(decoder).__name__
        self.source = source or model.name_or_path or None

    def read(self, images: Iterable[Any], batch_size: int = 8) -> Iterator[LineReading]:
        """
        Reads lines, some batches at a time, and in these those of similar shape together: padding costs time.

        Args:
            images: File names, URLs, Pillow images, arrays, or images that `datasets` did not decode.

        Yields:
            The reading of each image, in their order; of one that cannot be opened its `error`.
        """
        images = iter(images)
        while ahead := list(islice(images, BATCHES_AHEAD * batch_size)):
            opened: dict[int, Image.Image] = {}
            readings: dict[int, LineReading] = {}
            for index, image in enumerate(ahead):
                try:
                    opened[index] = self.family.open_image(self.processor, image)
                except InputError as error:
                    readings[index] = LineReading("", 0.0, error=str(error))
            order = sorted(opened, key=lambda index: opened[index].width / opened[index].height)
            for first in range(0, len(order), batch_size):
                batch = order[first : first + batch_size]
                readings.update(zip(batch, self._read_batch([opened[index] for index in batch]), strict=True))
            yield from (readings[index] for index in range(len(ahead)))

    def save_pretrained(self, folder: str | os.PathLike, facts: ModelFacts | None = None) -> None:
        """
        Saves the model, its processor, the code of both and a model card, which carries on that of the loaded model.

        Args:
            facts: What is known of the model besides.
        """
        self.family.write_model_card(folder, self.model, self.processor, facts)
        with quiet_loading():
            self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    @torch.inference_mode()
    def _read_batch(self, images: list[Image.Image]) -> list[LineReading]:
        lines = self.family.recognize(self.model, self.processor, images, self.decoder)
        return [
            LineReading(line["text"], line["score"], tuple(Character(**each) for each in line["characters"]))
            for line in lines
        ]


def load_recognizer(
    source: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    decoder: str | Decoder = "greedy",
) -> Recognizer:
    """
    A saved model, ready to read.

    Args:
        source: Folder or Hub id; by default the model that comes with this package.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` …; by default an accelerator if there is one.
        decoder: As for `Recognizer`.

    Raises:
        InputError: names the model, device or decoder that cannot be used.
    """
    return Recognizer(*load_model(source), device, decoder, "bundled" if source is None else str(source))


def find_images(paths: Iterable[str | os.PathLike]) -> list[str]:
    """The files of `paths`. A folder stands for the images in it and below, sorted, or for itself if it has none."""
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    files = []
    for path in map(Path, paths):
        found = [str(file) for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file()]
        files.extend(sorted(found) if path.is_dir() and found else [str(path)])
    return files
