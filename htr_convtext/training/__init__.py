"""Training HTR-ConvText."""

from .arguments import LineTrainingArguments, ModelArguments, parse_arguments
from .build import build_model
from .checkpoints import last_checkpoint
from .trainer import HTRConvTextTrainer, character_metrics


__all__ = [
    "HTRConvTextTrainer",
    "LineTrainingArguments",
    "ModelArguments",
    "build_model",
    "character_metrics",
    "last_checkpoint",
    "parse_arguments",
]
