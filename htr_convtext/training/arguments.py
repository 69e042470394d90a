"""The settings of a training run, from the command line, a YAML file or both."""

import argparse
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import is_tensorboard_available

from htr_convtext.charsets import CHARSET_HELP
from htr_convtext.errors import InputError


logger = logging.getLogger(__name__)


@dataclass
class ModelArguments:
    """What is trained, and on what."""

    data: list[str] = field(metadata={"help": "Data sets, as `htr_convtext.data.load_lines` takes them."})
    model: str | None = field(
        default=None,
        metadata={
            "help": "Saved model to go on from, or `bundled`, the one of this package. Its network and image size are "
            "kept; characters that are new in the training text are added to its charset, or `charset` replaces it."
        },
    )
    size: Literal["tiny", "small", "base"] | None = field(
        default=None, metadata={"help": "Network; by default tiny. A saved model has its own."}
    )
    image_preparation: Literal["aspect", "published"] | None = field(
        default=None,
        metadata={
            "help": "Lines keep their aspect ratio (by default), or are squashed and padded to 64 x 512 pixels as in "
            "the published system, which has its own height, max_width and horizontal_scale."
        },
    )
    height: int | None = field(
        default=None, metadata={"help": "Height of the line images in pixels, 1 to 64; by default 64."}
    )
    max_width: int | None = field(
        default=None, metadata={"help": "Widest line in pixels; by default 32 times the height."}
    )
    horizontal_scale: float | None = field(
        default=None, metadata={"help": "Width in units of the aspect-true width; by default 1."}
    )
    charset: str | None = field(
        default=None,
        metadata={"help": f"Characters to learn: {CHARSET_HELP}. By default those of the training text."},
    )
    min_character_count: int | None = field(
        default=None, metadata={"help": "Characters rarer than this in the training text are left out of the charset."}
    )
    text_policy: str | None = field(
        default=None,
        metadata={
            "help": "JSON file of a text policy for all splits. By default that of the prepared data, else that of "
            "the model, else Unicode form NFC, spaces folded."
        },
    )
    use_tcm: bool | None = field(
        default=None, metadata={"help": "Train with the Textual Context Module; by default True."}
    )
    ctc_loss_weight: float | None = field(default=None, metadata={"help": "Weight of the CTC loss; by default 0.1."})
    tcm_loss_weight: float | None = field(
        default=None, metadata={"help": "Weight of the textual context loss; by default 1."}
    )
    masking: Literal["none", "span", "block", "single"] | None = field(
        default=None,
        metadata={
            "help": "Hide a share of the frames while training: in spans, blocks or one by one; by default none."
        },
    )
    hidden_dropout: float | None = field(
        default=None, metadata={"help": "Dropout of the sub-layers of the encoder; by default 0.1."}
    )
    attention_dropout: float | None = field(
        default=None, metadata={"help": "Dropout of its attention weights; by default 0.1."}
    )
    drop_path_rate: float | None = field(
        default=None, metadata={"help": "Stochastic depth of its last block; by default 0.1."}
    )
    augmentation: Literal["none", "published", "default"] = field(
        default="default",
        metadata={"help": "Changes to the training images: none, the three of the published recipe, or all."},
    )
    augmentation_strength: float = field(default=1.0, metadata={"help": "How far they go, in units of their usual."})
    preview: str | None = field(
        default=None, metadata={"help": "PNG file for a picture of augmented training lines; then nothing is trained."}
    )

    # What a family of models may have; each says what it does with them (`families`).
    NETWORK = (
        "size", "image_preparation", "height", "max_width", "horizontal_scale", "use_tcm", "ctc_loss_weight",
        "tcm_loss_weight", "masking", "hidden_dropout", "attention_dropout", "drop_path_rate",
    )  # fmt: skip

    def network_settings(self) -> dict[str, Any]:
        """The settings of network and images that were given."""
        return {name: getattr(self, name) for name in self.NETWORK if getattr(self, name) is not None}


MAX_STEPS = 10_000
SAVE_STEPS = 1000


def _default(name: str, value: Any, remark: str = "") -> Any:
    """Another default for a setting of `TrainingArguments`, with its help."""
    metadata = TrainingArguments.__dataclass_fields__[name].metadata
    return field(default=value, metadata={**metadata, "help": metadata.get("help", "") + remark})


