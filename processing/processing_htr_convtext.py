"""Image processor and tokenizer of HTR-ConvText in one."""

import os
import re
from collections.abc import Mapping, Sequence

from PIL import Image
from transformers import PreTrainedModel
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, Unpack

from .ctc import Decoder, character_scores, decode_greedily, line_score
from .errors import InputError
from .model_card import write_model_card
from .model_card_text import ModelDescription
from .model_facts import ModelFacts


class HTRConvTextProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {
        "text_kwargs": {"padding": True, "add_special_tokens": False, "return_tensors": "pt"},
        "images_kwargs": {"return_tensors": "pt"},
    }


class HTRConvTextProcessor(ProcessorMixin):
    r"""
    Line images to `pixel_values` and `pixel_mask`, texts to `labels`, and the model's outputs back to text.

    Args:
        image_processor ([`HTRConvTextImageProcessor`]): The image processor.
        tokenizer ([`HTRConvTextTokenizer`]): The tokenizer.
    """

    _auto_class = "AutoProcessor"  # saved folders carry this code
    valid_processor_kwargs = HTRConvTextProcessorKwargs

    def __init__(self, image_processor, tokenizer):
        super().__init__(image_processor, tokenizer)

    def __call__(self, images=None, text=None, **kwargs: Unpack[HTRConvTextProcessorKwargs]) -> BatchFeature:
        """
        Args:
            images: One line image or a list of them: file names, URLs, Pillow images, arrays, tensors, or images that
                `datasets` did not decode. Or a list of rows of a data set, dicts with `image` and `text`: so the
                processor is a `data_collator`.
            text (`str` or `list[str]`): Ground truth of the lines.

        Returns:
            `pixel_values` `(batch_size, 1, height, width)` and `pixel_mask` `(batch_size, width)` for images, `labels`
            `(batch_size, length)` for text, padded with the blank, or for rows with -100.

        Raises:
            InputError: if neither is given, an image cannot be read (the file is named), or a text has an unknown
                character (the character and the text are named).
        """
        if images is None and text is None:
            raise InputError("Give `images`, `text` or both.")
        if isinstance(images, Sequence) and len(images) and isinstance(images[0], Mapping) and "image" in images[0]:
            return self._collate(images, **kwargs)
        kwargs = self._merge_kwargs(
            HTRConvTextProcessorKwargs, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs
        )
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

    def post_process_text_recognition(
        self,
        outputs,
        output_char_offsets: bool = False,
        decoder: Decoder | None = None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        inputs_to_logits_ratio: int | None = None,
    ) -> list[dict]:
        """
        Text of the model's outputs; by default of the best class of each frame (greedy decoding).

        Args:
            outputs ([`HTRConvTextForCTCOutput`]): With `logits` `(batch_size, sequence_length, vocab_size)` and, if a
                `pixel_mask` was given, `attention_mask` `(batch_size, sequence_length)`.
            output_char_offsets: Whether to add the characters with their frames and scores.
            decoder: Takes the probabilities `(frames, vocab_size)` of a line and gives hypotheses, the best first
                (`ctc.py`).
            image_sizes: Width and height of each image before it was resized, to add the characters with their pixel
                columns there. Needs `inputs_to_logits_ratio`, which the model's configuration has.

        Returns:
            For each line `text` and `score`, the mean probability of the characters, or of the blanks where nothing
            was read. With `output_char_offsets` also `char_offsets`, for each character `char`, `start_offset` and
            `end_offset` (frames, end exclusive) and `score`, the highest probability of its frames. With `image_sizes`
            also `characters`: `char`, `score`, `start` and `end`.
        """
        probabilities = outputs.logits.detach().float().softmax(-1).cpu().numpy()
        mask = getattr(outputs, "attention_mask", None)
        lengths = [probabilities.shape[1]] * len(probabilities) if mask is None else mask.sum(-1).tolist()
        results = []
        for index, (frames, length) in enumerate(zip(probabilities, lengths, strict=True)):
            frames = frames[:length]
            best = (decoder or decode_greedily)(frames)[0]
            scores = character_scores(frames, best)
            characters = [self.tokenizer.character(token_id) for token_id in best.ids]
            found = list(zip(characters, scores, best.spans, strict=True))
            result = {
                "text": self.tokenizer.convert_tokens_to_string(characters),
                "score": line_score(frames, scores),
            }
            if output_char_offsets:
                result["char_offsets"] = [
                    {"char": char, "score": score, "start_offset": start, "end_offset": end}
                    for char, score, (start, end) in found
                ]
            if image_sizes is not None:
                width, height = image_sizes[index]
                column = inputs_to_logits_ratio * (width / self.image_processor.resized_width(height, width))
                result["characters"] = [
                    {
                        "char": char,
                        "score": score,
                        "start": min(start * column, float(width)),
                        "end": min(end * column, float(width)),
                    }
                    for char, score, (start, end) in found
                ]
            results.append(result)
        return results

    def recognize(
        self, model: PreTrainedModel, images: Sequence[Image.Image], decoder: Decoder | None = None
    ) -> list[dict]:
        """
        Reads line images (`process_image`) with a model: `post_process_text_recognition` of them, with `characters`.
        """
        return self.post_process_text_recognition(
            model(**self(images=images, return_tensors="pt").to(model.device)),
            decoder=decoder,
            image_sizes=[image.size for image in images],
            inputs_to_logits_ratio=model.config.inputs_to_logits_ratio,
        )

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
        # Those of the class: an instance has the patterns of the modules in it too, whose names start elsewhere.
        for_training = re.compile("|".join(type(model)._keys_to_ignore_on_load_unexpected))
        image_processor = self.image_processor
        height, width = image_processor.size["height"], image_processor.size["width"]
        scale = "" if image_processor.horizontal_scale == 1 else f", {image_processor.horizontal_scale} times as wide"
        if image_processor.pad_to_max_width:
            images = f"Lines become grey, {height} pixels high, and are padded or squeezed to {width} pixels of width."
        else:
            images = f"Lines become grey and {height} pixels high{scale}; wider than {width} pixels they are squeezed."
        return ModelDescription(
            architecture="[HTR-ConvText](https://arxiv.org/abs/2512.05021), CTC over frames of the line",
            auto_model="AutoModelForCTC",
            parameters=sum(
                parameter.numel() for name, parameter in model.named_parameters() if not for_training.match(name)
            ),
            charset=self.tokenizer.charset,
            unicode_form=self.tokenizer.unicode_form,
            text_policy=self.tokenizer.init_kwargs.get("text_policy"),
            images=(images,),
            limits=(
                "It reads images of single lines, cut out beforehand; `htr transcribe` finds the lines of a page.",
                "It can write nothing but the characters above.",
                "Hands, languages and centuries that are unlike its training data are read worse: measure it on yours.",
                "The score of a line is the mean probability of its characters, not that of the line being right.",
            ),
            tags=("htr", "handwriting", "ctc", "htr-convtext"),
        )


__all__ = ["HTRConvTextProcessor"]
