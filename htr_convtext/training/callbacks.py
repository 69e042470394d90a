"""Callbacks of a run: its time budget, its patience, and stopping on a signal."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import torch
from accelerate.utils import broadcast, reduce
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState


LOG_SECONDS = 30


class TimeBudget(TrainerCallback, ExportableState):
    """
    Ends training after `minutes` of running time, evaluations and saving included; a resumed run goes on counting.
    An evaluation before the first step does not count.

    Also asks for a log of the losses every half minute. `progress` is the share that is used up, the same in all
    processes: it is read from the clock of process 0 when a step begins.
    """

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes
        self.progress = 0.0
        self._before = 0.0  # seconds that the run has had before it was resumed
        self._started: float | None = None
        self._logged = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since training began, without those between two runs."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def state(self) -> dict:
        return {"args": {"minutes": self.seconds / 60}, "attributes": {"elapsed": self.elapsed}}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        self._before = self._logged = restore_callback(self, state).get("elapsed", 0.0)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if self._started is None:
            self._started = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        elapsed = broadcast(torch.tensor(self.elapsed, dtype=torch.float32, device=args.device)).item()
        self.progress = min(1.0, elapsed / self.seconds)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if args.logging_strategy != "no" and self.progress * self.seconds >= self._logged + LOG_SECONDS:
            control.should_log = True
        if control.should_log:
            self._logged = self.progress * self.seconds
        if self.progress >= 1:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        self._before, self._started = 0.0, None


class EarlyStopping(EarlyStoppingCallback):
    """As transformers' own, but a resumed run goes on counting."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        for name, value in restore_callback(self, state).items():
            setattr(self, name, value)


def restore_callback(callback: ExportableState, state: TrainerState) -> dict:
    """
    What a callback saved in the checkpoint that a run goes on from, if it did.

    Makes room for it too: transformers cannot save a callback that the checkpoint did not have.
    """
    return state.stateful_callbacks.setdefault(type(callback).__name__, callback.state()).get("attributes", {})


class StopOnSignal(TrainerCallback):
    """
    On SIGTERM or Ctrl-C finishes the step, saves a checkpoint and ends training. A second Ctrl-C ends it at once.

    Transformers' `enable_jit_checkpoint` may save between backward and step, from where a run cannot go on the same.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.stopped_by: int | None = None
        self._received: int | None = None
        self._handlers = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if number == signal.SIGINT:  # SIGTERM may come twice, from a scheduler and from torchrun
            signal.signal(signal.SIGINT, self._handlers[signal.SIGINT])

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        self.stopped_by = self._received = None
        if threading.current_thread() is threading.main_thread():  # Python lets no other handle signals
            self._handlers = {number: signal.signal(number, self._receive) for number in self.SIGNALS}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        received = self._received or 0
        if args.world_size > 1:  # the processes hear the signal at different steps
            received = int(reduce(torch.tensor(float(received), device=args.device), "sum").item())
        if received:
            self.stopped_by = self._received or signal.SIGTERM
            control.should_save = control.should_training_stop = True

    def restore(self) -> None:
        """Gives the signals back to those that had them before training."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def start_worker(start: Callable[[int], None] | None, worker_id: int) -> None:
    """
    Starts a worker of a data loader in a process group of its own.

    Ctrl-C and torchrun signal the whole group of a trainer. It could not finish its step if its workers ended.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    if start is not None:
        start(worker_id)
