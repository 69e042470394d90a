"""HTR-VT backbone: a ResNet-18 without its last stage, its strides chosen so that a line becomes one row of frames.

Every module takes the number of real columns of each line, `lengths` of shape `(batch_size,)`, or `None` when no line
is padded. Columns beyond a line's length never influence the columns within it.
"""

import torch
from torch import nn

from .configuration_htr_vt import HTRVTConfig


def length_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Boolean mask of shape `(batch_size, size)`: True for the first `lengths[i]` positions of row i."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def mask_columns(hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Sets the padded columns of `(batch_size, channels, height, width)` to zero, as a convolution's padding is."""
    if lengths is None:
        return hidden_states
    mask = length_mask(lengths, hidden_states.shape[-1])
    return hidden_states * mask[:, None, None].to(hidden_states.dtype)


class HTRVTConvLayer(nn.Module):
    """Convolution without bias and batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int | tuple[int, int] = 1):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.normalization = nn.BatchNorm2d(out_channels)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.normalization(self.convolution(hidden_states))


class HTRVTResidualBlock(nn.Module):
    """ResNet basic block."""

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int]):
        super().__init__()
        self.stride = stride
        self.conv1 = HTRVTConvLayer(in_channels, out_channels, stride=stride)
        self.conv2 = HTRVTConvLayer(out_channels, out_channels)
        has_shortcut = stride != (1, 1) or in_channels != out_channels
        self.shortcut = HTRVTConvLayer(in_channels, out_channels, kernel_size=1) if has_shortcut else nn.Identity()

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """`hidden_states` has zeros in its padded columns; `lengths` are those of the output, which has them too."""
        # A strided 1x1 convolution reads these pixels only. Given them, oneDNN does not gather them into a buffer that
        # is too small for fewer than 16 channels (uxlfoundation/oneDNN#6035: crashes or wrong gradients on a CPU).
        rows, columns = self.stride
        residual = self.shortcut(hidden_states[:, :, ::rows, ::columns])
        hidden_states = mask_columns(self.conv1(hidden_states).relu(), lengths)
        return mask_columns((self.conv2(hidden_states) + residual).relu(), lengths)


class HTRVTBackbone(nn.Module):
    """
    `(batch_size, num_channels, height ≤ 64, width)` to `(batch_size, hidden_size, 1, width / 4)`.

    The height is halved six times, the width twice.
    """

    def __init__(self, config: HTRVTConfig):
        super().__init__()
        first, second, third = config.backbone_hidden_sizes
        self.stem = HTRVTConvLayer(config.num_channels, first, stride=(2, 1))
        self.pool = nn.MaxPool2d(kernel_size=3, stride=(2, 1), padding=1)
        self.blocks = nn.ModuleList(
            [
                HTRVTResidualBlock(first, first, stride=(2, 1)),
                HTRVTResidualBlock(first, first, stride=(1, 1)),
                HTRVTResidualBlock(first, second, stride=(2, 2)),
                HTRVTResidualBlock(second, second, stride=(1, 1)),
                HTRVTResidualBlock(second, third, stride=(2, 2)),
                HTRVTResidualBlock(third, third, stride=(1, 1)),
            ]
        )
        self.is_frozen = False

    def train(self, mode: bool = True) -> "HTRVTBackbone":
        """As `nn.Module.train`, but a frozen backbone keeps its running statistics: it stays in evaluation mode."""
        return super().train(mode and not self.is_frozen)

    def forward(self, pixel_values: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        if pixel_values.shape[-2] > 64:
            raise ValueError(
                f"Line images may be at most 64 pixels high, got {pixel_values.shape[-2]}: resize them with the image "
                "processor. (Higher ones would give more than one row of frames.)"
            )
        # The pools' own padding is −∞ and the padded columns are zero: equal, for what is pooled is not negative.
        hidden_states = self.stem(mask_columns(pixel_values, lengths)).relu()
        hidden_states = mask_columns(self.pool(mask_columns(hidden_states, lengths)), lengths)
        for block in self.blocks:
            columns = block.stride[1]
            lengths = None if lengths is None else (lengths - 1) // columns + 1
            hidden_states = block(hidden_states, lengths)
        return self.pool(hidden_states)
