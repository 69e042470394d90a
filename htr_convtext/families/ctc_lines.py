"""What the families have in common that read lines of any width by CTC over frames."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCTC,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from processing.ctc import required_frames

from ..errors import InputError
from .family import Family


IMAGES = ("image_preparation", "height", "max_width", "horizontal_scale")
MAX_HEIGHT = 64  # of the networks
WIDEST = 32  # times the height, where `max_width` is not given


class CTCLineFamily(Family):
    """
    Families with the processor of HTR-ConvText.

    Their configurations have `vocab_size`, `masking`, `frames(width)` and `inputs_to_logits_ratio`, their networks
    `resize_vocabulary` and `replace_vocabulary`.
    """

    auto_model = AutoModelForCTC
    tokenizer_class = HTRConvTextTokenizer
    config_class: ClassVar[type[PreTrainedConfig]]
    base_model_class: ClassVar[type[PreTrainedModel]]
    model_class: ClassVar[type[PreTrainedModel]]
    training: ClassVar[Mapping[str, Any]]  # what a network is trained with unless something else is asked for
    training_only: ClassVar[frozenset[str]]  # values of the configuration that reading does not depend on

    @abstractmethod
    def new_config(self, size: str, **values) -> PreTrainedConfig:
        """The named configuration, with some values replaced."""

    def register(self) -> None:
        config_class = self.config_class
        AutoConfig.register(self.model_type, config_class, exist_ok=True)
        AutoModel.register(config_class, self.base_model_class, exist_ok=True)
        AutoModelForCTC.register(config_class, self.model_class, exist_ok=True)
        image_processors = {"pil": HTRConvTextImageProcessor}
        AutoImageProcessor.register(config_class, image_processor_classes=image_processors, exist_ok=True)
        AutoTokenizer.register(config_class, tokenizer_class=HTRConvTextTokenizer, exist_ok=True)
        AutoProcessor.register(config_class, HTRConvTextProcessor, exist_ok=True)

    def new_model(
        self, tokenizer: HTRConvTextTokenizer, settings: Mapping[str, Any]
    ) -> tuple[PreTrainedModel, HTRConvTextProcessor]:
        self.refuse_unknown(settings, ("size", *self.training, *IMAGES))
        size = settings.get("size", self.configurations[0])
        config = self.new_config(size, vocab_size=len(tokenizer), **self.changes_for_training(settings))
        processor = HTRConvTextProcessor(_new_image_processor(settings), tokenizer)
        return self.model_class(config), processor

    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        changes = {name: settings.get(name, value) for name, value in self.training.items()}
        return {**changes, "masking": None if changes["masking"] == "none" else changes["masking"]}

    def changes_for_sharing(self) -> dict[str, Any]:
        return {"masking": None}

    def reading_settings(self, config: PreTrainedConfig) -> dict[str, Any]:
        own = {each.name for each in fields(self.config_class)} - {each.name for each in fields(PreTrainedConfig)}
        return {name: getattr(config, name) for name in sorted(own - self.training_only)}

    def change_processor(self, processor: HTRConvTextProcessor, settings: Mapping[str, Any]) -> None:
        self.refuse_unknown(settings, ("size", *self.training, *IMAGES))
        asked = {name: settings[name] for name in IMAGES if name in settings}
        if asked:
            before = _image_settings(processor.image_processor)
            if asked.get("image_preparation", before["image_preparation"]) != before["image_preparation"]:
                before = {}  # nothing of one preparation has a meaning in the other
            elif "height" in asked and "max_width" not in asked:
                before["max_width"] = round(before["max_width"] * asked["height"] / before["height"])
            processor.image_processor = _new_image_processor({**before, **asked})

    def add_characters(self, model: PreTrainedModel, processor: HTRConvTextProcessor, characters: str) -> None:
        processor.tokenizer.add_characters(characters)
        model.resize_vocabulary(len(processor.tokenizer))

    def replace_charset(
        self, model: PreTrainedModel, processor: HTRConvTextProcessor, tokenizer: HTRConvTextTokenizer
    ) -> None:
        known = processor.tokenizer.encoder
        model.replace_vocabulary([0, *(known.get(character) for character in tokenizer.charset)])
        processor.tokenizer = tokenizer

    def settings_of(self, model: PreTrainedModel, processor: HTRConvTextProcessor) -> dict[str, Any]:
        config = model.config
        found, vocab_size = self.reading_settings(config), config.vocab_size
        same = [
            size
            for size in self.configurations
            if self.reading_settings(self.new_config(size, vocab_size=vocab_size)) == found
        ]
        training = {name: getattr(config, name) for name in self.training}
        training["masking"] = training["masking"] or "none"
        return {"size": (*same, None)[0], **training, **_image_settings(processor.image_processor)}

    def reason_against(self, labels: Sequence, width: int, config: PreTrainedConfig) -> str | None:
        return "more characters than frames" if required_frames(labels) > config.frames(width) else None

    def is_narrow(self, text: str, height: int, width: int) -> bool:
        width = _default_image_processor().resized_width(height, width)
        return self.reason_against(text, width, _default_config(self.config_class)) is not None

    @property
    def default_frames(self) -> str:
        height = _default_image_processor().size["height"]
        ratio = _default_config(self.config_class).inputs_to_logits_ratio
        return f"at height {height}, a frame for each {ratio} pixels"


@cache
def _default_config(config_class: type[PreTrainedConfig]) -> PreTrainedConfig:
    return config_class()


_default_image_processor = cache(HTRConvTextImageProcessor)


def _new_image_processor(settings: Mapping[str, Any]) -> HTRConvTextImageProcessor:
    if settings.get("image_preparation", "aspect") == "published":
        published = HTRConvTextImageProcessor.published()
        fixed = _image_settings(published)
        other = [name for name in IMAGES if settings.get(name, fixed[name]) != fixed[name]]
        if other:
            raise InputError(f"The published image preparation has its own {', '.join(other)}; leave that out.")
        return published
    height = settings.get("height", MAX_HEIGHT)
    if not 1 <= height <= MAX_HEIGHT:
        raise InputError(f"--height {height}: lines may be 1 to {MAX_HEIGHT} pixels high.")
    width = settings.get("max_width", WIDEST * height)
    scale = settings.get("horizontal_scale", 1.0)
    if width < 1 or not scale > 0:
        raise InputError("--max_width and --horizontal_scale must be positive.")
    return HTRConvTextImageProcessor(size={"height": height, "width": width}, horizontal_scale=scale)


def _image_settings(image_processor: HTRConvTextImageProcessor) -> dict[str, Any]:
    return {
        "image_preparation": "published" if image_processor.pad_to_max_width else "aspect",
        "height": image_processor.size["height"],
        "max_width": image_processor.size["width"],
        "horizontal_scale": image_processor.horizontal_scale,
    }
