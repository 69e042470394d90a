"""Image processor and tokenizer of AttentionHTR and its kin in one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel

from .ctc import Decoder, Hypothesis, LineFrames, character_scores, line_score
from .images import full_size
from .model_card_text import ModelDescription
from .processing_lines import LineProcessor


@dataclass(frozen=True)
class AttentionBeamSearch:
    """The decoder of networks with attention: the most probable text that a search with `num_beams` texts finds."""

    num_beams: int = 5


class AttentionHTRProcessor(LineProcessor):
    r"""
    Images of words to `pixel_values`, texts to `labels`, and the model's outputs back to text.

    Args:
        image_processor ([`AttentionHTRImageProcessor`]): The image processor.
        tokenizer ([`AttentionHTRTokenizer`]): The tokenizer.
    """

    _auto_class = "AutoProcessor"  # saved folders carry this code

    def post_process_text_recognition(
        self,
        outputs,
        output_char_offsets: bool = False,
        decoder: Decoder | None = None,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        sequences: torch.Tensor | None = None,
    ) -> list[dict]:
        """
        Text of the model's outputs.

        Args:
            outputs ([`AttentionHTROutput`]): Of the model without `labels`, or with `decoder_input_ids` of `sequences`.
            output_char_offsets: Whether to add the characters with their frames and scores.
            decoder: With CTC: takes the probabilities `(frames, vocab_size)` of an image and gives hypotheses, the best
                first (`ctc.py`); by default that of `decoder()`.
            image_sizes: Width and height of each image before it was resized, to add the characters with their pixel
                columns there.
            sequences: With attention: the ids that a search found, `(batch_size, steps)`, without the start symbol; by
                default the best of each step.

        Returns:
            For each image `text` and `score`, the mean probability of the characters, 0 where nothing was read;
            `char_offsets` and `characters` as [`LineProcessor.line_of`] has them. With attention a character has one
            frame, the one of most weight when it was written.
        """
        probabilities = outputs.logits.detach().float().softmax(-1).cpu().numpy()
        frames = outputs.encoder_last_hidden_state.shape[1]
        alignments = None if outputs.alignments is None else outputs.alignments.detach().float().cpu().numpy()
        results = []
        for index, steps in enumerate(probabilities):
            if alignments is None:
                best = (decoder or self.decoder())(steps)[0]
                scores = character_scores(steps, best)
            else:
                path = steps.argmax(-1) if sequences is None else sequences[index].cpu().numpy()
                best, scores = self._written(path, steps, alignments[index])
            width = columns = None
            if image_sizes is not None:
                width, columns = image_sizes[index][0], self._columns(image_sizes[index], frames)
            results.append(self.line_of(best, scores, line_score(scores), output_char_offsets, columns, width))
        return results

    def line_frames(self, model: PreTrainedModel, images: Sequence[Image.Image]) -> list[LineFrames]:
        outputs = model(**self(images=images, return_tensors="pt").to(model.device))
        probabilities = outputs.logits.detach().float().softmax(-1).cpu().numpy()
        return [
            LineFrames(frames, self._columns(size, len(frames)), size[0])
            for frames, size in zip(probabilities, map(full_size, images), strict=True)
        ]

    def _columns(self, size: tuple[int, int], frames: int) -> float:
        """Pixel columns of an image that a frame stands for."""
        width, height = size
        image_processor = self.image_processor
        return image_processor.size.width / frames * (width / image_processor.resized_width(height, width))

    def _written(
        self, path: np.ndarray, probabilities: np.ndarray, alignments: np.ndarray
    ) -> tuple[Hypothesis, list[float]]:
        """What attention wrote, the symbols of a path, and the scores of its characters."""
        ends = np.flatnonzero(path == self.tokenizer.eos_token_id)
        length = int(ends[0]) if len(ends) else len(path)
        chosen = np.take_along_axis(probabilities, path[:, None], 1)[:, 0]
        kept = [step for step in range(length) if path[step] >= self.tokenizer.first_character]
        frames = alignments.argmax(-1)[kept].tolist()
        hypothesis = Hypothesis(
            tuple(path[kept].tolist()),
            tuple((frame, frame + 1) for frame in frames),
            float(np.log(chosen[: length + 1], dtype=np.float64).sum()),
        )
        return hypothesis, chosen[kept].tolist()

    def recognize(
        self,
        model: PreTrainedModel,
        images: Sequence[Image.Image],
        decoder: Decoder | AttentionBeamSearch | None = None,
    ) -> list[dict]:
        """As [`LineProcessor.recognize`]; with attention the decoder is an [`AttentionBeamSearch`]."""
        inputs = self(images=images, return_tensors="pt").to(model.device)
        sizes = [full_size(image) for image in images]
        num_beams = getattr(decoder, "num_beams", 1)
        if num_beams == 1:
            return self.post_process_text_recognition(model(**inputs), decoder=decoder, image_sizes=sizes)
        encoder_outputs = model.get_encoder()(**inputs)
        sequences = model.generate(**inputs, num_beams=num_beams)
        outputs = model(encoder_outputs=encoder_outputs, decoder_input_ids=sequences[:, :-1])
        return self.post_process_text_recognition(outputs, image_sizes=sizes, sequences=sequences[:, 1:])

    def _describe(self, model: PreTrainedModel) -> ModelDescription:
        config, image_processor = model.config, self.image_processor
        height, width = image_processor.size["height"], image_processor.size["width"]
        keeps = image_processor.keep_aspect_ratio
        kept = "keep their shape, the last column repeated up to" if keeps else "are brought to"
        has_attention = config.prediction == "attention"
        longest = config.max_text_length if has_attention else config.frames(width)
        stages = [config.transformation, config.features, config.sequence, config.prediction]
        stages = ", ".join(stage for stage in stages if stage != "none")
        return ModelDescription(
            architecture="Word recogniser of four stages ([arXiv 1904.01906](https://arxiv.org/abs/1904.01906), "
            f"[AttentionHTR](https://arxiv.org/abs/2201.09390)): {stages}",
            auto_model="AutoModelForTextRecognition",
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            charset=self.tokenizer.charset,
            unicode_form=self.tokenizer.unicode_form,
            text_policy=self.tokenizer.init_kwargs.get("text_policy"),
            images=(f"Words become grey and {kept} {width} × {height} pixels.",),
            limits=(
                "It reads images of single words, cut out beforehand, not lines.",
                f"Words of more than {longest} characters cannot be read whole.",
                "It can write nothing but the characters above."
                + (" It does not tell upper from lower case." if self.tokenizer.do_lower_case else ""),
                "The score of a word is the mean probability of its characters, not that of the word being right.",
            ),
            tags=("htr", "handwriting", "word-recognition", "attention" if has_attention else "ctc", "attention-htr"),
            language_models=self.language_model_names,
        )


__all__ = ["AttentionBeamSearch", "AttentionHTRProcessor"]
