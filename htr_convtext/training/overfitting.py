"""Learning a few lines by heart: a training run that evaluates on its own lines and ends when it reads them all."""

import tempfile
from collections.abc import Iterable

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from htr_convtext.data import load_sources
from htr_convtext.families import family_named

from .arguments import LineTrainingArguments, ModelArguments, has_fast_bfloat16
from .run import Outcome, train


EVALUATE_EVERY = 50


class StopAtZero(TrainerCallback):
    """Ends training once every line is read without an error."""

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict, **kwargs
    ):
        if metrics["eval_cer"] == 0:
            control.should_training_stop = True


def learn_by_heart(
    sources: Iterable[str],
    count: int = 32,
    *,
    size: str = "tiny",
    height: int = 32,
    max_steps: int = 600,
    learning_rate: float = 1e-3,
    seed: int = 123,
) -> Outcome:
    """
    Trains a new network on `count` random lines of the training split until it reads them without an error, or gives
    up after `max_steps`. Nothing is kept.

    Raises:
        InputError: as `train`.
    """
    lines = load_sources(sources, "train").shuffle(seed=seed)
    lines = lines.select(range(min(count, len(lines))))
    settings = family_named(size).unregularised
    arguments = ModelArguments(data=list(sources), size=size, height=height, augmentation="none", **settings)
    with tempfile.TemporaryDirectory() as folder:
        training_arguments = LineTrainingArguments(
            output_dir=folder, max_steps=max_steps, learning_rate=learning_rate, warmup_steps=EVALUATE_EVERY,
            eval_steps=EVALUATE_EVERY, save_strategy="no", load_best_model_at_end=False, ema_decay=0.98,
            bf16=has_fast_bfloat16(), weight_decay=0,
            logging_strategy="no", report_to="none", seed=seed,
        )  # fmt: skip
        return train(arguments, training_arguments, {"train": lines}, [StopAtZero()], pictures=False)
