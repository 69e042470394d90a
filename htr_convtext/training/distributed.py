"""What makes several processes compute what one would compute on their batches together."""

import torch
from accelerate.utils import reduce
from torch import distributed, nn


def pad_to_common_width(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pads `pixel_values` (white) and `pixel_mask` to the widest batch of all processes: batch norm sees padding."""
    width = torch.tensor(inputs["pixel_values"].shape[-1], device=inputs["pixel_values"].device)
    distributed.all_reduce(width, distributed.ReduceOp.MAX)
    missing = width.item() - inputs["pixel_values"].shape[-1]
    if missing == 0:
        return inputs
    padded = dict(inputs)
    padded["pixel_values"] = nn.functional.pad(inputs["pixel_values"], (0, missing), value=1.0)
    if "pixel_mask" in inputs:
        padded["pixel_mask"] = nn.functional.pad(inputs["pixel_mask"], (0, missing))
    return padded


def character_share(labels: torch.Tensor, pad_token_id: int) -> torch.Tensor:
    """
    Characters of this process over their mean in all processes, a scalar.

    `labels` are padded with `pad_token_id` or negative values.

    The mean over processes of losses that are means over characters is off by it. Masked characters, which the textual
    context loss counts double, count once here.
    """
    count = ((labels >= 0) & (labels != pad_token_id)).sum().float()
    return count / reduce(count.clone(), "mean").clamp(min=1)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return _SumOverProcesses.apply(gradient)  # each process's loss depends on every process's values


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, for devices that `nn.SyncBatchNorm` refuses, the CPU among them."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(hidden_states)
        values = hidden_states.to(self.running_mean.dtype)
        total = _SumOverProcesses.apply(values.new_tensor(values[:, 0].numel()))
        mean = _SumOverProcesses.apply(values.sum((0, 2, 3))) / total
        centred = values - mean[:, None, None]
        variance = _SumOverProcesses.apply(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(hidden_states.dtype)


def synchronize_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Replaces, in place, every batch norm of `model` by one over all processes."""
    for name, module in list(model.named_modules()):
        if type(module) is not nn.BatchNorm2d:
            continue
        if device.type == "cpu":
            module.__class__ = SyncBatchNorm2d
        else:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.SyncBatchNorm.convert_sync_batchnorm(module))
