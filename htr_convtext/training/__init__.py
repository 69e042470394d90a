"""Training HTR-ConvText."""

from .trainer import HTRConvTextTrainer, character_metrics


__all__ = ["HTRConvTextTrainer", "character_metrics"]
