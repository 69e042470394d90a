"""Training HTR-ConvText."""

from .arguments import LineTrainingArguments, ModelArguments
from .build import build_model
from .trainer import HTRConvTextTrainer, character_metrics


__all__ = ["HTRConvTextTrainer", "LineTrainingArguments", "ModelArguments", "build_model", "character_metrics"]
