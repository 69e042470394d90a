"""The HTR-VT family."""

from collections.abc import Mapping
from typing import Any

from modeling_htr_vt import HTRVTConfig, HTRVTForCTC, HTRVTModel

from ..errors import InputError
from .ctc_lines import CTCLineFamily


class HTRVTFamily(CTCLineFamily):
    """CTC over frames of four pixel columns; spans of them are hidden while training."""

    model_type = HTRVTConfig.model_type
    configurations = ("htr-vt",)
    config_class = HTRVTConfig
    base_model_class = HTRVTModel
    model_class = HTRVTForCTC
    training = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "masking": "span"}
    training_only = frozenset({*training, "initializer_range", "mask_ratio", "mask_span_length"})

    def new_config(self, size: str, **values) -> HTRVTConfig:
        return HTRVTConfig(**values)

    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        if settings.get("masking", "span") not in ("none", "span"):
            raise InputError(f"--masking {settings['masking']}: a {self.model_type} model hides spans, or none.")
        return super().changes_for_training(settings)
