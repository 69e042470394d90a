"""An exponential moving average (EMA) of the weights, with which training evaluates and ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from htr_convtext.loading import AVERAGE_FILE


def average_decay(update: float, maximum: float) -> float:
    """Share of the old average that is kept: small at first, `maximum` in the end."""
    return min(maximum, (1 + update) / (10 + update))


class WeightAverage:
    """
    The moving average of the parameters and buffers of a model.

    Update number s has `average_decay(s / 2, maximum)`, as the published recipe (arXiv 2512.05021) counts.
    """

    def __init__(self, model: nn.Module, maximum: float = 0.9999):
        self.maximum = maximum
        self.average = AveragedModel(model, multi_avg_fn=self._average, use_buffers=True)
        self.average.requires_grad_(False)
        self.average.n_averaged.fill_(1)  # at 0 the first update would copy the model

    def _average(self, averaged: list[torch.Tensor], current: list[torch.Tensor], number: torch.Tensor) -> None:
        if not averaged[0].is_floating_point():  # counters of batches
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)
            return
        decay = average_decay(number.item() / 2, self.maximum)
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def update(self, model: nn.Module) -> None:
        """Takes the weights after an optimiser step in."""
        self.average.update_parameters(model)

    @contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """Within the context `model` has the averaged weights."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def _swap(self, model: nn.Module) -> None:
        averaged = self.average.module
        pairs = zip(
            chain(model.parameters(), model.buffers()), chain(averaged.parameters(), averaged.buffers()), strict=True
        )
        for ours, theirs in pairs:
            ours.data, theirs.data = theirs.data, ours.data

    def copy_to(self, model: nn.Module) -> None:
        """Gives `model` the averaged weights."""
        model.load_state_dict(self.average.module.state_dict())

    def save(self, folder: str | os.PathLike) -> None:
        """Writes `ema.safetensors`."""
        tensors = {name: tensor.contiguous() for name, tensor in self.average.module.state_dict().items()}
        metadata = {"format": "pt", "updates": str(self.average.n_averaged.item())}
        save_file(tensors, os.path.join(folder, AVERAGE_FILE), metadata)

    def load(self, folder: str | os.PathLike) -> None:
        """
        Reads what `save` wrote.

        Raises:
            FileNotFoundError: if the checkpoint was written without an average.
        """
        path = os.path.join(folder, AVERAGE_FILE)
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path} is missing: resume this run with --ema_decay 0, as it was started.")
        self.average.module.load_state_dict(load_file(path))
        with safe_open(path, "pt") as file:
            self.average.n_averaged.fill_(int(file.metadata()["updates"]))
