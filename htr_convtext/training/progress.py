"""How a run shows that it goes on: lines of numbers, and on a terminal a bar."""

from typing import Any

from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .callbacks import TimeBudget


PERCENTAGES = {"eval_cer": "CER", "eval_wer": "WER"}


def progress_line(logs: dict[str, Any], state: TrainerState, budget: TimeBudget | None) -> str | None:
    """What was logged as a line, with the step and, with a time budget, the time; `None` for a trainer's last words."""
    if "train_runtime" in logs:
        return None
    place = f"step {state.global_step:,}"
    if budget is None:
        place += f" of {state.max_steps:,}"
    else:
        place += f", {_minutes(budget)}"
    if not state.global_step:
        place = "before training"
    return f"{place}: {', '.join(filter(None, (_number(name, logs[name]) for name in sorted(logs, key=_order))))}"


def _order(name: str) -> bool:
    return name not in PERCENTAGES


def _number(name: str, value: Any) -> str | None:
    if name in PERCENTAGES:
        return f"{PERCENTAGES[name]} {100 * value:.2f} %"
    if name.endswith(("_runtime", "_per_second")) or name in ("time_used", "total_flos"):
        return None
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"


def _minutes(budget: TimeBudget) -> str:
    return f"{budget.elapsed / 60:.1f} of {round(budget.seconds / 60, 2):g} min"


class ProgressLines(TrainerCallback):
    """Prints what is logged."""

    def __init__(self, budget: TimeBudget | None = None):
        self.budget = budget

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **kwargs
    ):
        line = progress_line(logs or {}, state, self.budget)
        if state.is_world_process_zero and line:
            print(line, flush=True)


class ProgressBar(ProgressCallback):
    """A bar over the steps, or over the time where that is what ends training, below what is logged."""

    def __init__(self, budget: TimeBudget | None = None):
        super().__init__()
        self.budget = budget

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if self.budget is None:
            super().on_train_begin(args, state, control, **kwargs)
        elif state.is_world_process_zero:
            self.training_bar = tqdm(
                total=self.budget.seconds, bar_format="{percentage:3.0f}%|{bar}| {desc}", dynamic_ncols=True
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if self.budget is None:
            super().on_step_end(args, state, control, **kwargs)
        elif state.is_world_process_zero:
            self.training_bar.set_description_str(f"{_minutes(self.budget)}, step {state.global_step:,}", refresh=False)
            self.training_bar.update(min(self.budget.elapsed, self.budget.seconds) - self.training_bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **kwargs
    ):
        line = progress_line(logs or {}, state, self.budget)
        if state.is_world_process_zero and self.training_bar is not None and line:
            self.training_bar.write(line)
