"""When and how fast training learns: the learning rate, the time budget, and stopping on a signal."""

import math
import signal
import threading
import time
from types import FrameType

import torch
from accelerate.utils import broadcast, reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState


# The published schedule reaches its minimum a warm-up early and then rises again. That is nothing at its 1 % of
# warm-up; short runs get no more than this share.
LONGEST_WARMUP = 0.05


def warmup_cosine(step: int, total_steps: int, warmup_steps: int, minimum: float) -> float:
    """
    The learning rate of step `step` of 1 … `total_steps` as a share of its peak, as published (arXiv 2512.05021).

    Linear for `warmup_steps`, then half a cosine down to `minimum`.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return cosine(step / (total_steps + 1 - warmup_steps), minimum)


def cosine(progress: float, minimum: float) -> float:
    """Half a cosine from 1, at `progress` 0, to `minimum`, at 1."""
    return minimum + (1 - minimum) * 0.5 * (1 + math.cos(math.pi * progress))


class TimeBudget(TrainerCallback, ExportableState):
    """
    Ends training after `minutes` of running time, evaluations and saving included; a resumed run goes on counting.

    `progress` is the share that is used up, the same in all processes. Process 0 holds the clock.
    """

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes
        self.elapsed = 0.0
        self._resumed_at = time.monotonic()

    @property
    def progress(self) -> float:
        return min(1.0, self.elapsed / self.seconds)

    def state(self) -> dict:
        return {"args": {"minutes": self.seconds / 60}, "attributes": {"elapsed": self.elapsed}}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        saved = state.stateful_callbacks.get(type(self).__name__, {})
        self.elapsed = saved.get("attributes", {}).get("elapsed", 0.0)
        self._resumed_at = time.monotonic() - self.elapsed

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        elapsed = torch.tensor(time.monotonic() - self._resumed_at, dtype=torch.float32, device=args.device)
        self.elapsed = broadcast(elapsed).item()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if self.progress >= 1:
            control.should_evaluate = control.should_save = control.should_training_stop = True


class StopOnSignal(TrainerCallback):
    """
    On SIGTERM or Ctrl-C finishes the step, saves a checkpoint and ends training. A second signal ends it at once.

    Transformers' `enable_jit_checkpoint` may save between backward and step, from where a run cannot go on the same.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.received: int | None = None
        self._handlers = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets only the main thread handle signals
        self._handlers = {number: signal.signal(number, self._receive) for number in self.SIGNALS}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        received = self.received or 0
        if args.world_size > 1:  # the processes hear the signal at different steps
            received = int(reduce(torch.tensor(float(received), device=args.device), "sum").item())
        if received:
            self.received = self.received or signal.SIGTERM
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        self._restore()
