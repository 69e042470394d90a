"""HTR-VT (arXiv 2409.08573): a ResNet, Vision Transformer blocks over its columns and a CTC head."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.models.vit.modeling_vit import ViTAttention, ViTLayer
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .backbone_htr_vt import HTRVTBackbone, length_mask
from .configuration_htr_vt import HTRVTConfig
from .input_checks_htr_vt import check_images, check_labels


@dataclass
class HTRVTModelOutput(BaseModelOutput):
    r"""
    attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*):
        1 for the frames of the line, 0 for padding; only with `pixel_mask`.
    """

    attention_mask: torch.Tensor | None = None


@dataclass
class HTRVTForCTCOutput(CausalLMOutput):
    r"""
    attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*):
        1 for the frames of the line, 0 for padding; only with `pixel_mask`.
    ctc_loss (`torch.Tensor` of shape `()`, *optional*): The loss, under the name that `loss_parts` has for it.
    """

    attention_mask: torch.Tensor | None = None
    ctc_loss: torch.Tensor | None = None


def sinusoidal_positions(hidden_states: torch.Tensor) -> torch.Tensor:
    """Positions of the frames `(batch_size, sequence_length, hidden_size)`, as `(sequence_length, hidden_size)`."""
    _, length, width = hidden_states.shape
    steps = torch.arange(length, device=hidden_states.device, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, width, 2, device=hidden_states.device) * (-math.log(10000.0) / width))
    angles = steps[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(hidden_states.dtype)


def draw_span_mask(
    shape: tuple[int, int], ratio: float, span_length: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Draws the frames to hide, about `ratio` of each line: spans of `span_length` at random, booleans of `shape`."""
    # A frame stays visible if none of the `span_length` spans starts that would cover it.
    starts = torch.rand(shape, device=device) < 1 - (1 - ratio) ** (1 / span_length)
    masked = starts.clone()
    for offset in range(1, min(span_length, shape[1])):
        masked[:, offset:] |= starts[:, :-offset]
    return masked


def ctc_loss_function(
    logits: torch.Tensor, labels: torch.Tensor, logit_lengths: torch.Tensor, blank_token_id: int
) -> torch.Tensor:
    """CTC loss of each line, `(batch_size,)`: 0 for a line with more characters than its frames can hold."""
    mask = (labels >= 0) & (labels != blank_token_id)
    log_probs = nn.functional.log_softmax(logits, dim=-1, dtype=torch.float32).transpose(0, 1)
    # As transformers does: cuDNN's CTC is not deterministic and takes only some inputs.
    with torch.backends.cudnn.flags(enabled=False):
        return nn.functional.ctc_loss(
            log_probs,
            labels.masked_select(mask),
            logit_lengths,
            mask.sum(-1),
            blank=blank_token_id,
            reduction="none",
            zero_infinity=True,
        )


