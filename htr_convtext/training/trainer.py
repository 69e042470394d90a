"""`transformers.Trainer` for line recognition."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from datasets import Dataset
from torch import distributed, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Sampler
from transformers import (
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from htr_convtext.data import SimilarWidthSampler
from htr_convtext.evaluation import error_rates
from htr_convtext.loading import load_weights, quiet_loading
from htr_convtext.whole_files import disk_errors

from .arguments import ADADELTA, METRICS, LineTrainingArguments, parse_weights
from .averaging import WeightAverage
from .callbacks import EarlyStopping, StopOnSignal, TimeBudget, start_worker
from .checkpoints import last_checkpoint
from .distributed import character_share, pad_to_common_width, synchronize_batch_norm
from .progress import ProgressBar, ProgressLines
from .sam import frozen_running_statistics, perturbed, total_norm
from .schedule import LONGEST_WARMUP, cosine, warmup_cosine


class _TrainerHooks(TrainerCallback):
    """What `Trainer` offers no method for."""

    def __init__(self, trainer: "LineTrainer"):
        self.trainer = trainer

    def on_train_begin(self, args, state: TrainerState, control: TrainerControl, **kwargs):
        counts = [entry["skipped_steps"] for entry in state.log_history if "skipped_steps" in entry]
        self.trainer.skipped_steps = counts[-1] if counts else 0

    def on_epoch_begin(self, args, state: TrainerState, control: TrainerControl, **kwargs):
        # accelerate does not find the sampler of a run that goes on in the middle of an epoch in several processes
        if self.trainer.train_sampler is not None:
            self.trainer.train_sampler.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs):
        if self.trainer.average is not None and not self.trainer.step_was_skipped:
            self.trainer.average.update(model)


class LineTrainer(Trainer):
    """
    Trains a line recogniser of any family: the model says what its losses are (`loss_parts`), what its backbone is
    (`freeze_backbone`) and what it reads (`read_ids`).

    - A training set with a column `width` is batched by it (`SimilarWidthSampler`); with `source_weights` its data
      sets, named in the column `source`, are weighed against one another.
    - `augmentation(pixel_values, pixel_mask, seed)` changes the training images, a whole batch on its device.
    - With `sam_rho` each step is one of sharpness-aware minimisation around the optimiser.
    - With `ema_decay` evaluation, the best model and the end of training have averaged weights; checkpoints hold both.
    - A step whose gradients are not finite changes no weights and is counted (`skipped_steps`).
    - The parts of the loss are logged beside their sum, those that are not finite left out.
    - Predictions are the ids that the model reads.
    - SIGTERM or Ctrl-C ends training after the step with a checkpoint: `stopped_by` is then the signal.

    Several processes compute what one would with their batches together: batch norm and the mean over characters are
    taken over all of them.
    """

    args: LineTrainingArguments

    def __init__(
        self,
        *args,
        augmentation: Callable[[torch.Tensor, torch.Tensor | None, int], torch.Tensor] | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if not isinstance(self.args, LineTrainingArguments):
            raise TypeError("LineTrainer needs `args=LineTrainingArguments(...)`.")
        if self.args.optim == ADADELTA:
            # The constants of Baek et al. (ICCV 2019, arXiv 1904.01906) and of AttentionHTR (arXiv 2201.09390).
            options = {"lr": self.args.learning_rate, "rho": 0.95, "eps": 1e-8}
            self.optimizer_cls_and_kwargs = (torch.optim.Adadelta, options)
        self.augmentation = augmentation
        self.train_sampler: SimilarWidthSampler | None = None
        self.skipped_steps = 0
        self.step_was_skipped = False
        self.last_predictions: np.ndarray | None = None
        self.time_budget = TimeBudget(self.args.max_minutes) if self.args.max_minutes else None
        self._stop_on_signal = StopOnSignal()
        patience = self.args.early_stopping_patience
        early_stopping = EarlyStopping(patience) if patience else None
        for callback in filter(None, (_TrainerHooks(self), self.time_budget, early_stopping, self._stop_on_signal)):
            self.add_callback(callback)
        self.remove_callback(PrinterCallback)
        self.remove_callback(DEFAULT_PROGRESS_CALLBACK)
        self.add_callback((ProgressLines if self.args.disable_tqdm else ProgressBar)(self.time_budget))
        self._loss_parts: dict[str, list[torch.Tensor]] = {}
        self._micro_batches: list[dict[str, torch.Tensor]] = []  # of the step that is being made
        self._buffers_before: list[torch.Tensor] = []
        if self.args.world_size > 1:
            synchronize_batch_norm(self.model, self.args.device)
        if self.args.freeze_backbone:
            self.model.freeze_backbone()
        self.average = WeightAverage(self.model, self.args.ema_decay) if self.args.ema_decay else None

    @property
    def stopped_by(self) -> int | None:
        """The signal that ended training early, if one did."""
        return self._stop_on_signal.stopped_by

    def train(self, resume_from_checkpoint: str | bool | None = None, *args, **kwargs) -> TrainOutput:
        """As `Trainer.train`; the model ends with averaged weights, of the best checkpoint if that is loaded."""
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(self.args.output_dir)
        if self.average is not None and resume_from_checkpoint:
            self.average.load(resume_from_checkpoint)
        try:
            output = super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self._stop_on_signal.restore()
        if self.average is not None:
            if self.best_checkpoint is not None:
                load_weights(self.model, self.best_checkpoint)
            else:
                self.average.copy_to(self.model)
        return output

    @property
    def best_checkpoint(self) -> str | None:
        """The checkpoint whose weights training ends with, if they are not the last ones."""
        return self.state.best_model_checkpoint if self.args.load_best_model_at_end else None

    def leave_process_group(self) -> None:
        """
        Ends the process group of several processes, and its threads; to be called when nothing is left to train.

        `destroy_process_group` alone leaves the threads to whoever still refers to the group. One that frees a tensor
        while the interpreter shuts down aborts the process (pytorch/pytorch#179291).
        """
        group = distributed.group.WORLD if distributed.is_initialized() else None
        self.accelerator.end_training()
        self.model_wrapped = self.model
        self.accelerator.free_memory()  # `group` is now all that refers to it
        del group  # waits for the threads

    # --- what is trained, in which order, how fast ---

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        train_dataset = self.train_dataset if train_dataset is None else train_dataset
        if "width" not in (getattr(train_dataset, "column_names", None) or []):
            return super()._get_train_sampler(train_dataset)
        args = self.args
        batch_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        weights = parse_weights(args.source_weights)
        sources = train_dataset["source"] if weights else None
        self.train_sampler = SimilarWidthSampler(
            train_dataset["width"], batch_size, seed, sources=sources, source_weights=weights,
            source_batches=args.source_batches,
        )  # fmt: skip
        return self.train_sampler

    def get_train_dataloader(self) -> DataLoader:
        return self._with_own_workers(super().get_train_dataloader())

    def get_eval_dataloader(self, eval_dataset: str | Dataset | None = None) -> DataLoader:
        return self._with_own_workers(super().get_eval_dataloader(eval_dataset))

    def _with_own_workers(self, loader: DataLoader) -> DataLoader:
        """Workers that signals pass by, and whose seeds are not drawn from the generator that checkpoints keep."""
        inner = getattr(loader, "base_dataloader", loader)  # accelerate's wrapper
        if inner.generator is None:
            inner.worker_init_fn = partial(start_worker, inner.worker_init_fn)
            inner.generator = torch.Generator().manual_seed(self.args.seed)
        return loader

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """All of them, norms and biases too, as in the published recipe."""
        return [name for name, _ in model.named_parameters()]

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LambdaLR:
        """The published warm-up and cosine, over the steps or, with `max_minutes`, over the time."""
        if self.lr_scheduler is None:
            args, budget = self.args, self.time_budget
            minimum = args.min_learning_rate / args.learning_rate
            if budget is None:
                warmup = min(args.get_warmup_steps(num_training_steps), int(LONGEST_WARMUP * num_training_steps))
            else:
                warmup = int(args.warmup_steps)

            def rate(step: int) -> float:
                if budget is None or step + 1 < warmup:
                    return warmup_cosine(step + 1, num_training_steps, warmup, minimum)
                return cosine(budget.progress, minimum)

            self.lr_scheduler = LambdaLR(self.optimizer if optimizer is None else optimizer, rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # --- one step ---

    def training_step(self, model: nn.Module, inputs: Mapping, num_items_in_batch=None) -> torch.Tensor:
        inputs = self._prepare_inputs(dict(inputs))
        if self.augmentation is not None:
            # The seed comes from the generator whose state checkpoints keep.
            seed = int(torch.randint(2**31, ())) + self.args.process_index
            inputs["pixel_values"] = self.augmentation(inputs["pixel_values"], inputs.get("pixel_mask"), seed)
        if self.args.world_size > 1:
            inputs = pad_to_common_width(inputs)
        if not self._buffers_before:
            self._buffers_before = [buffer.clone() for buffer in self.model.buffers()]
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.args.sam_rho:
            self._micro_batches.append(inputs)
        if self.accelerator.sync_gradients:
            applied = self._gradients_are_finite()
            if applied and self.args.sam_rho:
                self._take_gradients_nearby(model)
                applied = self._gradients_are_finite()
            self.step_was_skipped = not applied
            if self.step_was_skipped:
                self._skip_step()
            self._micro_batches, self._buffers_before = [], []
        return loss

    def _gradients_are_finite(self) -> bool:
        return bool(total_norm(self.model.parameters()).isfinite())

    def _skip_step(self) -> None:
        self.skipped_steps += 1
        for buffer, before in zip(self.model.buffers(), self._buffers_before, strict=True):
            buffer.copy_(before)  # what is not finite would stay in the running statistics for ever
        if self.accelerator.scaler is None:  # a loss scaler skips the step by itself, and must see why
            for parameter in self.model.parameters():
                parameter.grad = None  # not zero: weight decay and momentum would still move the weights

    def _take_gradients_nearby(self, model: nn.Module) -> None:
        """The second pass of sharpness-aware minimisation, over the same micro-batches."""
        parameters = list(self.model.parameters())
        with perturbed(parameters, self.args.sam_rho), frozen_running_statistics(self.model):
            model.zero_grad()
            last = len(self._micro_batches) - 1
            for index, inputs in enumerate(self._micro_batches):
                with nullcontext() if index == last else self.accelerator.no_sync(model):
                    super().training_step(model, inputs)

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            parts = {name: part for name, part in self.model.loss_parts.items() if outputs.get(name) is not None}
            if self.args.world_size > 1:
                share = character_share(inputs["labels"], self.model.config.pad_token_id)
                for name in (name for name, part in parts.items() if part["mean_of"] == "characters"):
                    loss = loss + parts[name]["weight"] * (share - 1) * outputs[name]
                    outputs[name] = share * outputs[name]
            if len(self._micro_batches) < self.current_gradient_accumulation_steps:  # not in the second pass
                for name in parts:
                    self._loss_parts.setdefault(name, []).append(outputs[name].detach().float())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.time_budget is not None:
            logs["time_used"] = round(self.time_budget.progress, 4)
        if "loss" in logs:
            for name, values in self._loss_parts.items():
                losses = self.accelerator.gather(torch.stack(values))
                logs[name] = round(losses[losses.isfinite()].mean().item(), 4)
            self._loss_parts = {}
            if self.skipped_steps:
                logs["skipped_steps"] = self.skipped_steps
        super().log(logs, start_time)

    # --- averaged weights, checkpoints ---

    def evaluation_loop(self, *args, **kwargs) -> EvalLoopOutput:
        swapped = self.average is not None and self.is_in_train
        with self.average.swapped_into(self.model) if swapped else nullcontext():
            output = super().evaluation_loop(*args, **kwargs)
        self.last_predictions = output.predictions
        return output

    def save_model(self, output_dir: str | None = None, *args, **kwargs) -> None:
        with quiet_loading():  # nor does it show a bar while it writes
            super().save_model(output_dir, *args, **kwargs)
        if self.average is not None and self.is_in_train and self.args.should_save:
            self.average.save(output_dir or self.args.output_dir)

    def _save_checkpoint(self, *args, **kwargs) -> None:
        with disk_errors(self.args.output_dir):
            super()._save_checkpoint(*args, **kwargs)

    def load_finished(self, checkpoint: str) -> None:
        """
        Loads what training came to, from the last checkpoint of a run that has made all its steps.

        Raises:
            FileNotFoundError: if its best checkpoint is gone.
        """
        self.state = TrainerState.load_from_json(os.path.join(checkpoint, "trainer_state.json"))
        best = self.best_checkpoint
        if best is not None:  # the folder may have another place now
            self.state.best_model_checkpoint = os.path.join(os.path.dirname(checkpoint), os.path.basename(best))
            if not os.path.isdir(self.state.best_model_checkpoint):
                raise FileNotFoundError(
                    f"The run is finished, and its best checkpoint, {best}, is gone; take the folder best beside it."
                )
        load_weights(self.model, self.best_checkpoint or checkpoint, averaged=self.average is not None)

    # --- what the model reads ---

    def prediction_step(
        self, model: nn.Module, inputs: dict, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Loss, ids that were read `(batch_size, sequence_length)` and labels of a batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss, None, None
        return loss.detach(), self.model.read_ids(outputs), inputs["labels"]


def character_metrics(tokenizer: PreTrainedTokenizerBase) -> Callable[[EvalPrediction], dict[str, float]]:
    """
    `compute_metrics` for the trainer: CER, WER, accuracy of lines with and without regard to case, and 1 − NED (`ned`).

    The ground truth is read back from the labels, so characters that the tokenizer dropped do not count as errors
    here; `htr evaluate` counts them.
    """

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        predictions = [tokenizer.decode(ids) for ids in np.asarray(prediction.predictions)]
        references = [tokenizer.decode(ids, group_tokens=False) for ids in np.asarray(prediction.label_ids)]
        rates = error_rates(references, predictions)
        return {name: getattr(rates, name) for name in METRICS if name != "loss"}

    return compute_metrics
