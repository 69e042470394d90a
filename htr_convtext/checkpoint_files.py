"""Checkpoints that other programs saved with `torch.save`, opened without running what is in them."""

import argparse
import os
import pickle
import re
from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
import torch
from numpy._core import multiarray
from torch import nn

from .errors import InputError
from .folder_files import opened_file
from .pickle_limits import PickleLimitError, check_pickles


LONGEST_NAME = 100  # characters of the name of a tensor in a message
MAX_NAMES = 5  # in a message


class CheckpointError(InputError):
    """A checkpoint cannot be converted."""


def load_checkpoint(path: str | os.PathLike) -> dict:
    """
    Unpickles a checkpoint, but only tensors, numpy arrays and scalars, plain Python types and `argparse.Namespace`.

    Raises:
        CheckpointError: names the file, and what it holds beyond these.
    """
    # Checkpoints of numpy 1 name its internal modules differently.
    numpy_globals = [
        (function, f"{module}.{function.__name__}")
        for function in (multiarray.scalar, multiarray._reconstruct)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ]
    numpy_dtypes = sorted({type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"}, key=lambda dtype: dtype.__name__)
    safe = [argparse.Namespace, np.ndarray, np.dtype, *numpy_globals, *numpy_dtypes]
    try:
        with opened_file(path) as file:
            check_pickles(file)
        with torch.serialization.safe_globals(safe):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except PickleLimitError as error:
        raise CheckpointError(f"{path}: refused, for {error}; no checkpoint of a network is so.") from None
    except InputError as error:
        raise CheckpointError(str(error)) from None
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f"`{match[1]}`" if match else str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path}: refused, for it holds more than tensors and plain values: {found}. Loading that would run code "
            "from the file. If you trust it, load it yourself and save its tensors alone."
        ) from None
    except Exception as error:  # damaged files raise almost anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path}: not a PyTorch checkpoint, or damaged. ({reason})") from None
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f"{path}: holds a {type(checkpoint).__name__}, not a checkpoint dictionary.")
    return dict(checkpoint)


def tensors_of(checkpoint: dict, key: str) -> Mapping[str, torch.Tensor]:
    """`checkpoint[key]`; a `CheckpointError` if that is no mapping of names to tensors, or one of them is not whole."""
    part, where = checkpoint[key], f"{key!r} of the checkpoint"
    if not isinstance(part, Mapping):
        raise CheckpointError(f"{where} is not a mapping of names to tensors.")
    for name, tensor in part.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{where} has a key that is no name of a tensor, but of type {type(name).__name__}.")
        if not isinstance(tensor, torch.Tensor):
            raise CheckpointError(f"{where} is not of tensors: {shown(name)} is of type {type(tensor).__name__}.")
        is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        # A view can be larger than what it shows, beyond all memory.
        if not is_plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{where}: {shown(name)} is no plain tensor with all its values.")
    return part


def shown(name: object) -> str:
    """A key of a checkpoint for a message of one line."""
    text = name if isinstance(name, str) else type(name).__name__
    return " ".join(text.split())[:LONGEST_NAME]


def shown_keys(checkpoint: Mapping) -> str:
    """The first keys of a checkpoint for a message of one line."""
    return _first(map(shown, checkpoint), len(checkpoint))


def _first(names: Iterable[str], count: int) -> str:
    """The first of `count` names."""
    more = f" and {count - MAX_NAMES} more" if count > MAX_NAMES else ""
    return ", ".join(islice(names, MAX_NAMES)) + more


def check_state_dict(state_dict: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """
    Raises:
        CheckpointError: names the first tensors that are missing, unexpected or of another shape than the model's.
    """
    expected = model.state_dict()
    problems = {
        "missing": sorted(set(expected) - set(state_dict)),
        "unexpected": sorted(map(shown, set(state_dict) - set(expected))),
        "of another shape": [
            f"{shown(name)} {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
            for name, tensor in state_dict.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    if any(problems.values()):
        lists = [f"{len(names)} {kind}: {_first(names, len(names))}" for kind, names in problems.items() if names]
        raise CheckpointError("The checkpoint does not fit the published network. Tensors " + "; ".join(lists) + ".")
