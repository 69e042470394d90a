"""Finding the checkpoint to go on from."""

import logging
import os
from pathlib import Path

from transformers import TrainerState

from htr_convtext.errors import InputError

from .arguments import LineTrainingArguments


logger = logging.getLogger(__name__)


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest whole checkpoint of an output folder, or `None`.

    A run that was killed while it saved leaves one without `trainer_state.json`, which is written last; it is passed
    over with a warning.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if (path / "trainer_state.json").is_file():
            return str(path)
        logger.warning("%s is not whole and is passed over.", path)
    return None


def find_checkpoint(folder: str | os.PathLike, resume: str | None) -> str | None:
    """
    The checkpoint to go on from.

    Args:
        folder: The output folder of the run.
        resume: `"True"` for its newest checkpoint, if there is one; a checkpoint; `None` or `"False"` to start anew.

    Raises:
        InputError: if there is no such checkpoint, or the folder to start in holds a run.
    """
    if resume in ("True", "true"):
        return last_checkpoint(folder)
    if resume in (None, "False", "false"):
        if last_checkpoint(folder):
            raise InputError(
                f"{folder} holds a run already. Go on with --resume_from_checkpoint True, or choose another "
                "--output_dir."
            )
        return None
    if not Path(resume, "trainer_state.json").is_file():
        raise InputError(f"{resume} is no checkpoint: it has no trainer_state.json.")
    if Path(resume).resolve().parent != Path(folder).resolve() and last_checkpoint(folder):
        raise InputError(f"{folder} holds another run than {resume}; choose another --output_dir.")
    return resume


def is_finished(checkpoint: str | os.PathLike, arguments: LineTrainingArguments) -> bool:
    """Whether a checkpoint is the last of its run: all steps are made, or all time or patience is used up."""
    state = TrainerState.load_from_json(os.path.join(checkpoint, "trainer_state.json"))
    kept = {name: callback.get("attributes", {}) for name, callback in state.stateful_callbacks.items()}
    elapsed = kept.get("TimeBudget", {}).get("elapsed", 0.0)
    waited = kept.get("EarlyStopping", {}).get("early_stopping_patience_counter", 0)
    return (
        0 < arguments.max_steps <= state.global_step
        or 0 < 60 * arguments.max_minutes <= elapsed
        or 0 < arguments.early_stopping_patience <= waited
    )
