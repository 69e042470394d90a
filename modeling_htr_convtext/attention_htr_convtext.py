"""What every attention of HTR-ConvText shares: the plain implementation and the projections around it."""

from collections.abc import Callable

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs

from .configuration_htr_convtext import HTRConvTextConfig


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    position_bias: torch.Tensor | None = None,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    attn_weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if position_bias is not None:
        attn_weights = attn_weights + position_bias
    if attention_mask is not None:
        attn_weights = attn_weights + attention_mask
    attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query.dtype)
    attn_weights = nn.functional.dropout(attn_weights, p=dropout, training=module.training)
    attn_output = torch.matmul(attn_weights, value).transpose(1, 2).contiguous()
    return attn_output, attn_weights


def padding_mask(config: HTRConvTextConfig, hidden_states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
    """
    What hides padded states from all others, as the configured attention implementation wants it.

    Args:
        hidden_states: `(batch_size, sequence_length, width)`.
        mask: `(batch_size, sequence_length)`, false for padding.
    """
    # Every query sees the same keys: where the implementation broadcasts, one row does for the whole square of them.
    broadcasts = config._attn_implementation in ("eager", "sdpa")
    return create_bidirectional_mask(
        config=config,
        inputs_embeds=hidden_states[:, :1] if broadcasts else hidden_states,
        attention_mask=mask,
        encoder_hidden_states=hidden_states,
    )


class HTRConvTextMultiHeadAttention(nn.Module):
    """
    Self-attention of `(batch_size, sequence_length, width)` states through the configured implementation.

    `forward` takes an attention mask as that implementation wants it and a `position_bias` of `(batch_size, num_heads,
    sequence_length, sequence_length)`. It returns states of the same shape and, from the eager implementation alone,
    the weights `(batch_size, num_heads, sequence_length, sequence_length)`.
    """

    def __init__(self, config: HTRConvTextConfig, width: int, num_heads: int, attention_dropout: float):
        super().__init__()
        self.config = config
        self.head_dim = width // num_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = attention_dropout
        self.is_causal = False
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_bias: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        input_shape = hidden_states.shape[:-1]
        hidden_shape = (*input_shape, -1, self.head_dim)
        query_states = self.q_proj(hidden_states).view(hidden_shape).transpose(1, 2)
        key_states = self.k_proj(hidden_states).view(hidden_shape).transpose(1, 2)
        value_states = self.v_proj(hidden_states).view(hidden_shape).transpose(1, 2)

        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        attn_output, attn_weights = attention_interface(
            self,
            query_states,
            key_states,
            value_states,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            position_bias=position_bias,
            **kwargs,
        )
        attn_output = attn_output.reshape(*input_shape, -1).contiguous()
        return self.o_proj(attn_output), attn_weights
