"""`transformers.Trainer` for CTC line recognition."""

from collections.abc import Callable

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from torch.utils.data import Sampler
from transformers import EvalPrediction, Trainer

from htr_convtext.data import SimilarWidthSampler
from htr_convtext.evaluation import error_rates
from processing import HTRConvTextTokenizer


class HTRConvTextTrainer(Trainer):
    """
    Trains CTC and, where the model has it, the Textual Context Module.

    A training set with a column `width` is batched by it (`SimilarWidthSampler`). The parts of the loss are logged
    beside their sum, and predictions are the best id of each frame with the padding of each line set to the blank.
    """

    LOSS_PARTS = ("ctc_loss", "tcm_loss")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._loss_parts: dict[str, list[torch.Tensor]] = {}

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        train_dataset = self.train_dataset if train_dataset is None else train_dataset
        if "width" not in (getattr(train_dataset, "column_names", None) or []):
            return super()._get_train_sampler(train_dataset)
        args = self.args
        batch_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        return SimilarWidthSampler(train_dataset["width"], batch_size, seed)

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            for name in self.LOSS_PARTS:
                if outputs.get(name) is not None:
                    self._loss_parts.setdefault(name, []).append(outputs[name].detach().float())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            for name, values in self._loss_parts.items():
                mean = self.accelerator.gather(torch.stack(values).mean()[None]).mean()
                logs[name] = round(mean.item(), 4)
            self._loss_parts = {}
        super().log(logs, start_time)

    def prediction_step(
        self, model: nn.Module, inputs: dict, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Loss, best ids `(batch_size, sequence_length)` and labels of a batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss, None, None
        token_ids = outputs["logits"].argmax(-1)
        if outputs.get("attention_mask") is not None:
            blank = self.accelerator.unwrap_model(model).config.pad_token_id
            token_ids = token_ids.masked_fill(outputs["attention_mask"] == 0, blank)
        return loss.detach(), token_ids, inputs["labels"]


def character_metrics(tokenizer: HTRConvTextTokenizer) -> Callable[[EvalPrediction], dict[str, float]]:
    """
    `compute_metrics` for the trainer: CER and WER.

    The ground truth is read back from the labels, so characters that the tokenizer dropped do not count as errors
    here; `scripts/evaluate.py` counts them.
    """

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        predictions = [tokenizer.decode(ids) for ids in np.asarray(prediction.predictions)]
        references = [tokenizer.decode(ids, group_tokens=False) for ids in np.asarray(prediction.label_ids)]
        rates = error_rates(references, predictions)
        return {"cer": rates.cer, "wer": rates.wer}

    return compute_metrics
