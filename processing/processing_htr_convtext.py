"""Image processor and tokenizer of HTR-ConvText in one."""

from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, Unpack


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

    valid_processor_kwargs = HTRConvTextProcessorKwargs

    def __init__(self, image_processor, tokenizer):
        super().__init__(image_processor, tokenizer)

    def __call__(self, images=None, text=None, **kwargs: Unpack[HTRConvTextProcessorKwargs]):
        """
        Args:
            images: One line image or a list of them: file names, URLs, Pillow images, arrays or tensors.
            text (`str` or `list[str]`): Ground truth of the lines.

        Returns:
            `pixel_values` `(batch_size, 1, height, width)` and `pixel_mask` `(batch_size, width)` for images, `labels`
            `(batch_size, length)` padded with the blank for text.

        Raises:
            ValueError: if neither is given, an image cannot be read (the file is named), or a text has an unknown
                character (the character and the text are named).
        """
        if images is None and text is None:
            raise ValueError("Give `images`, `text` or both.")
        kwargs = self._merge_kwargs(
            HTRConvTextProcessorKwargs, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs
        )
        inputs = self.image_processor(images, **kwargs["images_kwargs"]) if images is not None else BatchFeature()
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **kwargs["text_kwargs"])["input_ids"]
        return inputs

    @property
    def model_input_names(self) -> list[str]:
        return [*self.image_processor.model_input_names, "labels"]

    def post_process_text_recognition(self, outputs, output_char_offsets: bool = False) -> list[dict]:
        """
        Greedy decoding of the model's outputs.

        Args:
            outputs ([`HTRConvTextForCTCOutput`]): With `logits` `(batch_size, sequence_length, vocab_size)` and, if a
                `pixel_mask` was given, `attention_mask` `(batch_size, sequence_length)`.
            output_char_offsets: Whether to add the characters with their frames and scores.

        Returns:
            For each line `text`, `score` and, if asked for, `char_offsets` (see `HTRConvTextTokenizer.collapse`). The
            score is the mean probability of the characters, or of the blanks where nothing was read.
        """
        scores, token_ids = outputs.logits.float().softmax(-1).max(-1)
        mask = getattr(outputs, "attention_mask", None)
        lengths = [scores.shape[1]] * len(scores) if mask is None else mask.sum(-1).tolist()
        results = []
        for line_scores, line_ids, length in zip(scores.tolist(), token_ids.tolist(), lengths, strict=True):
            characters = self.tokenizer.collapse(line_ids[:length], line_scores[:length])
            text = self.tokenizer.convert_tokens_to_string([character["char"] for character in characters])
            shown = [character["score"] for character in characters] or line_scores[:length]
            result = {"text": text, "score": sum(shown) / max(1, len(shown))}
            if output_char_offsets:
                result["char_offsets"] = characters
            results.append(result)
        return results


__all__ = ["HTRConvTextProcessor"]
