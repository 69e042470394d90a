"""HTR-ConvText: what the library needs to know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCTC,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
)

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC, HTRConvTextModel
from modeling_htr_convtext.configuration_htr_convtext import SIZES
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from processing.ctc import required_frames

from ..charsets import CHARSET_HELP, charset_tokenizer
from ..errors import InputError
from .family import Family
from .htr_convtext_checkpoints import convert_checkpoint


# What a network is trained with unless something else is asked for.
TRAINING = {
    "use_tcm": True,
    "ctc_loss_weight": 0.1,
    "tcm_loss_weight": 1.0,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "drop_path_rate": 0.1,
    "masking": "none",
}
# What reading does not depend on.
TRAINING_ONLY = {
    *TRAINING, "layer_scale_init_value", "initializer_range", "xavier_gain", "mask_ratio", "mask_span_length",
    "mask_block_length", "tcm_context_length", "tcm_hidden_size", "tcm_dropout",
}  # fmt: skip
IMAGES = ("image_preparation", "height", "max_width", "horizontal_scale")
MAX_HEIGHT = 64  # of the network
WIDEST = 32  # times the height, where `max_width` is not given


class HTRConvTextFamily(Family):
    """CTC over frames of four pixel columns; a Textual Context Module while training."""

    model_type = HTRConvTextConfig.model_type
    configurations = tuple(SIZES)
    auto_model = AutoModelForCTC
    tokenizer_class = HTRConvTextTokenizer

    def register(self) -> None:
        AutoConfig.register(self.model_type, HTRConvTextConfig, exist_ok=True)
        AutoModel.register(HTRConvTextConfig, HTRConvTextModel, exist_ok=True)
        AutoModelForCTC.register(HTRConvTextConfig, HTRConvTextForCTC, exist_ok=True)
        image_processors = {"pil": HTRConvTextImageProcessor}
        AutoImageProcessor.register(HTRConvTextConfig, image_processor_classes=image_processors, exist_ok=True)
        AutoTokenizer.register(HTRConvTextConfig, tokenizer_class=HTRConvTextTokenizer, exist_ok=True)
        AutoProcessor.register(HTRConvTextConfig, HTRConvTextProcessor, exist_ok=True)

    def new_model(
        self, tokenizer: HTRConvTextTokenizer, settings: Mapping[str, Any]
    ) -> tuple[HTRConvTextForCTC, HTRConvTextProcessor]:
        self.refuse_unknown(settings, ("size", *TRAINING, *IMAGES))
        size = settings.get("size", "tiny")
        config = HTRConvTextConfig.from_size(size, vocab_size=len(tokenizer), **self.changes_for_training(settings))
        processor = HTRConvTextProcessor(_new_image_processor(settings), tokenizer)
        return HTRConvTextForCTC(config), processor

    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        changes = {name: settings.get(name, value) for name, value in TRAINING.items()}
        if not changes["use_tcm"] and changes["tcm_loss_weight"] != TRAINING["tcm_loss_weight"]:
            raise InputError("--tcm_loss_weight has no effect without the Textual Context Module; leave it out.")
        return {**changes, "masking": None if changes["masking"] == "none" else changes["masking"]}

    def changes_for_sharing(self) -> dict[str, Any]:
        return {"use_tcm": False, "masking": None}

    def reading_settings(self, config: HTRConvTextConfig) -> dict[str, Any]:
        own = {each.name for each in fields(HTRConvTextConfig)} - {each.name for each in fields(PreTrainedConfig)}
        return {name: getattr(config, name) for name in sorted(own - TRAINING_ONLY)}

    def change_processor(self, processor: HTRConvTextProcessor, settings: Mapping[str, Any]) -> None:
        self.refuse_unknown(settings, ("size", *TRAINING, *IMAGES))
        asked = {name: settings[name] for name in IMAGES if name in settings}
        if asked:
            before = _image_settings(processor.image_processor)
            if asked.get("image_preparation", before["image_preparation"]) != before["image_preparation"]:
                before = {}  # nothing of one preparation has a meaning in the other
            elif "height" in asked and "max_width" not in asked:
                before["max_width"] = round(before["max_width"] * asked["height"] / before["height"])
            processor.image_processor = _new_image_processor({**before, **asked})

    def add_characters(self, model: HTRConvTextForCTC, processor: HTRConvTextProcessor, characters: str) -> None:
        processor.tokenizer.add_characters(characters)
        model.resize_vocabulary(len(processor.tokenizer))

    def replace_charset(
        self, model: HTRConvTextForCTC, processor: HTRConvTextProcessor, tokenizer: HTRConvTextTokenizer
    ) -> None:
        known = processor.tokenizer.encoder
        model.replace_vocabulary([0, *(known.get(character) for character in tokenizer.charset)])
        processor.tokenizer = tokenizer

    def settings_of(self, model: HTRConvTextForCTC, processor: HTRConvTextProcessor) -> dict[str, Any]:
        config = model.config
        sizes = [
            size
            for size in SIZES
            if all(
                getattr(config, name) == getattr(HTRConvTextConfig.from_size(size), name)
                for name in {name for values in SIZES.values() for name in values}
            )
        ]
        training = {name: getattr(config, name) for name in TRAINING}
        training["masking"] = training["masking"] or "none"
        return {"size": (*sizes, None)[0], **training, **_image_settings(processor.image_processor)}

    def reason_against(self, labels: Sequence, width: int, config: HTRConvTextConfig) -> str | None:
        return "more characters than frames" if required_frames(labels) > config.frames(width) else None

    def is_narrow(self, text: str, height: int, width: int) -> bool:
        width = _default_image_processor().resized_width(height, width)
        return self.reason_against(text, width, _default_config()) is not None

    @property
    def default_frames(self) -> str:
        height, ratio = _default_image_processor().size["height"], _default_config().inputs_to_logits_ratio
        return f"at height {height}, a frame for each {ratio} pixels"

    def recognizes(self, checkpoint: Mapping[str, Any]) -> bool:
        return not {"model", "state_dict_ema"}.isdisjoint(checkpoint)

    def convert(
        self, checkpoint: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[HTRConvTextForCTC, HTRConvTextProcessor]:
        if "charset" not in settings:
            raise InputError(f"Give --charset, the alphabet it was trained with: {CHARSET_HELP} in their order.")
        try:
            tokenizer = charset_tokenizer(settings["charset"], self.tokenizer_class)
        except InputError as error:
            raise InputError(f"--charset {settings['charset']}: {error}") from None
        weights, keep_tcm = settings.get("weights", "ema"), settings.get("keep_tcm", False)
        model = convert_checkpoint(checkpoint, len(tokenizer), weights, keep_tcm)
        return model, HTRConvTextProcessor(HTRConvTextImageProcessor.published(), tokenizer)


_default_config = cache(HTRConvTextConfig)
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
