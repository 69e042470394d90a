"""Saving a trained model as a folder to share."""

import os

from transformers import PreTrainedModel

from htr_convtext.errors import InputError
from htr_convtext.loading import load_model
from htr_convtext.training.averaging import load_average


def export_model(model: str | os.PathLike, output: str | os.PathLike, half: bool = True) -> PreTrainedModel:
    """
    Writes the model of a training folder without the Textual Context Module, with its processor and code.

    Of a checkpoint with averaged weights (`ema.safetensors`) it takes those.

    Args:
        half: Whether to store 16-bit floats. The model still loads in 32 bits, unless another `dtype` is asked for.

    Raises:
        InputError: names the model if it cannot be loaded, and the tensors that 16 bits cannot hold.
    """
    network, processor = load_model(model, use_tcm=False, masking=None)
    load_average(network, model)
    state_dict = network.state_dict()
    if half:
        state_dict = {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state_dict.items()
        }
        too_large = [name for name, tensor in state_dict.items() if not tensor.isfinite().all()]
        if too_large:
            raise InputError(f"{model}: too large for 16 bits, save it in full precision: {', '.join(too_large)}")
    network.save_pretrained(output, state_dict=state_dict)
    processor.tokenizer.set_policy(
        "error", unicode_form=processor.tokenizer.unicode_form
    )  # while training, characters outside the charset are dropped
    processor.save_pretrained(output)
    return network
