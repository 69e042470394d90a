"""HTR-ConvText encoder: ConvText blocks and the U-Net's resampling of the frame sequence."""

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .attention_htr_convtext import HTRConvTextMultiHeadAttention
from .configuration_htr_convtext import HTRConvTextConfig


class HTRConvTextRelativePositionBias(nn.Embedding):
    """A learned bias for each distance between two frames and each head; zero at the start."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__(2 * config.max_relative_positions - 1, config.num_attention_heads)
        self.limit = config.max_relative_positions - 1

    def forward(self, length: int) -> torch.Tensor:
        """Bias of shape `(1, num_heads, length, length)`."""
        position = torch.arange(length, device=self.weight.device)
        distance = (position[:, None] - position[None, :]).clamp(-self.limit, self.limit) + self.limit
        # Contiguous, or else every mask that is made from it is copied once more.
        return super().forward(distance).permute(2, 0, 1).contiguous()[None]


class HTRConvTextAttention(HTRConvTextMultiHeadAttention):
    """Self-attention over the frames with a relative position bias."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__(config, config.hidden_size, config.num_attention_heads, config.attention_dropout)
        self.relative_position_bias = HTRConvTextRelativePositionBias(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch_size, length = hidden_states.shape[:2]
        position_bias = self.relative_position_bias(length).expand(batch_size, -1, -1, -1)
        hidden_states, attn_weights = super().forward(hidden_states, attention_mask, position_bias, **kwargs)
        return self.dropout(hidden_states), attn_weights


class HTRConvTextFeedForward(nn.Module):
    """Two linear layers over each frame."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.down_proj(self.activation(self.up_proj(hidden_states))))


class HTRConvTextGroupNorm(nn.GroupNorm):
    """Group norm with one group over channels and time that leaves padded frames out of its statistics."""

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None = None) -> torch.Tensor:
        if frame_mask is None:
            return super().forward(hidden_states)
        mask = frame_mask[:, None].float()
        count = mask.sum((1, 2), keepdim=True) * hidden_states.shape[1]
        states = hidden_states.float()
        mean = (states * mask).sum((1, 2), keepdim=True) / count
        variance = ((states - mean).square() * mask).sum((1, 2), keepdim=True) / count
        states = (states - mean) * torch.rsqrt(variance + self.eps)
        return states.to(hidden_states.dtype) * self.weight[:, None] + self.bias[:, None]


class HTRConvTextConvolution(nn.Module):
    """Pointwise, depthwise and pointwise convolution over time."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        size, kernel = config.hidden_size, config.conv_kernel_size
        self.pointwise_conv1 = nn.Conv1d(size, size, kernel_size=1)
        self.depthwise_conv = nn.Conv1d(size, size, kernel_size=kernel, padding=kernel // 2, groups=size)
        self.norm = HTRConvTextGroupNorm(1, size)
        self.pointwise_conv2 = nn.Conv1d(size, size, kernel_size=1)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_states: torch.Tensor, frame_mask: torch.Tensor | None) -> torch.Tensor:
        hidden_states = self.activation(self.pointwise_conv1(hidden_states.transpose(1, 2)))
        if frame_mask is not None:
            hidden_states = hidden_states * frame_mask[:, None].to(hidden_states.dtype)
        hidden_states = self.activation(self.norm(self.depthwise_conv(hidden_states), frame_mask))
        return self.dropout(self.pointwise_conv2(hidden_states).transpose(1, 2))


class HTRConvTextResidual(nn.Module):
    """`norm(x + scale · drop_path(f(x)))`: the residual around every sub-layer of a ConvText block."""

    def __init__(self, config: HTRConvTextConfig, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.scale = nn.Parameter(torch.empty(config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        if self.training and self.drop_path > 0:
            keep = torch.rand(update.shape[0], 1, 1, device=update.device) >= self.drop_path
            update = update * (keep / (1 - self.drop_path)).to(update.dtype)
        return self.norm(hidden_states + self.scale * update)


class HTRConvTextLayer(GradientCheckpointingLayer):
    """ConvText block: attention, half a feed-forward layer, convolution, half a feed-forward layer; post-norm."""

    def __init__(self, config: HTRConvTextConfig, layer_idx: int):
        super().__init__()
        drop_path = config.drop_path_rate * layer_idx / max(1, config.num_hidden_layers - 1)
        self.attention = HTRConvTextAttention(config)
        self.feed_forward1 = HTRConvTextFeedForward(config)
        self.convolution = HTRConvTextConvolution(config)
        self.feed_forward2 = HTRConvTextFeedForward(config)
        self.residuals = nn.ModuleList([HTRConvTextResidual(config, drop_path) for _ in range(4)])

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        frame_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        hidden_states = self.residuals[0](hidden_states, self.attention(hidden_states, attention_mask, **kwargs)[0])
        hidden_states = self.residuals[1](hidden_states, 0.5 * self.feed_forward1(hidden_states))
        hidden_states = self.residuals[2](hidden_states, self.convolution(hidden_states, frame_mask))
        return self.residuals[3](hidden_states, 0.5 * self.feed_forward2(hidden_states))


class HTRConvTextHalvingConv(nn.Conv1d):
    """Depthwise convolution of stride 2 that starts as the mean of three frames."""

    def __init__(self, channels: int):
        super().__init__(channels, channels, kernel_size=3, stride=2, groups=channels, bias=False)


class HTRConvTextDownsample(nn.Module):
    """Halves the sequence. A line of odd length repeats its last frame first."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        self.depthwise_conv = HTRConvTextHalvingConv(config.hidden_size)
        self.pointwise_conv = nn.Conv1d(config.hidden_size, config.hidden_size, kernel_size=1)

    def forward(self, hidden_states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """`(batch_size, length, hidden_size)` to `(batch_size, ceil(length / 2), hidden_size)`."""
        # The kernel of the last output frame of an odd line is the only one that reads past its end, by one frame.
        # Repeating the last frame there always, rather than testing for odd lengths, keeps the graph free of branches.
        size = hidden_states.shape[1]
        last = size - 1 if lengths is None else (lengths - 1)[:, None]
        index = torch.arange(size + 1, device=hidden_states.device)[None].clamp(max=last)
        index = index.expand(hidden_states.shape[0], -1)[..., None].expand(-1, -1, hidden_states.shape[2])
        hidden_states = hidden_states.gather(1, index).transpose(1, 2)
        hidden_states = self.depthwise_conv(nn.functional.pad(hidden_states, (1, 0)))
        return self.pointwise_conv(hidden_states).transpose(1, 2)


class HTRConvTextUpsample(nn.Module):
    """Repeats every frame and adds the states from before the downsampling."""

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        self.projection = nn.Conv1d(config.hidden_size, config.hidden_size, kernel_size=1)

    def forward(self, hidden_states: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        hidden_states = self.projection(hidden_states.transpose(1, 2)).transpose(1, 2)
        index = torch.arange(skip.shape[1], device=skip.device) // 2
        return hidden_states.index_select(1, index) + skip
