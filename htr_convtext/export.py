"""Saving a trained model as a folder to share."""

import os

from htr_convtext.loading import load_model
from modeling_htr_convtext import HTRConvTextForCTC


def export_model(model: str | os.PathLike, output: str | os.PathLike, half: bool = True) -> HTRConvTextForCTC:
    """
    Writes the model of a training folder without the Textual Context Module, with its processor and code.

    Args:
        half: Whether to store 16-bit floats. The model still loads in 32 bits, unless another `dtype` is asked for.
    """
    network, processor = load_model(model, use_tcm=False, masking=None)
    state_dict = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.save_pretrained(output, state_dict=state_dict)
    processor.save_pretrained(output)
    return network
