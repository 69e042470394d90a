"""The HTR-ConvText family."""

from collections.abc import Mapping
from typing import Any

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC, HTRConvTextModel
from modeling_htr_convtext.configuration_htr_convtext import SIZES
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor

from ..charsets import CHARSET_HELP, charset_tokenizer
from ..errors import InputError
from .ctc_lines import CTCLineFamily
from .htr_convtext_checkpoints import convert_checkpoint


class HTRConvTextFamily(CTCLineFamily):
    """CTC over frames of four pixel columns; a Textual Context Module while training."""

    model_type = HTRConvTextConfig.model_type
    configurations = tuple(SIZES)
    config_class = HTRConvTextConfig
    base_model_class = HTRConvTextModel
    model_class = HTRConvTextForCTC
    training = {
        "use_tcm": True,
        "ctc_loss_weight": 0.1,
        "tcm_loss_weight": 1.0,
        "hidden_dropout": 0.1,
        "attention_dropout": 0.1,
        "drop_path_rate": 0.1,
        "masking": "none",
    }
    unregularised = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "drop_path_rate": 0.0}
    training_only = frozenset(
        {
            *training, "layer_scale_init_value", "initializer_range", "xavier_gain", "mask_ratio", "mask_span_length",
            "mask_block_length", "tcm_context_length", "tcm_hidden_size", "tcm_dropout",
        }
    )  # fmt: skip

    def new_config(self, size: str, **values) -> HTRConvTextConfig:
        return HTRConvTextConfig.from_size(size, **values)

    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        changes = super().changes_for_training(settings)
        if not changes["use_tcm"] and changes["tcm_loss_weight"] != self.training["tcm_loss_weight"]:
            raise InputError("--tcm_loss_weight has no effect without the Textual Context Module; leave it out.")
        return changes

    def changes_for_sharing(self) -> dict[str, Any]:
        return {"use_tcm": False, "masking": None}

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
