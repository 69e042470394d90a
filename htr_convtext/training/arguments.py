"""The settings of a training run."""

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import TrainingArguments
from transformers.integrations import is_tensorboard_available

from htr_convtext.charsets import CHARSET_HELP
from htr_convtext.errors import InputError
from htr_convtext.families import family_named


logger = logging.getLogger(__name__)


def _setting(text: str, default: Any = None, **options) -> Any:
    """A setting with its help; `options` are those of `argparse`."""
    return field(default=default, metadata={"help": text, **options})


@dataclass
class ModelArguments:
    """What is trained, and on what."""

    data: list[str] = field(
        metadata={"help": "data sets: folders, files or Hub ids, as docs/training.md lists them", "metavar": "SOURCE"}
    )
    model: str | None = _setting(
        "saved model to go on from, or `bundled`; new characters of the training text are added to its charset",
        metavar="DIR",
    )
    size: str | None = _setting(
        "network: tiny, small, base or htr-vt; of words attention-htr, crnn, grcnn, rosetta or tps-resnet-bilstm-ctc "
        "(default: tiny); a saved model has its own",
        metavar="NAME",
    )
    image_preparation: Literal["aspect", "published"] | None = _setting(
        "aspect: lines keep their shape (default); published: squashed and padded to 64 x 512 pixels",
    )
    height: int | None = _setting("of the line images in pixels, 1 to 64 (default: 64)", metavar="PIXELS")
    max_width: int | None = _setting("widest line in pixels (default: 32 times the height)", metavar="PIXELS")
    horizontal_scale: float | None = _setting(
        "width in units of the width that keeps the shape (default: 1)", metavar="FACTOR"
    )
    charset: str | None = _setting(
        f"characters to learn: {CHARSET_HELP} (default: those of the training text and of the model)", metavar="NAME"
    )
    min_character_count: int | None = _setting(
        "characters rarer than this in the training text are not learned (default: 1)", metavar="N"
    )
    unknown_characters: Literal["drop", "leave_out"] = _setting(
        "outside the charset: drop them from the texts, or leave out the lines that have one", "drop"
    )
    max_characters: int | None = _setting("lines with more are left out (default: none)", metavar="N")
    text_policy: str | None = _setting(
        "JSON file of a text policy (default: that of the prepared data, else of the model, else NFC, spaces folded)",
        metavar="FILE",
    )
    use_tcm: bool | None = _setting(
        "train with the Textual Context Module (default: True)", nargs="?", const=True, metavar="BOOL"
    )
    ctc_loss_weight: float | None = _setting("weight of the CTC loss (default: 0.1)", metavar="X")
    tcm_loss_weight: float | None = _setting("weight of the textual context loss (default: 1)", metavar="X")
    masking: Literal["none", "span", "block", "single", "mixed"] | None = _setting(
        "hide a share of the frames: in spans, blocks, one by one, or one of these by batch (default: none)"
    )
    hidden_dropout: float | None = _setting("dropout of the encoder's sub-layers (default: 0.1)", metavar="X")
    attention_dropout: float | None = _setting("dropout of its attention weights (default: 0.1)", metavar="X")
    drop_path_rate: float | None = _setting("stochastic depth of its last block (default: 0.1)", metavar="X")
    augmentation: Literal["none", "published", "default"] = _setting(
        "changes to the training images: none, the three of the published recipe, or all (default: default)", "default"
    )
    augmentation_strength: float = _setting("how far they go, in units of their usual", 1.0, metavar="FACTOR")
    preview: str | None = _setting("draw augmented training lines to this PNG file, train nothing", metavar="FILE")

    # What a family of models may have; each says what it does with them (`families`).
    NETWORK = (
        "size", "image_preparation", "height", "max_width", "horizontal_scale", "use_tcm", "ctc_loss_weight",
        "tcm_loss_weight", "masking", "hidden_dropout", "attention_dropout", "drop_path_rate",
    )  # fmt: skip

    def __post_init__(self):
        if self.augmentation == "none" and self.augmentation_strength != 1:
            raise InputError("--augmentation_strength has no effect with --augmentation none; leave it out or give 1.")
        family_named(self.size)
        if self.charset and self.min_character_count is not None:
            raise InputError("--min_character_count has no effect with --charset; leave one of them out.")
        if self.max_characters is not None and self.max_characters < 1:
            raise InputError(f"--max_characters {self.max_characters}: a line has at least one.")

    def network_settings(self) -> dict[str, Any]:
        """The settings of network and images that were given."""
        return {name: getattr(self, name) for name in self.NETWORK if getattr(self, name) is not None}


