"""Image processor and tokenizer in one: what the families share."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image
from transformers import PreTrainedModel
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, Unpack

from .confidence import Calibration
from .ctc import Decoder, Hypothesis, LineFrames, character_scores, line_score
from .decoding_files import load_decoding, save_decoding
from .errors import InputError
from .language_models import LanguageModels, ctc_decoder, decoder_name
from .model_card import write_model_card
from .model_card_text import ModelDescription
from .model_facts import ModelFacts


if TYPE_CHECKING:
    # Never imported at run time: `save_pretrained` ships the files named by relative imports, and `config.json` refers
    # to this pipeline.
    from .pipeline_lines import LinePipeline  # noqa: F401


class LineProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {
        "text_kwargs": {"padding": True, "add_special_tokens": True, "return_tensors": "pt"},
        "images_kwargs": {"return_tensors": "pt"},
    }


class LineProcessor(ProcessorMixin):
    r"""
    What the processors of all families share: images to `pixel_values`, texts to `labels`. What is particular, reading
    with a model (`recognize`) and what its card says (`_describe`), is for the subclasses.

    Args:
        image_processor: Of the family.
        tokenizer ([`CharacterTokenizer`]): Of the family.

    Attributes:
        language_models ([`LanguageModels`] or `None`): What networks with CTC are decoded with by default.
        calibrations (`dict[str, Calibration]`): By the name of a decoder, what makes confidences of what it finds with
            the model that this processor was saved with.

    Both are saved and loaded with the processor.
    """

    valid_processor_kwargs = LineProcessorKwargs

    def __init__(self, image_processor, tokenizer):
        super().__init__(image_processor, tokenizer)
        self.language_models: LanguageModels | None = None
        self.calibrations: dict[str, Calibration] = {}
        self._decoder: tuple[tuple, Decoder] | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs) -> "LineProcessor":
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        found = load_decoding(pretrained_model_name_or_path, kwargs)
        processor.language_models, processor.calibrations = found
        return processor

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> list[str]:
        # Before what pushes the folder to the Hub.
        save_decoding(save_directory, self.language_models, self.calibrations)
        return super().save_pretrained(save_directory, **kwargs)

    def __call__(self, images=None, text=None, **kwargs: Unpack[LineProcessorKwargs]) -> BatchFeature:
        """
        Args:
            images: One line image or a list of them: file names, URLs, Base64, bytes, opened files, Pillow images,
                arrays, tensors, or images that `datasets` did not decode. Or a list of rows of a data set, dicts with
                `image` and `text`: so the processor is a `data_collator`.
            text (`str` or `list[str]`): Ground truth of the lines.

        Returns:
            `pixel_values` `(batch_size, 1, height, width)` and, if the image processor makes it, `pixel_mask`
            `(batch_size, width)` for images; `labels` `(batch_size, length)` for text, padded with `pad_token_id`, or
            for rows with -100.

        Raises:
            InputError: if neither is given, an image cannot be read (the file is named), or a text has an unknown
                character (the character and the text are named).
        """
        if images is None and text is None:
            raise InputError("Give `images`, `text` or both.")
        if isinstance(images, Sequence) and len(images) and isinstance(images[0], Mapping) and "image" in images[0]:
            return self._collate(images, **kwargs)
        kwargs = self._merge_kwargs(LineProcessorKwargs, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        inputs = self.image_processor(images, **kwargs["images_kwargs"]) if images is not None else BatchFeature()
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **kwargs["text_kwargs"])["input_ids"]
        return inputs

    def _collate(self, rows: Sequence[Mapping], **kwargs) -> BatchFeature:
        batch = self(images=[row["image"] for row in rows], text=[row["text"] for row in rows], **kwargs)
        labels = batch["labels"]
        batch["labels"] = labels.masked_fill(labels == self.tokenizer.pad_token_id, -100)
        return batch

    @property
    def model_input_names(self) -> list[str]:
        return [*self.image_processor.model_input_names, "labels"]

    @property
    def language_model_names(self) -> tuple[str, ...]:
        return tuple(sorted(self.language_models.files)) if self.language_models else ()

    def decoder(self, name: str | None = None, language: str | None = None) -> Decoder:
        """
        What makes text of the probabilities of frames (CTC): `"greedy"`, `"beam"`, or `"lm"`, with a language model;
        see `ctc_decoder` in `language_models.py`.

        Raises:
            InputError: if there is no such decoder or language, or flashlight-text is missing.
        """
        wanted = name, language, self.language_models, self.tokenizer.charset
        if self._decoder is None or self._decoder[0] != wanted:  # files of language models are opened once
            self._decoder = wanted, ctc_decoder(name, self.tokenizer.charset, self.language_models, language)
        return self._decoder[1]

    def recognize(self, model: PreTrainedModel, images: Sequence[Image.Image], decoder: Any = None) -> list[dict]:
        """
        Reads images (of `process_image`) with a model, by the decoder of this processor or another of the family.

        Returns:
            For each image `text`, `score` and `characters`: of each `char`, `score`, and `start` and `end`, the pixel
            columns of the image where it was seen.
        """
        raise NotImplementedError

    def line_frames(self, model: PreTrainedModel, images: Sequence[Image.Image]) -> list[LineFrames]:
        """What a model with CTC sees in images (of `process_image`)."""
        raise NotImplementedError

    def read_frames(self, frames: LineFrames, hypotheses: Sequence[Hypothesis], decoder: Decoder) -> dict:
        """
        What `recognize` returns for a line, from what a decoder found in its frames.

        If there is a calibration for the decoder, the scores of characters are the probabilities that they are right,
        and `confidence` has what else is known of the line ([`LineConfidence`]); else they are those of the network.
        `alternatives` are the texts of the hypotheses, each with its `log_probability`.
        """
        calibration = self.calibrations.get(decoder_name(decoder))
        if calibration is None:
            scores, more = character_scores(frames.probabilities, hypotheses[0]), {}
        else:
            space = self.tokenizer.encoder.get(" ")
            confidence = calibration.confidence(frames.probabilities, hypotheses, space)
            scores, more = confidence.characters, {"confidence": confidence}
        score, columns = line_score(scores), frames.columns
        found = self.line_of(hypotheses[0], scores, score, columns_per_frame=columns, width=frames.width)
        alternatives = tuple((self._text_of(each), each.log_probability) for each in hypotheses)
        return {**found, **more, "alternatives": alternatives}

    def _text_of(self, hypothesis: Hypothesis) -> str:
        return self.tokenizer.convert_tokens_to_string([self.tokenizer.character(index) for index in hypothesis.ids])

    def line_of(
        self,
        hypothesis: Hypothesis,
        scores: Sequence[float],
        score: float,
        output_char_offsets: bool = False,
        columns_per_frame: float | None = None,
        width: int | None = None,
    ) -> dict:
        """
        What `post_process_text_recognition` of a family returns for a line.

        Args:
            scores: Of the characters.
            score: Of the line.
            output_char_offsets: Whether to add `char_offsets`: `char`, `start_offset` and `end_offset` (frames, end
                exclusive) and `score`.
            columns_per_frame: Pixel columns of the image that a frame stands for, to add `characters`.
            width: Of that image, in pixels.
        """
        characters = [self.tokenizer.character(token_id) for token_id in hypothesis.ids]
        found = list(zip(characters, scores, hypothesis.spans, strict=True))
        line = {"text": self.tokenizer.convert_tokens_to_string(characters), "score": score}
        if output_char_offsets:
            line["char_offsets"] = [
                {"char": char, "score": score, "start_offset": start, "end_offset": end}
                for char, score, (start, end) in found
            ]
        if columns_per_frame is not None:
            line["characters"] = [
                {
                    "char": char,
                    "score": score,
                    "start": min(start * columns_per_frame, float(width)),
                    "end": min(end * columns_per_frame, float(width)),
                }
                for char, score, (start, end) in found
            ]
        return line

    def write_model_card(
        self, folder: str | os.PathLike, model: PreTrainedModel, facts: ModelFacts | None = None
    ) -> ModelFacts:
        """
        Writes the model card of a folder, before `model` and this processor are saved there; see `model_card.py`.

        Args:
            facts: What is known of the model beyond what it and this processor tell.

        Returns:
            The facts that the card has, with those of the card that was carried on.
        """
        return write_model_card(folder, model, self._describe(model), facts)

    def _describe(self, model: PreTrainedModel) -> ModelDescription:
        """What the model card says of any model with this processor."""
        raise NotImplementedError


__all__ = ["LineProcessor"]
