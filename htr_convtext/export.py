"""Saving a trained model as a folder to share."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

from processing.decoding_files import FILE as DECODING
from processing.language_models import FOLDER as LANGUAGE_MODELS
from processing.model_facts import ModelFacts

from .errors import InputError
from .families import family_of
from .loading import load_trained, quiet_loading
from .whole_files import whole_folder


# Files of a saved model that another one in its place may not have.
MAY_BE_STALE = (DECODING, f"{LANGUAGE_MODELS}/*.klm")


def export_model(
    model: str | os.PathLike, output: str | os.PathLike, half: bool = True, facts: ModelFacts | None = None
) -> PreTrainedModel:
    """
    Writes the model of a training folder without the parts that only training needs, with its processor, code and card.

    Of a checkpoint with averaged weights (`ema.safetensors`) it takes those.

    Args:
        half: Whether to store 16-bit floats. The model still loads in 32 bits, unless another `dtype` is asked for.
        facts: What is known of the model, for its card.

    Raises:
        InputError: names the model if it cannot be loaded or is in `output`, and the tensors that 16 bits cannot hold.
    """
    refuse_own_folder(model, output)
    network, processor = load_trained(model)
    save_to_share(network, processor, output, half, facts)
    return network


def save_to_share(
    network: PreTrainedModel,
    processor: ProcessorMixin,
    output: str | os.PathLike,
    half: bool = True,
    facts: ModelFacts | None = None,
) -> None:
    """
    Writes a folder as `export_model` does, of a model in memory.

    Raises:
        InputError: names the tensors that 16 bits cannot hold.
    """
    state_dict = network.state_dict()
    if half:
        state_dict = {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state_dict.items()
        }
        too_large = [name for name, tensor in state_dict.items() if not tensor.isfinite().all()]
        if too_large:
            raise InputError(f"{output}: too large for 16 bits, save it in full precision: {', '.join(too_large)}")
    # While training, characters outside the charset are dropped.
    processor.tokenizer.set_policy("error", unicode_form=processor.tokenizer.unicode_form)
    write_folder(output, network, processor, facts, state_dict)


def write_folder(
    output: str | os.PathLike,
    network: PreTrainedModel,
    processor: ProcessorMixin,
    facts: ModelFacts | None = None,
    state_dict: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """
    Writes a model, its processor, the code of both and a model card to a folder, all of it or nothing.

    Args:
        state_dict: The weights to write; by default those of the model.

    Raises:
        OSError: names the folder if it cannot be written.
    """
    with whole_folder(output, stale=MAY_BE_STALE) as folder:
        with quiet_loading():
            network.save_pretrained(folder, state_dict=state_dict)
        processor.save_pretrained(folder)
        # Where the folder has these weights already it keeps its card: their files are not yet replaced.
        family_of(network.config).write_model_card(output, network, processor, facts)


def refuse_own_folder(model: str | os.PathLike, output: str | os.PathLike) -> None:
    """Raises an `InputError` if a model would be written over itself: its weights may still be read from there."""
    if Path(model).is_dir() and Path(model).resolve() == Path(output).resolve():
        raise InputError(f"{output}: this is the folder of the model; give another to write to.")