MAX_STEPS = 10_000
SAVE_STEPS = 1000
ADADELTA = "adadelta"  # which transformers has not
# What an evaluation measures (`character_metrics`), and whether more of it is better.
METRICS = {"loss": False, "cer": False, "wer": False, "accuracy": True, "accuracy_caseless": True, "ned": True}


WITHOUT_EFFECT = {
    "lr_scheduler_type": "the schedule is a warm-up and half a cosine",
    "lr_scheduler_kwargs": "the schedule is a warm-up and half a cosine",
    "train_sampling_strategy": "batches are formed of lines of similar width",
    "length_column_name": "batches are formed of lines of similar width",
    "do_train": "a training run trains",
    "do_predict": "`htr evaluate` measures on the test split",
}


def _changed(name: str, text: str | None = None, **changes) -> Any:
    """A setting of `TrainingArguments` with another help text, or another default (`default=`)."""
    inherited = TrainingArguments.__dataclass_fields__[name]
    options = {**inherited.metadata, **({"help": text} if text else {})}
    if "metavar" in changes:
        options["metavar"] = changes["metavar"]
    return field(default=changes.get("default", inherited.default), metadata=options)


@dataclass
class LineTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for line recognition, and what they lack."""

    max_minutes: float = _setting(
        "time budget, evaluations included, in place of max_steps and num_train_epochs; the schedule stretches to it",
        0.0, metavar="MINUTES",
    )  # fmt: skip
    min_learning_rate: float = _setting("learning rate at the end of the schedule", 1e-7, metavar="RATE")
    sam_rho: float = _setting(
        "radius of sharpness-aware minimisation, twice the work (default: 0, off)", 0.0, metavar="X"
    )
    ema_decay: float = _setting("largest decay of the averaged weights; 0: no average", 0.9999, metavar="X")
    early_stopping_patience: int = _setting(
        "end after so many evaluations without a better metric_for_best_model (default: 0, never)", 0, metavar="N"
    )
    source_weights: list[str] = field(
        default_factory=list,
        metadata={
            "help": "shares of data sets, those not named have 1 (default: each line once in an epoch)",
            "metavar": "NAME=WEIGHT",
        },
    )
    source_batches: bool = _setting(
        "every batch, not only every epoch, has these shares (default: False)", False, metavar="BOOL"
    )
    freeze_backbone: bool = _setting("train the encoder and the heads only", False, metavar="BOOL")

    output_dir: str | None = _changed("output_dir", "folder of the run (default: trainer_output)", metavar="DIR")
    resume_from_checkpoint: str | None = _changed(
        "resume_from_checkpoint", "go on: True from the newest checkpoint if there is one, or a checkpoint",
        metavar="True|DIR",
    )  # fmt: skip
    per_device_train_batch_size: int = _changed(
        "per_device_train_batch_size", "lines of a step and process", default=16, metavar="N"
    )
    per_device_eval_batch_size: int = _changed(
        "per_device_eval_batch_size", "lines read at once", default=32, metavar="N"
    )
    gradient_accumulation_steps: int = _changed("gradient_accumulation_steps", "batches of a step", metavar="N")
    learning_rate: float = _changed("learning_rate", "peak learning rate", default=1e-3, metavar="RATE")
    optim: str = _changed(
        "optim",
        f"optimiser: one of transformers, or {ADADELTA} with the constants of published word readers "
        "(rho 0.95, eps 1e-8; give it learning_rate 1)",
        metavar="NAME",
    )
    adam_beta2: float = _changed("adam_beta2", default=0.99)
    weight_decay: float = _changed("weight_decay", "of all weights", default=0.05, metavar="X")
    max_grad_norm: float = _changed("max_grad_norm", "longer gradients are cut to this; 0: none", metavar="X")
    warmup_steps: float = _changed(
        "warmup_steps", "steps to the peak, of max_steps at most a twentieth", default=150, metavar="N"
    )
    max_steps: int = _changed(
        "max_steps", f"steps (default: {MAX_STEPS:,}, or as many as num_train_epochs takes)", default=-1, metavar="N"
    )
    num_train_epochs: float = _changed(
        "num_train_epochs", "epochs, where max_steps is not given (default: by max_steps)", default=0.0, metavar="X"
    )
    eval_strategy: str = _changed("eval_strategy", default="steps")
    eval_steps: float = _changed("eval_steps", "steps from one evaluation to the next", default=SAVE_STEPS, metavar="N")
    save_strategy: str = _changed("save_strategy", default="steps")
    save_steps: float = _changed(
        "save_steps", "steps from one checkpoint to the next (default: eval_steps)", default=0, metavar="N"
    )
    save_total_limit: int = _changed(
        "save_total_limit", "checkpoints to keep, the best among them", default=2, metavar="N"
    )
    load_best_model_at_end: bool = _changed("load_best_model_at_end", default=True)
    metric_for_best_model: str = _changed(
        "metric_for_best_model", f"what makes the best model, and is waited for: {', '.join(METRICS)}", default="cer",
        metavar="NAME",
    )  # fmt: skip
    greater_is_better: bool | None = _changed(
        "greater_is_better", "whether more of that metric is better (default: of accuracy and ned)", metavar="BOOL"
    )
    logging_steps: float = _changed(
        "logging_steps", "steps from one line of losses to the next; with max_minutes one comes every half minute too",
        default=50, metavar="N",
    )  # fmt: skip
    report_to: str = _changed(
        "report_to", "tensorboard, wandb … or none", default="tensorboard" if is_tensorboard_available() else "none",
        metavar="NAME",
    )  # fmt: skip
    disable_tqdm: bool | None = _changed(
        "disable_tqdm", "lines in place of a progress bar (default: where stderr is no terminal)", metavar="BOOL"
    )
    dataloader_num_workers: int = _changed(
        "dataloader_num_workers", "processes that open images beside the training", metavar="N"
    )
    dataloader_persistent_workers: bool = _changed("dataloader_persistent_workers", default=True)
    remove_unused_columns: bool = _changed("remove_unused_columns", default=False)
    ddp_find_unused_parameters: bool = _changed("ddp_find_unused_parameters", default=False)
    bf16: bool = _changed("bf16", "compute in bfloat16; slow on CPUs without AVX-512", metavar="BOOL")
    use_cpu: bool = _changed("use_cpu", "train on the CPU though there is an accelerator", metavar="BOOL")
    seed: int = _changed("seed", "of new weights, the order of lines and what is random", default=123, metavar="N")

    def __post_init__(self):
        if not torch.accelerator.is_available():
            self.use_cpu = True  # or else transformers refuses bf16 there
        if self.max_steps < 0 and not self.num_train_epochs:
            self.max_steps = MAX_STEPS
        self.save_steps = self.save_steps or self.eval_steps
        if self.greater_is_better is None:
            self.greater_is_better = METRICS.get(self.metric_for_best_model.removeprefix("eval_"), False)
        by_steps = self.eval_strategy == self.save_strategy == "steps"
        evaluates = self.eval_strategy != "no"
        if self.load_best_model_at_end and not evaluates:
            raise InputError("Without evaluations (eval_strategy no) give load_best_model_at_end False: none is best.")
        if self.early_stopping_patience and not evaluates:
            raise InputError("early_stopping_patience has no effect without evaluations (eval_strategy no).")
        if self.load_best_model_at_end and by_steps and self.save_steps != self.eval_steps:
            raise InputError("save_steps must be eval_steps, or else the best model is not always saved.")
        for name in ("max_minutes", "sam_rho", "early_stopping_patience"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay must be in [0, 1), got {self.ema_decay}.")
        if self.source_batches and not self.source_weights:
            raise InputError("source_batches has no effect without source_weights.")
        parse_weights(self.source_weights)  # what is wrong with them is said before anything is read
        if self.max_minutes:
            if 0 < self.warmup_steps < 1:
                raise InputError("With max_minutes warmup_steps must be a number of steps, not a share of them.")
            self.max_steps = 10**9
        self.dataloader_persistent_workers &= self.dataloader_num_workers > 0
        if self.disable_tqdm is None:
            self.disable_tqdm = not sys.stderr.isatty()
        for name, reason in WITHOUT_EFFECT.items():
            if getattr(self, name) != TrainingArguments.__dataclass_fields__[name].default:
                raise InputError(f"{name} has no effect: {reason}.")
        uses_adadelta = self.optim == ADADELTA
        if uses_adadelta:
            self.optim = TrainingArguments.__dataclass_fields__["optim"].default
            if self.optim_args:
                raise InputError(f"optim_args has no effect with optim {ADADELTA}.")
        super().__post_init__()
        if uses_adadelta:
            self.optim = ADADELTA
        if self.n_gpu > 1:
            logger.warning("One process uses one GPU of %d; torchrun --nproc_per_node uses them all.", self.n_gpu)
            self._n_gpu = 1
        if self.use_cpu and self.bf16 and not has_fast_bfloat16(use_cpu=True):
            logger.warning("Without AVX-512, as on this CPU, bf16 makes steps many times slower; give --bf16 False.")


def has_fast_bfloat16(use_cpu: bool = False) -> bool:
    """Whether this machine, or its CPU, computes in bfloat16 at least as fast as in 32-bit floats."""
    if use_cpu or not torch.accelerator.is_available():
        return torch.backends.cpu.get_cpu_capability() != "AVX2"
    return torch.cuda.is_bf16_supported()


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
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"{word!r} is not a data set and its weight, such as letters=2.5.")
    return weights
