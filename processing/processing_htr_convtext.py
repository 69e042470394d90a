"""Image processor and tokenizer of HTR-ConvText, and of other networks that read lines by CTC, in one."""

import re
from collections.abc import Sequence

import numpy as np
from PIL import Image
from transformers import PreTrainedModel

from .ctc import Decoder, LineFrames, character_scores, line_score
from .images import full_size
from .model_card_text import ModelDescription
from .processing_lines import LineProcessor


class HTRConvTextProcessor(LineProcessor):
    r"""
    Line images to `pixel_values` and `pixel_mask`, texts to `labels`, and the model's outputs back to text.

    Args:
        image_processor ([`HTRConvTextImageProcessor`]): The image processor.
        tokenizer ([`HTRConvTextTokenizer`]): The tokenizer.
    """

    _auto_class = "AutoProcessor"  # saved folders carry this code

    def post_process_text_recognition(
        self,
        outputs,
        output_char_offsets: bool = False,
        decoder: Decoder | None = None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        inputs_to_logits_ratio: int | None = None,
    ) -> list[dict]:
        """
        Text of the model's outputs.

        Args:
            outputs ([`HTRConvTextForCTCOutput`]): With `logits` `(batch_size, sequence_length, vocab_size)` and, if a
                `pixel_mask` was given, `attention_mask` `(batch_size, sequence_length)`.
            output_char_offsets: Whether to add the characters with their frames and scores.
            decoder: Takes the probabilities `(frames, vocab_size)` of a line and gives hypotheses, the best first
                (`ctc.py`). By default that of `decoder()`: with a language model if there is one, else greedy.
            image_sizes: Width and height of each image before it was resized, to add the characters with their pixel
                columns there. Needs `inputs_to_logits_ratio`, which the model's configuration has.

        Returns:
            For each line `text` and `score`, the mean probability of the characters, 0 where nothing was read.
            With `output_char_offsets` also `char_offsets`, for each character `char`, `start_offset` and `end_offset`
            (frames, end exclusive) and `score`, the highest probability of its frames. With `image_sizes` also
            `characters`: `char`, `score`, `start` and `end`.
        """
        decoder = decoder or self.decoder()
        results = []
        for index, frames in enumerate(_probabilities(outputs)):
            best = decoder(frames)[0]
            scores = character_scores(frames, best)
            width = columns = None
            if image_sizes is not None:
                width, columns = image_sizes[index][0], self._columns(image_sizes[index], inputs_to_logits_ratio)
            results.append(self.line_of(best, scores, line_score(scores), output_char_offsets, columns, width))
        return results

    def recognize(
        self, model: PreTrainedModel, images: Sequence[Image.Image], decoder: Decoder | None = None
    ) -> list[dict]:
        """As [`LineProcessor.recognize`], with a decoder as for `post_process_text_recognition`."""
        decoder = decoder or self.decoder()
        lines = self.line_frames(model, images)
        return [self.read_frames(line, decoder(line.probabilities), decoder) for line in lines]

    def line_frames(self, model: PreTrainedModel, images: Sequence[Image.Image]) -> list[LineFrames]:
        outputs = model(**self(images=images, return_tensors="pt").to(model.device))
        ratio = model.config.inputs_to_logits_ratio
        return [
            LineFrames(frames, self._columns(size, ratio), size[0])
            for frames, size in zip(_probabilities(outputs), map(full_size, images), strict=True)
        ]

    def _columns(self, size: tuple[int, int], ratio: int) -> float:
        """Pixel columns of an image that a frame stands for."""
        width, height = size
        return ratio * (width / self.image_processor.resized_width(height, width))

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
            architecture=f"{model.paper}, CTC over frames of the line",
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
                *(f"Confidences are calibrated for the decoder `{name}`." for name in self.calibrations),
            ),
            tags=("htr", "handwriting", "ctc", model.config.model_type.replace("_", "-")),
            language_models=self.language_model_names,
        )


def _probabilities(outputs) -> list[np.ndarray]:
    """Of each line `(frames, vocab_size)`, without padding."""
    probabilities = outputs.logits.detach().float().softmax(-1).cpu().numpy()
    mask = getattr(outputs, "attention_mask", None)
    lengths = [probabilities.shape[1]] * len(probabilities) if mask is None else mask.sum(-1).tolist()
    return [frames[:length] for frames, length in zip(probabilities, lengths, strict=True)]


__all__ = ["HTRConvTextProcessor"]
