"""`pipeline("image-to-text", model=..., trust_remote_code=True)` for the models of all families."""

import os
from collections.abc import Callable
from typing import Any

from transformers import Pipeline


class LinePipeline(Pipeline):
    """
    Reads images of lines, or of words with a model of words: file names, URLs, Base64, bytes, opened files, Pillow
    images, arrays, `{"bytes": ...}` as `datasets` has them, or lists or tuples of these.

    Each line gives a dict of `text` and `score`, the mean probability of its characters. With
    `return_characters=True` also `characters`: for each its `char`, `score`, and `start` and `end`, the pixel columns
    of the given image (after its EXIF orientation) where it was recognised; and what else `recognize` of the processor
    gives: with CTC `alternatives` and, if the model is calibrated, `confidence`.

    `decoder` is one of the model's processor (`pipe.processor.decoder("greedy")`) or your own (see its `recognize`); by
    default the model's language models are used, if it has any.

    Lines of any widths can be batched (`batch_size=8`); a line reads the same alone and in a batch.
    """

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False

    def __call__(self, inputs: Any, *args, **kwargs) -> dict[str, Any] | list[dict[str, Any]]:
        """
        Raises:
            InputError: if an image cannot be read; it is named, if it has a name.
        """
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        # Those of transformers look at the first of a list.
        return [] if isinstance(inputs, list) and not inputs else super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(
        self, return_characters: bool | None = None, decoder: Callable | None = None, **kwargs
    ) -> tuple[dict, dict, dict]:
        if kwargs:
            raise TypeError(
                f"Unknown arguments: {', '.join(kwargs)}. This pipeline takes `return_characters` and `decoder`."
            )
        forward = {} if decoder is None else {"decoder": decoder}
        return {}, forward, {} if return_characters is None else {"return_characters": return_characters}

    def preprocess(self, inputs: Any) -> dict[str, Any]:
        image_processor = self.processor.image_processor
        image = image_processor.process_image(image_processor.fetch_images(inputs))
        return {"image": image}

    def _forward(self, model_inputs: dict[str, Any], decoder: Callable | None = None) -> dict[str, list[dict]]:
        # Images are padded to a batch here, not by the pipeline's collation, which cannot batch unequal widths.
        images = model_inputs["image"] if isinstance(model_inputs["image"], list) else [model_inputs["image"]]
        return {"lines": self.processor.recognize(self.model, images, decoder)}

    def postprocess(self, model_outputs: dict[str, Any], return_characters: bool = False) -> dict[str, Any]:
        line = model_outputs["lines"][0] if isinstance(model_outputs["lines"], list) else model_outputs["lines"]
        return line if return_characters else {"text": line["text"], "score": line["score"]}

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> None:
        """Saves the model, the processor (which transformers' own pipelines leave out), their code and a model card."""
        self.processor.write_model_card(save_directory, self.model)
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)


__all__ = ["LinePipeline"]
