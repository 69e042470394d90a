"""HTR-ConvText backbone: a ResNet with a MobileViT block after each of its three stages.

Every module takes the number of real columns of each line, `lengths` of shape `(batch_size,)`, or `None` when no line
is padded. Columns beyond a line's length never influence the columns within it.
"""

import torch
from torch import nn

from .attention_htr_convtext import HTRConvTextMultiHeadAttention, padding_mask
from .configuration_htr_convtext import HTRConvTextConfig


def length_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Boolean mask of shape `(batch_size, size)`: True for the first `lengths[i]` positions of row i."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def halve(length: int | torch.Tensor) -> int | torch.Tensor:
    """Columns after a stride of 2 (kernel 3, padding 1, or kernel 1)."""
    return (length - 1) // 2 + 1


def mask_columns(hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Sets the padded columns of `(batch_size, channels, height, width)` to zero, as a convolution's padding is."""
    if lengths is None:
        return hidden_states
    mask = length_mask(lengths, hidden_states.shape[-1])
    return hidden_states * mask[:, None, None].to(hidden_states.dtype)


def resize_columns(
    hidden_states: torch.Tensor, old_lengths: torch.Tensor, new_lengths: torch.Tensor, size: int
) -> torch.Tensor:
    """
    Bilinear resizing (`align_corners=False`) of the real columns of each line, from `old_lengths` to `new_lengths`.

    Args:
        hidden_states: `(batch_size, channels, height, width)`.
        size: Width of the result, at least `new_lengths.max()`. Columns beyond a line's new length repeat its last.
    """
    position = torch.arange(size, device=hidden_states.device)
    source = ((position + 0.5)[None] * (old_lengths / new_lengths)[:, None] - 0.5).clamp(min=0)
    left = torch.minimum(source.floor().long(), old_lengths[:, None] - 1)
    right = torch.minimum(left + 1, old_lengths[:, None] - 1)
    weight = (source - left).clamp(0, 1)[:, None, None].to(hidden_states.dtype)
    shape = (-1, hidden_states.shape[1], hidden_states.shape[2], -1)
    left_columns = hidden_states.gather(3, left[:, None, None].expand(shape))
    right_columns = hidden_states.gather(3, right[:, None, None].expand(shape))
    return torch.lerp(left_columns, right_columns, weight)


class HTRConvTextConvLayer(nn.Module):
    """Convolution without bias, batch norm and, if asked for, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int | tuple[int, int] = 1,
        activation: bool = True,
    ):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.normalization = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU(inplace=True) if activation else nn.Identity()

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.activation(self.normalization(self.convolution(hidden_states)))


class HTRConvTextResidualBlock(nn.Module):
    """ResNet basic block."""

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int]):
        super().__init__()
        self.conv1 = HTRConvTextConvLayer(in_channels, out_channels, stride=stride)
        self.conv2 = HTRConvTextConvLayer(out_channels, out_channels, activation=False)
        self.shortcut = (
            nn.Identity()
            if stride == (1, 1) and in_channels == out_channels
            else HTRConvTextConvLayer(in_channels, out_channels, kernel_size=1, activation=False)
        )
        self.stride = stride
        self.activation = nn.ReLU(inplace=True)

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """`hidden_states` has zeros in its padded columns; `lengths` are those of the output, which has them too."""
        # A strided 1x1 convolution reads these pixels only. Given them, oneDNN does not gather them into a buffer that
        # is too small for fewer than 16 channels (uxlfoundation/oneDNN#6035: crashes or wrong gradients on a CPU).
        rows, columns = self.stride
        residual = self.shortcut(hidden_states[:, :, ::rows, ::columns])
        hidden_states = mask_columns(self.conv1(hidden_states), lengths)
        hidden_states = self.conv2(hidden_states)
        return mask_columns(self.activation(hidden_states + residual), lengths)


class HTRConvTextMobileViTLayer(nn.Module):
    """Pre-norm transformer layer, then a convolutional position encoding over the patch grid and a layer norm."""

    def __init__(self, config: HTRConvTextConfig, channels: int):
        super().__init__()
        num_heads = max(1, channels // config.mobilevit_head_dim)
        self.config = config
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = HTRConvTextMultiHeadAttention(config, channels, num_heads, attention_dropout=0.0)
        self.norm_mlp = nn.LayerNorm(channels)
        self.up_proj = nn.Linear(channels, config.mobilevit_mlp_ratio * channels)
        self.activation = nn.GELU()
        self.down_proj = nn.Linear(config.mobilevit_mlp_ratio * channels, channels)
        self.position_conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """`(batch_size, grid_height, grid_width, channels)` to the same; `lengths` count grid columns."""
        grid_shape = hidden_states.shape
        attention_mask = None
        hidden_states = hidden_states.flatten(1, 2)
        if lengths is not None:
            mask = length_mask(lengths, grid_shape[2])[:, None].expand(-1, grid_shape[1], -1).flatten(1)
            attention_mask = padding_mask(self.config, hidden_states, mask)
        hidden_states = hidden_states + self.attention(self.norm_attention(hidden_states), attention_mask)[0]
        mlp_output = self.down_proj(self.activation(self.up_proj(self.norm_mlp(hidden_states))))
        grid = (hidden_states + mlp_output).view(grid_shape).permute(0, 3, 1, 2)
        grid = grid + self.position_conv(mask_columns(grid, lengths))
        return self.norm(grid.permute(0, 2, 3, 1))


class HTRConvTextMobileViTBlock(nn.Module):
    """
    MobileViT block ([arXiv 2110.02178](https://arxiv.org/abs/2110.02178)) with patches of 2×2 pixels and a position
    encoding, without the original's skip and fusion. Each of the four pixel positions attends over all patches.
    """

    def __init__(self, config: HTRConvTextConfig, channels: int):
        super().__init__()
        self.conv_in = HTRConvTextConvLayer(channels, channels)
        self.conv_1x1 = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.layer = HTRConvTextMobileViTLayer(config, channels)
        self.conv_projection = HTRConvTextConvLayer(channels, channels, kernel_size=1)

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """`(batch_size, channels, height, width)` with zeros in the padded columns, to the same."""
        height, width = hidden_states.shape[-2:]
        even_height, even_width = 2 * halve(height), 2 * halve(width)
        even_lengths = None if lengths is None else 2 * halve(lengths)

        hidden_states = self.conv_1x1(self.conv_in(hidden_states))
        hidden_states = self.resize(hidden_states, lengths, even_lengths, even_height, even_width)
        patches, grid_lengths = self.unfold(hidden_states, even_lengths)
        patches = self.layer(patches, grid_lengths)
        hidden_states = self.fold(patches)
        hidden_states = self.resize(hidden_states, even_lengths, lengths, height, width)
        return mask_columns(self.conv_projection(hidden_states), lengths)

    @staticmethod
    def resize(
        hidden_states: torch.Tensor,
        old_lengths: torch.Tensor | None,
        new_lengths: torch.Tensor | None,
        height: int,
        width: int,
    ) -> torch.Tensor:
        """Odd sizes become even before the patches are cut, and odd again after. An equal size changes nothing."""
        if old_lengths is None:
            # No test whether the width changes: `torch.export` would bake the answer for one width into the graph.
            return nn.functional.interpolate(hidden_states, size=(height, width), mode="bilinear")
        if height != hidden_states.shape[-2]:
            size = (height, hidden_states.shape[-1])
            hidden_states = nn.functional.interpolate(hidden_states, size=size, mode="bilinear")
        return resize_columns(hidden_states, old_lengths, new_lengths, width)

    @staticmethod
    def unfold(hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(B, C, H, W)` to `(4·B, H/2, W/2, C)`: one patch grid for each of the four pixel positions."""
        batch_size, channels, height, width = hidden_states.shape
        patches = hidden_states.permute(0, 2, 3, 1).reshape(batch_size, height // 2, 2, width // 2, 2, channels)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(4 * batch_size, height // 2, width // 2, channels)
        return patches, None if lengths is None else (lengths // 2).repeat_interleave(4)

    @staticmethod
    def fold(patches: torch.Tensor) -> torch.Tensor:
        """`(4·B, H/2, W/2, C)` to `(B, C, H, W)`."""
        batch_size, height, width, channels = patches.shape
        hidden_states = patches.reshape(batch_size // 4, 2, 2, height, width, channels).permute(0, 3, 1, 4, 2, 5)
        return hidden_states.reshape(batch_size // 4, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


class HTRConvTextStage(nn.Module):
    """Two residual blocks and a MobileViT block."""

    def __init__(self, config: HTRConvTextConfig, in_channels: int, out_channels: int, stride: tuple[int, int]):
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                HTRConvTextResidualBlock(in_channels, out_channels, stride),
                HTRConvTextResidualBlock(out_channels, out_channels, (1, 1)),
            ]
        )
        self.mobilevit = HTRConvTextMobileViTBlock(config, out_channels)

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        for block in self.blocks:
            hidden_states = block(hidden_states, lengths)
        return self.mobilevit(hidden_states, lengths)


class HTRConvTextBackbone(nn.Module):
    """
    `(batch_size, num_channels, height ≤ 64, width)` to `(batch_size, hidden_size, 1, width / 4)`.

    The height is halved six times, the width twice.
    """

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        widths = config.backbone_hidden_sizes
        self.stem = HTRConvTextConvLayer(config.num_channels, widths[0], stride=(2, 1))
        self.pool = nn.MaxPool2d(kernel_size=3, stride=(2, 1), padding=1)
        self.stages = nn.ModuleList(
            [
                HTRConvTextStage(config, widths[0], widths[0], stride=(2, 1)),
                HTRConvTextStage(config, widths[0], widths[1], stride=(2, 2)),
                HTRConvTextStage(config, widths[1], widths[2], stride=(2, 2)),
            ]
        )
        self.is_frozen = False

    def train(self, mode: bool = True) -> "HTRConvTextBackbone":
        """As `nn.Module.train`, but a frozen backbone keeps its running statistics: it stays in evaluation mode."""
        return super().train(mode and not self.is_frozen)

    def forward(self, pixel_values: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        if pixel_values.shape[-2] > 64:
            raise ValueError(
                f"Line images may be at most 64 pixels high, got {pixel_values.shape[-2]}: resize them with the image "
                "processor. (Higher ones would give more than one row of frames.)"
            )
        # The pools' own padding is −∞ and the padded columns are zero: equal, for what is pooled is not negative.
        hidden_states = self.stem(mask_columns(pixel_values, lengths))
        hidden_states = self.pool(mask_columns(hidden_states, lengths))
        hidden_states = self.stages[0](mask_columns(hidden_states, lengths), lengths)
        for stage in self.stages[1:]:
            lengths = None if lengths is None else halve(lengths)
            hidden_states = stage(hidden_states, lengths)
        return self.pool(hidden_states)
