"""TrOCR and its kin, through the classes of transformers: to read with, and so to compare with."""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from PIL import Image
from transformers import PreTrainedConfig, ProcessorMixin, VisionEncoderDecoderModel

from processing.image_files import naming
from processing.images import array_to_image, as_numpy, open_image, prepared, to_rgb

from ..errors import InputError
from .family import Family, choose_search


BEAMS = {"greedy": 1, "beam": 4}
MAX_TOKENS = 256  # of a line; transformers would stop after 20 where a model says nothing


class _VisionEncoderDecoder(VisionEncoderDecoderModel):
    # The published TrOCR weights have no pooler, which nothing reads, and tensors of older versions of transformers.
    _keys_to_ignore_on_load_missing = [r"^encoder\.pooler\."]
    _keys_to_ignore_on_load_unexpected = [r".*"]


class VisionEncoderDecoderFamily(Family):
    """
    Image encoders with a text decoder, as [TrOCR](https://arxiv.org/abs/2109.10282) is. They are only read with.

    The score of a line is the mean probability of its tokens, the one that ends it included, and 0 where nothing
    was read; where in the line they were seen is not known. `"beam"` searches with four beams.
    """

    model_type = "vision-encoder-decoder"
    configurations = ()
    auto_model = _VisionEncoderDecoder

    def register(self) -> None:
        """Transformers knows its own classes."""

    # --- reading ---

    def open_image(self, processor: ProcessorMixin, image: Any) -> Image.Image:
        """As `Family.open_image`, in RGB."""
        if hasattr(image, "shape"):
            image = array_to_image(as_numpy(image))
        if isinstance(image, Image.Image):
            with naming(getattr(image, "filename", None) or "The image"):
                image.load()
            return prepared(image, to_rgb)
        return open_image(image, convert=to_rgb)

    def recognize(
        self, model: VisionEncoderDecoderModel, processor: ProcessorMixin, images: Sequence[Image.Image], decoder: int
    ) -> list[dict[str, Any]]:
        """`decoder`: the number of beams."""
        pixel_values = processor.image_processor(images, return_tensors="pt")["pixel_values"]
        generated = model.generate(
            pixel_values.to(model.device, model.dtype),
            max_length=min(MAX_TOKENS, getattr(model.config.decoder, "max_position_embeddings", MAX_TOKENS)),
            num_beams=decoder,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        log_probabilities = model.compute_transition_scores(
            generated.sequences, generated.scores, getattr(generated, "beam_indices", None), normalize_logits=True
        )
        tokens = generated.sequences[:, 1:]  # without the one that starts all lines
        ends = torch.isin(tokens, torch.as_tensor(model.generation_config.eos_token_id, device=tokens.device))
        is_text = ends.cumsum(-1) - ends.int() == 0  # what comes after the first end is padding
        scores = (log_probabilities.exp() * is_text).sum(-1) / is_text.sum(-1)
        texts = processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [
            {"text": text, "score": score if text else 0.0, "characters": []}
            for text, score in zip(texts, scores.tolist(), strict=True)
        ]

    def reads_frames(self, config: PreTrainedConfig) -> bool:
        return False

    def decoder(
        self, name: str | None, language: str | None, config: PreTrainedConfig, processor: ProcessorMixin
    ) -> tuple[str, int]:
        return choose_search(BEAMS, name, language)

    def charset(self, processor: ProcessorMixin) -> None:
        """Tokens make texts of any characters."""

    # --- what transformers does by itself ---

    def _refuse(self, *args, **kwargs) -> NoReturn:
        raise InputError(
            f"A {self.model_type} model (TrOCR) is only read with here; train, change and save it with transformers."
        )

    tokenizer_class = default_frames = property(_refuse)
    new_model = changes_for_training = changes_for_sharing = reading_settings = settings_of = _refuse
    change_processor = add_characters = replace_charset = write_model_card = _refuse
    reason_against = is_narrow = _refuse
