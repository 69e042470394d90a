"""The settings of a training run."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import TrainingArguments


@dataclass
class ModelArguments:
    """What is trained, and on what."""

    data: list[str] = field(metadata={"help": "Data sets: Parquet folders or files, image folders with metadata."})
    model: str | None = field(
        default=None,
        metadata={
            "help": "Saved model to go on from. Its network and image size are kept; characters that "
            "are new in the training text are added to its charset."
        },
    )
    size: Literal["tiny", "small", "base"] = field(default="tiny", metadata={"help": "Network."})
    height: int = field(default=64, metadata={"help": "Height of the line images in pixels: 32, 48 or 64."})
    max_width: int = field(default=0, metadata={"help": "Widest line in pixels; 0 is 32 times the height."})
    horizontal_scale: float = field(default=1.0, metadata={"help": "Width in units of the aspect-true width."})
    charset: str | None = field(
        default=None, metadata={"help": "UTF-8 file of the characters to learn; by default those of the training text."}
    )
    min_character_count: int = field(
        default=1, metadata={"help": "Characters rarer than this in the training text are left out of the charset."}
    )
    use_tcm: bool = field(default=True, metadata={"help": "Train with the Textual Context Module."})
    ctc_loss_weight: float = field(default=0.1, metadata={"help": "Weight of the CTC loss."})
    tcm_loss_weight: float = field(default=1.0, metadata={"help": "Weight of the textual context loss."})
    masking: Literal["none", "span", "block", "single"] = field(
        default="none", metadata={"help": "Hide a share of the frames while training: in spans, blocks or one by one."}
    )
    hidden_dropout: float = field(default=0.1, metadata={"help": "Dropout of the sub-layers of the encoder."})
    attention_dropout: float = field(default=0.1, metadata={"help": "Dropout of its attention weights."})
    drop_path_rate: float = field(default=0.1, metadata={"help": "Stochastic depth of its last block."})


@dataclass
class LineTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for line recognition."""

    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 32
    learning_rate: float = 1e-3
    adam_beta2: float = 0.99
    weight_decay: float = 0.05
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 150
    max_steps: int = 10_000
    eval_strategy: str = "steps"
    eval_steps: float = 1000
    save_strategy: str = "steps"
    save_steps: float = 1000
    save_total_limit: int = 2
    load_best_model_at_end: bool = True
    metric_for_best_model: str = "cer"
    greater_is_better: bool = False
    logging_steps: float = 50
    remove_unused_columns: bool = False
    seed: int = 123
