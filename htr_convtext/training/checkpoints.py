"""Finding the checkpoint to go on from."""

import json
import logging
import os
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainerState
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from htr_convtext.errors import InputError
from htr_convtext.folder_files import read_file, walk
from processing.image_files import reason_of

from .arguments import LineTrainingArguments


STATE = "trainer_state.json"
logger = logging.getLogger(__name__)


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest whole checkpoint of an output folder, or `None`.

    A run that was killed while it saved leaves one without `trainer_state.json`, which is written last; a full disk
    damaged files. Such checkpoints are passed over, each with a warning.
    """
    for path in checkpoints_of(folder):
        reason = reason_against(path)
        if reason is None:
            return str(path)
        logger.warning("%s is not whole and is passed over: %s.", path, reason)
    return None


def checkpoints_of(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of an output folder, whole or not, the newest first."""
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def reason_against(checkpoint: str | os.PathLike) -> str | None:
    """Why one cannot go on from a checkpoint, a file that is missing or damaged; `None` if one can."""
    path = Path(checkpoint)
    for name in (STATE, CONFIG_NAME):
        if not os.path.isfile(path / name):
            return f"it has no {name}"
    if not any(os.path.isfile(path / name) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        return f"it has no {SAFE_WEIGHTS_NAME}"
    try:
        TrainerState.load_from_json(str(path / STATE))
    except (ValueError, TypeError, AttributeError):  # the last for JSON that is no object
        return f"its {STATE} is damaged"
    except OSError as error:
        return f"its {STATE} cannot be read: {reason_of(error, path / STATE)}"
    for file in walk(path).files:
        try:
            if file.suffix == ".json":
                json.loads(read_file(file))
            elif file.suffix == ".safetensors":
                with safe_open(file, "pt"):  # it has the size that its header tells
                    pass
            elif file.suffix in (".pt", ".pth"):  # of `torch.save`: an archive, its list at the end
                with zipfile.ZipFile(file):
                    pass
        except (ValueError, OSError, SafetensorError, zipfile.BadZipFile):
            return f"its {file.relative_to(path)} is damaged"
    return None


def holds_run(folder: str | os.PathLike) -> bool:
    """Whether there are checkpoints in an output folder, be they damaged since."""
    return any(os.path.isfile(path / STATE) for path in checkpoints_of(folder))


def find_checkpoint(folder: str | os.PathLike, resume: str | None) -> str | None:
    """
    The checkpoint to go on from.

    Args:
        folder: The output folder of the run.
        resume: `"True"` for its newest checkpoint, if there is one; a checkpoint; `None` or `"False"` to start anew.

    Raises:
        InputError: if there is no such checkpoint, it is not whole, or the folder to start in holds a run.
    """
    if resume in ("True", "true"):
        return last_checkpoint(folder)
    if resume in (None, "False", "false"):
        if holds_run(folder):
            raise InputError(
                f"{folder} holds a run already. Go on with --resume_from_checkpoint True, or choose another "
                "--output_dir."
            )
        return None
    reason = reason_against(resume)
    if reason:
        raise InputError(f"{resume} is no whole checkpoint: {reason}.")
    if Path(resume).resolve().parent != Path(folder).resolve() and holds_run(folder):
        raise InputError(f"{folder} holds another run than {resume}; choose another --output_dir.")
    return resume


def is_finished(checkpoint: str | os.PathLike, arguments: LineTrainingArguments) -> bool:
    """Whether a checkpoint is the last of its run: all steps are made, or all time or patience is used up."""
    state = TrainerState.load_from_json(os.path.join(checkpoint, STATE))
    kept = {name: callback.get("attributes", {}) for name, callback in state.stateful_callbacks.items()}
    elapsed = kept.get("TimeBudget", {}).get("elapsed", 0.0)
    waited = kept.get("EarlyStopping", {}).get("early_stopping_patience_counter", 0)
    return (
        0 < arguments.max_steps <= state.global_step
        or 0 < 60 * arguments.max_minutes <= elapsed
        or 0 < arguments.early_stopping_patience <= waited
    )
