"""AttentionHTR, CRNN and their kin: what the library needs to know of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForTextRecognition,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
)

from modeling_attention_htr import AttentionHTRConfig, AttentionHTRForTextRecognition, AttentionHTRModel
from modeling_attention_htr.configuration_attention_htr import NETWORKS
from processing import (
    AttentionBeamSearch,
    AttentionHTRImageProcessor,
    AttentionHTRProcessor,
    AttentionHTRTokenizer,
)
from processing.ctc import required_frames

from ..charsets import charset_tokenizer
from ..checkpoint_files import CheckpointError
from ..errors import InputError
from .attention_htr_checkpoints import PREFIX, convert_checkpoint
from .family import Family, choose_search


IMAGES = ("image_preparation", "height", "max_width")
HEIGHT, WIDTH = 32, 100  # of the published images


class AttentionHTRFamily(Family):
    """Words: four stages, the last attention or CTC."""

    model_type = AttentionHTRConfig.model_type
    configurations = tuple(NETWORKS)
    auto_model = AutoModelForTextRecognition
    tokenizer_class = AttentionHTRTokenizer

    def register(self) -> None:
        AutoConfig.register(self.model_type, AttentionHTRConfig, exist_ok=True)
        AutoModel.register(AttentionHTRConfig, AttentionHTRModel, exist_ok=True)
        AutoModelForTextRecognition.register(AttentionHTRConfig, AttentionHTRForTextRecognition, exist_ok=True)
        image_processors = {"pil": AttentionHTRImageProcessor}
        AutoImageProcessor.register(AttentionHTRConfig, image_processor_classes=image_processors, exist_ok=True)
        AutoTokenizer.register(AttentionHTRConfig, tokenizer_class=AttentionHTRTokenizer, exist_ok=True)
        AutoProcessor.register(AttentionHTRConfig, AttentionHTRProcessor, exist_ok=True)

    # --- building and changing models ---

    def new_model(
        self, tokenizer: AttentionHTRTokenizer, settings: Mapping[str, Any]
    ) -> tuple[AttentionHTRForTextRecognition, AttentionHTRProcessor]:
        self.refuse_unknown(settings, ("size", *IMAGES))
        image_processor = _new_image_processor(settings)
        config = AttentionHTRConfig.from_name(
            settings["size"], image_size=[image_processor.size["height"], image_processor.size["width"]]
        )
        tokenizer = _fitting(tokenizer, config)
        config.vocab_size = len(tokenizer)
        return AttentionHTRForTextRecognition(config), AttentionHTRProcessor(image_processor, tokenizer)

    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def changes_for_sharing(self) -> dict[str, Any]:
        return {}

    def reading_settings(self, config: AttentionHTRConfig) -> dict[str, Any]:
        own = {each.name for each in fields(AttentionHTRConfig)} - {each.name for each in fields(PreTrainedConfig)}
        return {name: getattr(config, name) for name in sorted(own)}

    def change_processor(self, processor: AttentionHTRProcessor, settings: Mapping[str, Any]) -> None:
        # Nothing can be changed: that other settings are refused is seen by comparing them (`settings_of`).
        self.refuse_unknown(settings, ("size", *IMAGES))

    def add_characters(
        self, model: AttentionHTRForTextRecognition, processor: AttentionHTRProcessor, characters: str
    ) -> None:
        tokenizer = processor.tokenizer
        if tokenizer.do_lower_case:
            characters = "".join(dict.fromkeys(characters.lower()))
        tokenizer.add_characters(characters)
        model.resize_vocabulary(len(tokenizer))

    def replace_charset(
        self,
        model: AttentionHTRForTextRecognition,
        processor: AttentionHTRProcessor,
        tokenizer: AttentionHTRTokenizer,
    ) -> None:
        tokenizer = _fitting(tokenizer, model.config)
        known = processor.tokenizer.encoder
        special = range(tokenizer.first_character)
        model.replace_vocabulary([*special, *(known.get(character) for character in tokenizer.charset)])
        processor.tokenizer = tokenizer

    def settings_of(self, model: AttentionHTRForTextRecognition, processor: AttentionHTRProcessor) -> dict[str, Any]:
        stages = ("transformation", "features", "sequence", "prediction")
        found = {stage: getattr(model.config, stage) for stage in stages}
        image_processor = processor.image_processor
        return {
            "size": next((name for name, network in NETWORKS.items() if network == found), None),
            "image_preparation": "aspect" if image_processor.keep_aspect_ratio else "published",
            "height": image_processor.size["height"],
            "max_width": image_processor.size["width"],
        }

    # --- lines to train on ---

    def reason_against(self, labels: Sequence, width: int, config: AttentionHTRConfig) -> str | None:
        if config.prediction == "ctc":
            return "more characters than frames" if required_frames(labels) > config.frames(width) else None
        longest = config.max_text_length
        return f"more than {longest} characters" if len(labels) > longest else None

    def is_narrow(self, text: str, height: int, width: int) -> bool:
        return self.reason_against(text, WIDTH, AttentionHTRConfig()) is not None

    @property
    def default_frames(self) -> str:
        return f"texts of {AttentionHTRConfig().max_text_length} characters at most"

    # --- reading ---

    def reads_frames(self, config: AttentionHTRConfig) -> bool:
        return config.prediction == "ctc"

    def decoder(
        self, name: str | None, language: str | None, config: AttentionHTRConfig, processor: AttentionHTRProcessor
    ) -> tuple[str, Any]:
        if self.reads_frames(config):
            return super().decoder(name, language, config, processor)
        return choose_search({"greedy": None, "beam": AttentionBeamSearch()}, name, language)

    # --- published checkpoints ---

    def recognizes(self, checkpoint: Mapping[str, Any]) -> bool:
        return any(isinstance(name, str) and PREFIX.match(name) for name in checkpoint)

    def training_sets(self, name: str) -> tuple[str, ...]:
        found = re.fullmatch(r"AttentionHTR-(Imgur5K|IAM|General)(-sensitive)?\.pth", name)
        sets = {"Imgur5K": ("Imgur5K",), "IAM": ("IAM words",), "General": ("Imgur5K", "IAM words")}
        return sets[found[1]] if found else ()

    def convert(
        self, checkpoint: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[AttentionHTRForTextRecognition, AttentionHTRProcessor]:
        self.refuse_unknown(settings, ("charset",))
        model = convert_checkpoint(checkpoint)
        published = {len(charset): name for name, charset in AttentionHTRTokenizer.published.items()}
        size = model.config.vocab_size - (2 if model.config.prediction == "attention" else 1)
        name = settings.get("charset") or published.get(size)
        if name is None:
            raise InputError(
                f"The checkpoint knows {size} characters, the published ones know {' or '.join(map(str, published))}: "
                "give --charset, a UTF-8 file of its characters in their order."
            )
        try:
            tokenizer = _fitting(charset_tokenizer(name, AttentionHTRTokenizer), model.config)
        except InputError as error:
            raise InputError(f"--charset {name}: {error}") from None
        if len(tokenizer) != model.config.vocab_size:
            raise CheckpointError(
                f"The checkpoint knows {size} characters, --charset {name} has {len(tokenizer.charset)}: it was "
                "trained with another alphabet."
            )
        return model, AttentionHTRProcessor(AttentionHTRImageProcessor(), tokenizer)


def _new_image_processor(settings: Mapping[str, Any]) -> AttentionHTRImageProcessor:
    if settings.get("height", HEIGHT) != HEIGHT:
        raise InputError(f"--height {settings['height']}: these networks read images of {HEIGHT} rows.")
    width = settings.get("max_width", WIDTH)
    if width < 12:
        raise InputError(f"--max_width {width}: the images must be at least 12 pixels wide.")
    keeps = settings.get("image_preparation", "published") == "aspect"
    return AttentionHTRImageProcessor(size={"height": HEIGHT, "width": width}, keep_aspect_ratio=keeps)


def _fitting(tokenizer: AttentionHTRTokenizer, config: AttentionHTRConfig) -> AttentionHTRTokenizer:
    """The tokenizer, or one like it, with the end symbol of attention or, for CTC, without."""
    if (tokenizer.eos_token is None) == (config.prediction == "ctc"):
        return tokenizer
    names = ("unknown", "replacement", "unicode_form", "do_lower_case")
    options = {name: getattr(tokenizer, name) for name in names}
    end = {"eos_token": None} if config.prediction == "ctc" else {}
    return AttentionHTRTokenizer.from_charset(tokenizer.charset, **options, **end)
