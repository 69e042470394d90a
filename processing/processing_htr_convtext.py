"""Image processor and tokenizer of HTR-ConvText in one."""

from collections.abc import Callable

import numpy as np
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, Unpack


class HTRConvTextProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {
        "text_kwargs": {"padding": True, "add_special_tokens": False, "return_tensors": "pt"},
        "images_kwargs": {"return_tensors": "pt"},
    }


def align(probabilities: np.ndarray, token_ids: list[int]) -> np.ndarray:
    """
    The most probable way of CTC through a line that gives a text (Viterbi).

    Args:
        probabilities: `(frames, vocab_size)`; class 0 is the blank.
        token_ids: Ids of the characters.

    Returns:
        `(frames,)`, the class of each frame.

    Raises:
        ValueError: if the text does not fit into the frames.
    """
    states = np.zeros(2 * len(token_ids) + 1, dtype=int)
    states[1::2] = token_ids
    skips = np.zeros(len(states), dtype=bool)  # over the blank before, between different characters
    skips[3::2] = states[3::2] != states[1:-2:2]
    with np.errstate(divide="ignore"):
        emissions = np.log(probabilities)[:, states]
    best = np.full(len(states), -np.inf)
    best[:2] = 0
    steps = np.zeros((len(emissions), len(states)), dtype=int)
    for frame, emission in enumerate(emissions):
        if frame:
            moves = np.stack([best, np.roll(best, 1), np.where(skips, np.roll(best, 2), -np.inf)])
            moves[1, :1] = -np.inf
            steps[frame] = moves.argmax(0)
            best = moves.max(0)
        best = best + emission
    state = len(states) - 1 - int(len(states) > 1 and best[-2] > best[-1])
    if best[state] == -np.inf:
        raise ValueError(f"A text of {len(token_ids)} characters does not fit into {len(probabilities)} frames.")
    way = []
    for step in steps[::-1]:
        way.append(state)
        state -= step[state]
    return states[way[::-1]]


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

    def post_process_text_recognition(
        self,
        outputs,
        output_char_offsets: bool = False,
        decoder: Callable[[np.ndarray], list[int]] | None = None,
    ) -> list[dict]:
        """
        Text of the model's outputs; by default of the best class of each frame (greedy decoding).

        Args:
            outputs ([`HTRConvTextForCTCOutput`]): With `logits` `(batch_size, sequence_length, vocab_size)` and, if a
                `pixel_mask` was given, `attention_mask` `(batch_size, sequence_length)`.
            output_char_offsets: Whether to add the characters with their frames and scores.
            decoder: Takes the probabilities `(frames, vocab_size)` of a line and gives the ids of its characters.

        Returns:
            For each line `text`, `score` and, if asked for, `char_offsets` (see `HTRConvTextTokenizer.collapse`). The
            score is the mean probability of the characters, or of the blanks where nothing was read.
        """
        probabilities = outputs.logits.detach().float().softmax(-1).cpu().numpy()
        mask = getattr(outputs, "attention_mask", None)
        lengths = [probabilities.shape[1]] * len(probabilities) if mask is None else mask.sum(-1).tolist()
        results = []
        for frames, length in zip(probabilities, lengths, strict=True):
            frames = frames[:length]
            path = frames.argmax(-1) if decoder is None else align(frames, decoder(frames))
            scores = np.take_along_axis(frames, path[:, None], 1)[:, 0].tolist()
            characters = self.tokenizer.collapse(path, scores)
            text = self.tokenizer.convert_tokens_to_string([character["char"] for character in characters])
            shown = [character["score"] for character in characters] or scores
            result = {"text": text, "score": sum(shown) / max(1, len(shown))}
            if output_char_offsets:
                result["char_offsets"] = characters
            results.append(result)
        return results


__all__ = ["HTRConvTextProcessor"]
