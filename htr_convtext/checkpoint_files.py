"""Checkpoints that other programs saved with `torch.save`, opened without running what is in them."""

import argparse
import os
import pickle
import re
from collections.abc import Mapping

import numpy as np
import torch
from numpy._core import multiarray
from torch import nn

from .errors import InputError


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
        with torch.serialization.safe_globals(safe):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file.") from None
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
    """`checkpoint[key]`; a `CheckpointError` if that is no mapping of names to tensors."""
    part = checkpoint[key]
    if not isinstance(part, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in part.values()):
        raise CheckpointError(f"{key!r} of the checkpoint is not a mapping of names to tensors.")
    return part


def check_state_dict(state_dict: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """
    Raises:
        CheckpointError: lists the tensors that are missing, unexpected or of another shape than those of the model.
    """
    expected = model.state_dict()
    problems = {
        "missing": sorted(set(expected) - set(state_dict)),
        "unexpected": sorted(set(state_dict) - set(expected)),
        "of another shape": [
            f"{name} {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
            for name, tensor in state_dict.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    if any(problems.values()):
        lists = [f"{len(names)} {kind}: {', '.join(names)}" for kind, names in problems.items() if names]
        raise CheckpointError("The checkpoint does not fit the published network. Tensors " + "; ".join(lists) + ".")
