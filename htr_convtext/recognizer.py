"""Reading line images with a trained model."""

import math
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from processing.confidence import Calibration
from processing.ctc import LineFrames
from processing.image_files import readable_suffixes
from processing.images import full_size
from processing.language_models import decoder_name
from processing.model_facts import ModelFacts

from .data.text_policy import TextPolicy
from .decoding import Decoder, LanguageModels, SearchSettings, decode_greedily
from .decoding.parallel import DecodingPool
from .errors import InputError
from .export import write_folder
from .families import family_of
from .folder_files import walk
from .loading import load_model
from .reading import Character, LineReading, Provenance


BATCHES_AHEAD = 16
PIXELS_AHEAD = 256_000_000  # of the images as they were before they were scaled down


class Recognizer:
    """
    A model, its processor and a decoder, to read lines with.

    Args:
        decoder: What makes text of the probabilities: `"greedy"`, the most probable step by step; `"beam"`, the most
            probable text; `"lm"`, the best text with a language model; or a decoder of the model's family
            (`Family.decoder`). By default the last where the model has one, else greedy.
        language: Of several language models the one to use, by its name; by default each line has the one that fits.
        source: Where the model comes from, a folder or Hub id; by default what transformers knows of that.
        processes: That decode. Searches hold the lock of the interpreter, so one process is too slow for a network on
            an accelerator; a program that asks for more must guard its start (`if __name__ == "__main__":`).

    Attributes:
        source, decoder_name: What reads, by name (`lm: fr` with a given language); of a model that was never saved the
            source is `None`.

    Raises:
        InputError: names the device that cannot be used, or the decoder that there is not.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        device: str | torch.device | None = None,
        decoder: str | Decoder | None = None,
        language: str | None = None,
        source: str | None = None,
        processes: int = 1,
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
        if decoder is None or isinstance(decoder, str):
            self.decoder_name, self.decoder = self.family.decoder(decoder, language, model.config, processor)
        else:
            self.decoder_name, self.decoder = type(decoder).__name__, decoder
        if language is not None:
            self.decoder_name += f": {language}"
        self.source = source or model.name_or_path or None
        # What is greedy takes less time than to send it to another process.
        self._pool = DecodingPool(1 if self.decoder is decode_greedily else processes)

    @property
    def text_policy(self) -> TextPolicy:
        """The policy stored with the model, or the default one."""
        return TextPolicy.of(self.processor.tokenizer)

    @property
    def charset(self) -> str | None:
        """The characters that the model can write, or `None` if that cannot be told."""
        return self.family.charset(self.processor)

    @property
    def calibration(self) -> Calibration | None:
        """What makes the scores of readings probabilities of being right, if the model has it for the decoder."""
        return getattr(self.processor, "calibrations", {}).get(decoder_name(self.decoder))

    @property
    def provenance(self) -> Provenance:
        """What reads, by name, to be written beside what was read."""
        return Provenance(self.source, self.decoder_name, self.calibration and self.calibration.id)

    def read(
        self, images: Iterable[Any], batch_size: int = 8, pages: Iterable[Hashable] | None = None
    ) -> Iterator[LineReading]:
        """
        Reads lines, some batches at a time, and in these those of similar shape together: padding costs time.

        Args:
            images: File names, URLs, Pillow images, arrays, or images that `datasets` did not decode.
            pages: What page each is of, if that is known, for at least as many, lines of one page in sequence: of
                several language models the one is used that fits the page. Otherwise a line reads the same alone and
                with others.

        Yields:
            The reading of each image, in their order; of one that cannot be opened its `error`.
        """
        lines = zip(images, count() if pages is None else pages, strict=False)
        while ahead := self.open_ahead(lines, batch_size):
            opened = {index: image for index, (image, _) in enumerate(ahead) if isinstance(image, Image.Image)}
            readings = {
                index: LineReading("", 0.0, error=ahead[index][0]) for index in range(len(ahead)) if index not in opened
            }
            if self.family.reads_frames(self.model.config):
                frames = dict(_batched(self._see, opened, batch_size))
                readings.update(self._decode(frames, [page for _, page in ahead]))
            else:
                readings.update(_batched(self._write, opened, batch_size))
            yield from (readings[index] for index in range(len(ahead)))

    def see(self, images: Iterable[Any], batch_size: int = 8) -> Iterator[LineFrames | None]:
        """
        What a network with CTC sees in images (as for `read`), in their order; `None` for one that cannot be opened.

        Raises:
            InputError: if the model reads otherwise.
        """
        if not self.family.reads_frames(self.model.config):
            raise InputError("This needs a model that reads by CTC over frames; this one does not.")
        lines = zip(images, count(), strict=False)
        while ahead := self.open_ahead(lines, batch_size):
            opened = {index: image for index, (image, _) in enumerate(ahead) if isinstance(image, Image.Image)}
            frames = dict(_batched(self._see, opened, batch_size))
            yield from (frames.get(index) for index in range(len(ahead)))

    def close(self) -> None:
        """Ends the processes that decode, which otherwise end with this one."""
        self._pool.close()

    def save_pretrained(self, folder: str | os.PathLike, facts: ModelFacts | None = None) -> None:
        """
        Saves the model, its processor, the code of both and a model card, which carries on that of the loaded model.

        Args:
            facts: What is known of the model besides.
        """
        write_folder(folder, self.model, self.processor, facts)

    def open_ahead(self, lines: Iterator[tuple[Any, Any]], batch_size: int) -> list[tuple[Image.Image | str, Any]]:
        """
        Opens the images of the next lines, some batches of them, but fewer if they are large.

        Args:
            lines: Pairs of an image (as for `read`) and something that belongs to it.

        Returns:
            Those pairs, the images opened; instead of one that cannot be opened why not.
        """
        ahead: list[tuple[Image.Image | str, Any]] = []
        pixels = 0
        for image, other in islice(lines, BATCHES_AHEAD * batch_size):
            try:
                opened = self.family.open_image(self.processor, image)
            except InputError as error:
                opened = str(error)
            else:
                pixels += math.prod(full_size(opened))
            ahead.append((opened, other))
            if pixels > PIXELS_AHEAD:
                break
        return ahead

    @torch.inference_mode()
    def _see(self, images: list[Image.Image]) -> list[LineFrames]:
        return self.processor.line_frames(self.model, images)

    def _decode(self, frames: Mapping[int, LineFrames], pages: Sequence[Hashable]) -> Iterator[tuple[int, LineReading]]:
        """The readings of lines, each with its number; `pages` has the page of each number."""
        groups: dict[Hashable, list[int]] = {}
        for index in sorted(frames):
            groups.setdefault(pages[index], []).append(index)
        lines = ([frames[index].probabilities for index in group] for group in groups.values())
        for group, found in zip(groups.values(), self._pool.decode(self.decoder, lines), strict=True):
            for index, hypotheses in zip(group, found, strict=True):
                reading = _reading(self.processor.read_frames(frames[index], hypotheses, self.decoder))
                yield index, replace(reading, greedy=self._read_greedily(frames[index]))

    def _read_greedily(self, frames: LineFrames) -> str | None:
        """To measure what the decoder brings; `None` if it is greedy itself."""
        if self.decoder is decode_greedily:
            return None
        return self.processor.tokenizer.decode(frames.probabilities.argmax(-1).tolist())

    @torch.inference_mode()
    def _write(self, images: list[Image.Image]) -> list[LineReading]:
        """The readings of a network that writes one character after the other."""
        return list(map(_reading, self.family.recognize(self.model, self.processor, images, self.decoder)))


def load_recognizer(
    source: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    decoder: str | Decoder | None = None,
    language: str | None = None,
    language_model: str | os.PathLike | None = None,
    processes: int = 1,
) -> Recognizer:
    """
    A saved model, ready to read.

    Args:
        source: Folder or Hub id; by default the model that comes with this package.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` …; by default an accelerator if there is one.
        decoder, language, processes: As for `Recognizer`.
        language_model: File of `htr lm` to read with instead of those of the model; its name is the language.

    Raises:
        InputError: names the model, device, decoder or language model that cannot be used.
    """
    if language_model is not None and decoder not in (None, "lm"):
        raise InputError(f"{language_model}: only the decoder lm reads with a language model; leave one of them out.")
    model, processor = load_model(source)
    if language_model is not None:
        stored, name = getattr(processor, "language_models", None), Path(language_model).stem
        settings = stored.settings if stored else SearchSettings()
        processor.language_models = LanguageModels({name: Path(language_model)}, settings)
        getattr(processor, "calibrations", {}).pop("lm", None)  # it was of the others
        decoder, language = decoder or "lm", name
    source = "bundled" if source is None else str(source)
    return Recognizer(model, processor, device, decoder, language, source, processes)


def _batched(
    read: Callable[[list[Image.Image]], Iterable[Any]], images: Mapping[int, Image.Image], batch_size: int
) -> Iterator[tuple[int, Any]]:
    """What is read in images, those of similar shape together, each with its number."""
    order = sorted(images, key=lambda index: images[index].width / images[index].height)
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        yield from zip(batch, read([images[index] for index in batch]), strict=True)


def _reading(line: Mapping[str, Any]) -> LineReading:
    characters = tuple(Character(**each) for each in line["characters"])
    return LineReading(line["text"], line["score"], characters, line.get("confidence"), line.get("alternatives", ()))


def find_images(paths: Iterable[str | os.PathLike]) -> tuple[list[str], dict[str, str]]:
    """
    The files of `paths`, and for what cannot be opened in folders the reason.

    A folder stands for the images in it and below, sorted, or for itself if there is nothing.
    """
    suffixes = readable_suffixes()
    files, unreadable = [], {}
    for path in map(os.fspath, paths):
        if not os.path.isdir(path):
            files.append(path)
            continue
        found = walk(path)
        images = sorted(str(file) for file in found.files if file.suffix.lower() in suffixes)
        unreadable |= {str(inner): reason for inner, reason in found.unreadable.items()}
        files.extend(images if images or found.unreadable else [path])
    return files, unreadable