@dataclass
class LineTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for line recognition, and what they lack."""

    max_minutes: float = field(
        default=0.0,
        metadata={"help": "Time budget, evaluations included, that replaces max_steps; the schedule stretches to it."},
    )
    min_learning_rate: float = field(default=1e-7, metadata={"help": "Learning rate at the end of the schedule."})
    sam_rho: float = field(
        default=0.0, metadata={"help": "Radius of sharpness-aware minimisation, twice the work; 0 turns it off."}
    )
    ema_decay: float = field(
        default=0.9999, metadata={"help": "Largest decay of the averaged weights; 0 turns the average off."}
    )
    early_stopping_patience: int = field(
        default=0, metadata={"help": "Evaluations without a better CER after which training ends; 0: never."}
    )
    source_weights: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Share of data sets in training, NAME=WEIGHT; those not named have 1. By default each line comes "
            "once in an epoch."
        },
    )
    freeze_backbone: bool = field(default=False, metadata={"help": "Train the encoder and the heads only."})

    per_device_train_batch_size: int = _default("per_device_train_batch_size", 16)
    per_device_eval_batch_size: int = _default("per_device_eval_batch_size", 32)
    learning_rate: float = _default("learning_rate", 1e-3)
    adam_beta2: float = _default("adam_beta2", 0.99)
    weight_decay: float = _default("weight_decay", 0.05)
    warmup_steps: float = _default("warmup_steps", 150, " Of `max_steps` at most a twentieth.")
    max_steps: int = _default("max_steps", -1, f" By default {MAX_STEPS:,}, or as many as `num_train_epochs` takes.")
    num_train_epochs: float = _default("num_train_epochs", 0.0)
    eval_strategy: str = _default("eval_strategy", "steps")
    eval_steps: float = _default("eval_steps", SAVE_STEPS)
    save_strategy: str = _default("save_strategy", "steps")
    save_steps: float = _default("save_steps", 0, " By default as `eval_steps`.")
    save_total_limit: int = _default("save_total_limit", 2)
    load_best_model_at_end: bool = _default("load_best_model_at_end", True)
    metric_for_best_model: str = _default("metric_for_best_model", "cer")
    greater_is_better: bool = _default("greater_is_better", False)
    logging_steps: float = _default("logging_steps", 50)
    dataloader_persistent_workers: bool = _default("dataloader_persistent_workers", True)
    remove_unused_columns: bool = _default("remove_unused_columns", False)
    ddp_find_unused_parameters: bool = _default("ddp_find_unused_parameters", False)
    report_to: str = _default("report_to", "tensorboard" if is_tensorboard_available() else "none")
    seed: int = _default("seed", 123)

    def __post_init__(self):
        if not torch.accelerator.is_available():
            self.use_cpu = True  # or else transformers refuses bf16 there
        if self.max_steps < 0 and not self.num_train_epochs:
            self.max_steps = MAX_STEPS
        self.save_steps = self.save_steps or self.eval_steps
        by_steps = self.eval_strategy == self.save_strategy == "steps"
        if self.load_best_model_at_end and by_steps and self.save_steps != self.eval_steps:
            raise InputError("save_steps must be eval_steps, or else the best model is not always saved.")
        if self.max_minutes < 0 or self.sam_rho < 0 or not 0 <= self.ema_decay < 1:
            raise InputError("max_minutes and sam_rho must not be negative, ema_decay must be in [0, 1).")
        parse_weights(self.source_weights)  # what is wrong with them is said before anything is read
        if self.max_minutes:
            if 0 < self.warmup_steps < 1:
                raise InputError("With max_minutes warmup_steps must be a number of steps, not a share of them.")
            self.max_steps, self.disable_tqdm = 10**9, True  # a bar of steps would say nothing
        self.dataloader_persistent_workers &= self.dataloader_num_workers > 0
        super().__post_init__()
        if self.lr_scheduler_type != TrainingArguments.lr_scheduler_type:
            raise InputError("lr_scheduler_type has no effect: the schedule is a warm-up and half a cosine.")
        if self.save_only_model and self.ema_decay:
            raise InputError("save_only_model leaves out the averaged weights; give ema_decay 0 with it.")
        if self.n_gpu > 1:
            logger.warning("One process uses one GPU of %d; torchrun --nproc_per_node uses them all.", self.n_gpu)
            self._n_gpu = 1
        if self.use_cpu and self.bf16 and torch.backends.cpu.get_cpu_capability() == "AVX2":
            logger.warning("Without AVX-512, as on this CPU, bf16 makes steps many times slower; give --bf16 False.")


def parse_weights(words: Iterable[str]) -> dict[str, float]:
    """
    The weights of `NAME=WEIGHT ...`.

    Raises:
        InputError: names the word that is not of this form.
    """
    weights = {}
    for word in words:
        name, _, weight = word.rpartition("=")
        try:
            weights[name] = float(weight)
        except InputError:
            name = ""
        if not name:
            raise InputError(f"{word!r} is not a data set and its weight, such as letters=2.5.")
    return weights


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults, and the examples as they are written."""


def parse_arguments(arguments: list[str], **parser_options) -> tuple[ModelArguments, LineTrainingArguments]:
    """
    The settings of a command line. Its first word may be a YAML file of the same names; words after it win.

    Ends the program with a message, as `argparse` does, if a name or value is wrong.
    """
    parser = HfArgumentParser((ModelArguments, LineTrainingArguments), formatter_class=HelpFormatter, **parser_options)
    if arguments and arguments[0].endswith((".yaml", ".yml")):
        try:
            arguments = [*yaml_as_command_line(arguments[0]), *arguments[1:]]
        except (OSError, InputError) as error:
            parser.error(str(error))
    try:
        return parser.parse_args_into_dataclasses(arguments)
    except (ImportError, ValueError) as error:  # settings that do not go together
        parser.error(str(error))


def yaml_as_command_line(path: str | os.PathLike) -> list[str]:
    """
    The settings of a YAML file as words of a command line.

    Raises:
        OSError: if there is no such file.
        InputError: names the file if it is no mapping of names to values or lists of values.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML. ({error})") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: must map the names of settings to their values.")
    words = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if value is None or any(isinstance(item, (dict, list)) for item in values):
            raise InputError(f"{path}: the value of {name} must be a text, a number, true or false, or a list of them.")
        words += [f"--{name}", *map(str, values)]
    return words
