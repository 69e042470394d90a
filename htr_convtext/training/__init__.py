"""Training line recognisers."""

from .arguments import LineTrainingArguments, ModelArguments, parse_arguments, parse_weights
from .build import build_model, find_text_policy
from .checkpoints import find_checkpoint, is_finished, last_checkpoint
from .trainer import LineTrainer, character_metrics


__all__ = [
    "LineTrainer",
    "LineTrainingArguments",
    "ModelArguments",
    "build_model",
    "character_metrics",
    "find_checkpoint",
    "find_text_policy",
    "is_finished",
    "last_checkpoint",
    "parse_arguments",
    "parse_weights",
]
