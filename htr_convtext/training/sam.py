"""Sharpness-aware minimisation: the gradient is taken where the loss is worst nearby."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def total_norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """Euclidean norm of all gradients together; not finite if one of them is not."""
    return nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


@contextmanager
def perturbed(parameters: Iterable[nn.Parameter], rho: float) -> Iterator[None]:
    """
    Within the context the parameters are moved by `rho` along their gradients, which are taken to be there.

    The first step of SAM ([arXiv 2010.01412](https://arxiv.org/abs/2010.01412)), not adaptive, the norm taken over all
    parameters. The direction does not depend on the scale of the loss, so gradients of a loss scaler will do.
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    start = [parameter.detach().clone() for parameter in moved]
    scale = rho / (total_norm(moved) + 1e-12)
    with torch.no_grad():
        for parameter in moved:
            parameter.add_(parameter.grad * scale.to(parameter.grad))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(moved, start, strict=True):
                parameter.copy_(value)


@contextmanager
def frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Within the context batch norms do not update their running statistics: those belong to unmoved weights."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
