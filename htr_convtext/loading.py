"""Loading a saved model with its processor."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoProcessor, PreTrainedConfig, PreTrainedModel, ProcessorMixin
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils import logging as transformers_logging

from .errors import InputError
from .families import FAMILIES, family_of


AVERAGE_FILE = "ema.safetensors"  # the averaged weights of a training checkpoint
BUNDLED_MODEL = Path(__file__).parent / "weights" / "tiny"


def load_model(source: str | os.PathLike | None = None, **config_changes) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    A saved model of a family that this package knows, in evaluation mode, and its processor.

    Args:
        source: Folder or Hub id; by default, or as `"bundled"`, the model that comes with this package.
        config_changes: Replace values of the saved configuration.

    Raises:
        InputError: names the source, and what of it is missing, damaged, or of another kind.
    """
    source = find_model(source)
    config = load_config(source, **config_changes)
    try:
        with quiet_loading():
            model, info = FAMILIES[config.model_type].auto_model.from_pretrained(
                source, config=config, output_loading_info=True
            )
    except OSError as error:
        raise InputError(f"{source}: its weights are missing or not in reach. ({_first_line(error)})") from error
    except SafetensorError as error:
        raise InputError(f"{source}: its weights are damaged or cut short; copy them again. ({error})") from error
    except RuntimeError as error:  # of transformers, where shapes differ
        raise InputError(f"{source}: its weights do not fit its config.json. ({_first_line(error)})") from error
    # Without those that the class of the network says it can do without.
    wrong = {kind: info[f"{kind}_keys"] for kind in ("missing", "unexpected") if info[f"{kind}_keys"]}
    if wrong:
        found = ", ".join(f"{len(names)} {kind}: {min(names)}" for kind, names in wrong.items())
        raise InputError(f"{source}: its weights do not fit its config.json. ({found})")
    return model.eval(), load_processor(source)


def load_trained(source: str | os.PathLike) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    What a training run came to: a saved model without the parts that only training needs, and its processor.

    Of a checkpoint with averaged weights (`ema.safetensors`) it takes those.

    Raises:
        InputError: as `load_model`.
    """
    model, processor = load_model(source, **family_of(load_config(source)).changes_for_sharing())
    if Path(source, AVERAGE_FILE).is_file():
        try:
            load_weights(model, source)
        except (SafetensorError, RuntimeError) as error:
            reason = _first_line(error)
            raise InputError(f"{source}: its {AVERAGE_FILE} is damaged or of another model. ({reason})") from error
    return model, processor


def load_weights(model: PreTrainedModel, folder: str | os.PathLike, averaged: bool = True) -> None:
    """
    Loads the weights of a checkpoint into `model`, which may lack the parts that only training needs: if asked for and
    there, the averaged ones.
    """
    path = Path(folder, AVERAGE_FILE)
    if not (averaged and path.exists()):
        path = Path(folder, SAFE_WEIGHTS_NAME)
    # Those of the class: an instance has the patterns of the modules in it too, whose names start elsewhere.
    unneeded = type(model)._keys_to_ignore_on_load_unexpected or []
    known = model.state_dict()
    model.load_state_dict(
        {
            name: tensor
            for name, tensor in load_file(path).items()
            if name in known or not any(re.match(pattern, name) for pattern in unneeded)
        }
    )


def find_model(source: str | os.PathLike | None) -> str | os.PathLike:
    """A model's folder or Hub id; the folder in this package for `None` and `"bundled"`."""
    return BUNDLED_MODEL if source in (None, "bundled") else source


def load_config(source: str | os.PathLike | None = None, **changes) -> PreTrainedConfig:
    """
    The configuration of a saved model of a family that this package knows.

    Raises:
        InputError: as `load_model`.
    """
    source = find_model(source)
    if not Path(source).is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise InputError(f"{source}: there is no such folder; a model of the Hub is named owner/name.")
    try:
        saved, _ = PreTrainedConfig.get_config_dict(source)
    except OSError as error:
        if Path(source).is_dir():
            raise InputError(f"{source}: its config.json is damaged. ({_first_line(error)})") from error
        raise InputError(
            f"{source}: there is no such folder, and no model of this name on the Hub or in reach. "
            f"({_first_line(error)})"
        ) from error
    if not isinstance(saved, dict):
        raise InputError(f"{source}: its config.json is damaged. (It holds no object.)")
    if not saved:
        raise InputError(f"{source}: this folder holds no model: it has no config.json.")
    model_type = saved.get("model_type")
    if model_type not in FAMILIES:
        raise InputError(f"{source}: a model of type {model_type!r}; this package reads {', '.join(FAMILIES)}.")
    try:
        return AutoConfig.from_pretrained(source, **changes)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"{source}: its config.json has a wrong value. ({_first_line(error)})") from error


def load_processor(source: str | os.PathLike | None = None) -> ProcessorMixin:
    """
    The processor of a saved model.

    Raises:
        InputError: names the source, and the file that is missing or damaged.
    """
    source = find_model(source)
    try:
        processor = AutoProcessor.from_pretrained(source)
    except InputError as error:
        raise InputError(f"{source}: its processor cannot be used. ({error})") from error
    except (OSError, TypeError, ValueError, json.JSONDecodeError) as error:
        reason = _first_line(error)
        raise InputError(f"{source}: the files of its processor are missing or damaged. ({reason})") from error
    if not isinstance(processor, ProcessorMixin):  # transformers makes do with a tokenizer
        raise InputError(f"{source}: the files of its processor are missing or damaged. (It has a tokenizer alone.)")
    return processor


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Without progress bars and reports of transformers, which say nothing that an error would not."""
    shown, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