@auto_docstring
class HTRVTPreTrainedModel(PreTrainedModel):
    config: HTRVTConfig
    paper = "[HTR-VT](https://arxiv.org/abs/2409.08573)"  # for model cards
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    # The loss is a mean over lines already; without this Trainer would scale it by the accumulation steps.
    accepts_loss_kwargs = False
    _no_split_modules = ["ViTLayer", "HTRVTResidualBlock"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": ViTLayer, "attentions": ViTAttention}
    _keys_to_ignore_on_load_missing = [r"num_batches_tracked"]

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return True  # transformers looks for its attention in this file, but it is in that of its ViT

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            # PyTorch's own start values, which scale with the fan-in; the library's would be N(0, 0.02) for all.
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
        elif isinstance(module, HTRVTModel) and module.mask_token is not None:
            init.normal_(module.mask_token, std=self.config.initializer_range)


@auto_docstring(custom_intro="HTR-VT without a head: line images to frames.")
class HTRVTModel(HTRVTPreTrainedModel):
    _auto_class = "AutoModel"
    _keys_to_ignore_on_load_unexpected = [r"^ctc_head\."]

    def __init__(self, config: HTRVTConfig):
        super().__init__(config)
        self.backbone = HTRVTBackbone(config)
        self.mask_token = nn.Parameter(torch.empty(1, 1, config.hidden_size)) if config.masking else None
        self.layers = nn.ModuleList([ViTLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor] | HTRVTModelOutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`):
            Lines of at most 64 rows and any width, white = 1, padded on the right.
        pixel_mask (`torch.Tensor` of shape `(batch_size, width)`, *optional*):
            1 for the columns of the line, 0 for the padding on its right. Without it everything is line, as in the
            published network.
        """
        check_images(pixel_values, pixel_mask, self.training)
        lengths = frame_mask = attention_mask = None
        if pixel_mask is not None:
            lengths = pixel_mask.sum(-1).long().clamp(min=1)
        hidden_states = self.backbone(pixel_values.to(self.dtype), lengths).flatten(2).transpose(1, 2)
        if self.mask_token is not None and self.training:
            masked = draw_span_mask(
                hidden_states.shape[:2], self.config.mask_ratio, self.config.mask_span_length, hidden_states.device
            )
            hidden_states = torch.where(masked[..., None], self.mask_token.to(hidden_states), hidden_states)
        hidden_states = hidden_states + sinusoidal_positions(hidden_states)
        if lengths is not None:
            frame_mask = length_mask(self.config.frames(lengths), hidden_states.shape[1])
            attention_mask = create_bidirectional_mask(
                config=self.config, inputs_embeds=hidden_states, attention_mask=frame_mask
            )
        for layer in self.layers:
            hidden_states = layer(hidden_states, attention_mask, **kwargs)
        return HTRVTModelOutput(
            last_hidden_state=self.norm(hidden_states),
            attention_mask=None if frame_mask is None else frame_mask.int(),
        )


@auto_docstring(custom_intro="HTR-VT with its CTC head.")
class HTRVTForCTC(HTRVTPreTrainedModel):
    _auto_class = "AutoModelForCTC"
    # What only training needs; a model to share has it not.
    _keys_to_ignore_on_load_missing = [r"num_batches_tracked", r"^model\.mask_token$"]
    _keys_to_ignore_on_load_unexpected = [r"^model\.mask_token$"]

    def __init__(self, config: HTRVTConfig):
        super().__init__(config)
        self.model = HTRVTModel(config)
        self.ctc_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor] | HTRVTForCTCOutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`):
            Lines of at most 64 rows and any width, white = 1, padded on the right.
        pixel_mask (`torch.Tensor` of shape `(batch_size, width)`, *optional*):
            1 for the columns of the line, 0 for the padding on its right. Without it everything is line, as in the
            published network.
        labels (`torch.Tensor` of shape `(batch_size, length)`, *optional*):
            Character ids, padded with the blank or -100.
        """
        outputs = self.model(pixel_values, pixel_mask=pixel_mask, **kwargs)
        logits = self.ctc_head(outputs.last_hidden_state)

        loss = None
        if labels is not None:
            labels = check_labels(labels, len(logits), self.config.vocab_size)
            if outputs.attention_mask is None:
                logit_lengths = torch.full(logits.shape[:1], logits.shape[1], device=logits.device)
            else:
                logit_lengths = outputs.attention_mask.sum(-1)
            loss = ctc_loss_function(logits, labels, logit_lengths, self.config.pad_token_id).mean()

        return HTRVTForCTCOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            attention_mask=outputs.attention_mask,
            ctc_loss=loss,
        )

    # --- what training asks of a model ---

    @property
    def loss_parts(self) -> dict[str, dict[str, Any]]:
        """The one part of the loss: its name among the outputs, its weight, and what it is the mean of."""
        return {"ctc_loss": {"weight": 1.0, "mean_of": "lines"}}

    def freeze_backbone(self) -> None:
        """Keeps the weights and running statistics of the backbone as they are, also after `train()`."""
        self.model.backbone.requires_grad_(False)
        self.model.backbone.is_frozen = True
        self.model.backbone.eval()

    def read_ids(self, outputs: HTRVTForCTCOutput) -> torch.Tensor:
        """The best id of each frame, `(batch_size, sequence_length)`, the padding of each line set to the blank."""
        token_ids = outputs["logits"].argmax(-1)
        if outputs.get("attention_mask") is None:
            return token_ids
        return token_ids.masked_fill(outputs["attention_mask"] == 0, self.config.pad_token_id)

    def resize_vocabulary(self, vocab_size: int) -> None:
        """
        Grows the CTC head to `vocab_size` classes; those there are keep their ids and weights (`replace_vocabulary`).

        Raises:
            ValueError: if `vocab_size` is smaller than it is now.
        """
        old_size = self.config.vocab_size
        if vocab_size < old_size:
            raise ValueError(f"The vocabulary can only grow: it has {old_size} classes, {vocab_size} were asked for.")
        self.replace_vocabulary([*range(old_size), *[None] * (vocab_size - old_size)])

    def replace_vocabulary(self, old_ids: Sequence[int | None]) -> None:
        """
        Gives the CTC head the classes of another vocabulary.

        Args:
            old_ids: For each new class the id of the class whose weights it takes, `None` for one that starts with
                small weights and the lowest bias, so that it is not read before it is learned. The first must be 0,
                the blank.

        Raises:
            ValueError: if the blank is not first, or an id is not in the vocabulary.
        """
        old = self.ctc_head
        if not old_ids or old_ids[0] != 0:
            raise ValueError("The first class must be the blank, 0.")
        wrong = [index for index in old_ids if index is not None and not 0 <= index < old.out_features]
        if wrong:
            raise ValueError(f"Id {wrong[0]} is outside the vocabulary of {old.out_features} classes.")
        rows = [row for row, index in enumerate(old_ids) if index is not None]
        kept = [index for index in old_ids if index is not None]
        new = nn.Linear(old.in_features, len(old_ids)).to(old.weight)
        with torch.no_grad():
            new.weight.normal_(std=self.config.initializer_range)
            new.bias.fill_(old.bias.min())
            new.weight[rows], new.bias[rows] = old.weight[kept], old.bias[kept]
        self.ctc_head = new
        self.config.vocab_size = len(old_ids)


__all__ = ["HTRVTForCTC", "HTRVTModel", "HTRVTPreTrainedModel"]
