"""HTR-ConvText (arXiv 2512.05021): a CNN with MobileViT blocks, a Conformer-like U-Net encoder and a CTC head."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention_htr_convtext import padding_mask
from .backbone_htr_convtext import HTRConvTextBackbone, halve, length_mask
from .configuration_htr_convtext import HTRConvTextConfig
from .encoder_htr_convtext import (
    HTRConvTextAttention,
    HTRConvTextDownsample,
    HTRConvTextHalvingConv,
    HTRConvTextLayer,
    HTRConvTextRelativePositionBias,
    HTRConvTextResidual,
    HTRConvTextUpsample,
)
from .input_checks_htr_convtext import check_images, check_labels
from .masking_htr_convtext import draw_frame_mask
from .textual_context_htr_convtext import HTRConvTextTextualContextModule


@dataclass
class HTRConvTextModelOutput(BaseModelOutput):
    r"""
    attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*):
        1 for the frames of the line, 0 for padding; only with `pixel_mask`.
    masked_frames (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*):
        1 for the frames that masked training hid.
    """

    attention_mask: torch.Tensor | None = None
    masked_frames: torch.Tensor | None = None


@dataclass
class HTRConvTextForCTCOutput(CausalLMOutput):
    r"""
    attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*):
        1 for the frames of the line, 0 for padding; only with `pixel_mask`.
    ctc_loss (`torch.Tensor` of shape `()`, *optional*): CTC part of the loss, not weighted.
    tcm_loss (`torch.Tensor` of shape `()`, *optional*): Textual context part of the loss, not weighted.
    """

    attention_mask: torch.Tensor | None = None
    ctc_loss: torch.Tensor | None = None
    tcm_loss: torch.Tensor | None = None


@auto_docstring
class HTRConvTextPreTrainedModel(PreTrainedModel):
    config: HTRConvTextConfig
    paper = "[HTR-ConvText](https://arxiv.org/abs/2512.05021)"  # for model cards
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    # The loss is a mean over lines already; without this Trainer would scale it by the accumulation steps.
    accepts_loss_kwargs = False
    _no_split_modules = ["HTRConvTextLayer", "HTRConvTextStage"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_flash_attn = False  # no position bias there
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": HTRConvTextLayer, "attentions": HTRConvTextAttention}
    _keys_to_ignore_on_load_missing = [r"num_batches_tracked"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        # Only modules with parameters of their own come here, for this is custom code to the library: what starts in a
        # special way is a class of its own.
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight, gain=self.config.xavier_gain)
        elif isinstance(module, HTRConvTextHalvingConv):
            init.constant_(module.weight, 1 / 3)
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            # PyTorch's own start values, which scale with the fan-in; the library's would be N(0, 0.02) for all.
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, HTRConvTextResidual):
            init.constant_(module.scale, self.config.layer_scale_init_value)
        elif isinstance(module, HTRConvTextRelativePositionBias):
            init.zeros_(module.weight)
        elif isinstance(module, HTRConvTextTextualContextModule):
            init.normal_(module.direction_embed, std=self.config.initializer_range)
        elif isinstance(module, HTRConvTextModel) and module.mask_token is not None:
            init.normal_(module.mask_token, std=self.config.initializer_range)


@auto_docstring(custom_intro="HTR-ConvText without a head: line images to frames.")
class HTRConvTextModel(HTRConvTextPreTrainedModel):
    _auto_class = "AutoModel"
    _keys_to_ignore_on_load_unexpected = [r"^ctc_head\.", r"^tcm_head\."]

    def __init__(self, config: HTRConvTextConfig):
        super().__init__(config)
        self.backbone = HTRConvTextBackbone(config)
        self.mask_token = nn.Parameter(torch.empty(1, 1, config.hidden_size)) if config.masking else None
        self.layers = nn.ModuleList([HTRConvTextLayer(config, i) for i in range(config.num_hidden_layers)])
        has_unet = config.downsample_after is not None
        self.downsample = HTRConvTextDownsample(config) if has_unet else None
        self.upsample = HTRConvTextUpsample(config) if has_unet else None
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
    ) -> tuple[torch.Tensor] | HTRConvTextModelOutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`):
            Lines of at most 64 rows and any width, white = 1, padded on the right.
        pixel_mask (`torch.Tensor` of shape `(batch_size, width)`, *optional*):
            1 for the columns of the line, 0 for the padding on its right. Without it everything is line, as in the
            published network.
        """
        check_images(pixel_values, pixel_mask, self.training)
        lengths = frame_mask = masked_frames = None
        if pixel_mask is not None:
            lengths = pixel_mask.sum(-1).long().clamp(min=1)
        hidden_states = self.backbone(pixel_values.to(self.dtype), lengths).flatten(2).transpose(1, 2)
        if pixel_mask is not None:
            lengths = self.config.frames(lengths)
            frame_mask = length_mask(lengths, hidden_states.shape[1])
        if self.mask_token is not None and self.training:
            masked_frames = draw_frame_mask(self.config, hidden_states.shape[:2], frame_mask, hidden_states.device)
            hidden_states = torch.where(masked_frames[..., None], self.mask_token.to(hidden_states), hidden_states)

        layers, down, up = list(self.layers), self.config.downsample_after, self.config.upsample_after
        hidden_states = self._encode(layers[:down], hidden_states, lengths, **kwargs)
        if down is not None:
            skip = hidden_states
            hidden_states = self.downsample(hidden_states, lengths)
            halved = None if lengths is None else halve(lengths)
            hidden_states = self._encode(layers[down:up], hidden_states, halved, **kwargs)
            hidden_states = self.upsample(hidden_states, skip)
            hidden_states = self._encode(layers[up:], hidden_states, lengths, **kwargs)
        hidden_states = self.norm(hidden_states)

        return HTRConvTextModelOutput(
            last_hidden_state=hidden_states,
            attention_mask=None if frame_mask is None else frame_mask.int(),
            masked_frames=None if masked_frames is None else masked_frames.int(),
        )

    def _encode(
        self,
        layers: list[HTRConvTextLayer],
        hidden_states: torch.Tensor,
        lengths: torch.Tensor | None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """Runs the frames `(batch_size, sequence_length, hidden_size)` through ConvText blocks of one resolution."""
        frame_mask = attention_mask = None
        if lengths is not None:
            frame_mask = length_mask(lengths, hidden_states.shape[1])
            attention_mask = padding_mask(self.config, hidden_states, frame_mask)
        for layer in layers:
            hidden_states = layer(hidden_states, attention_mask=attention_mask, frame_mask=frame_mask, **kwargs)
        return hidden_states


def ctc_loss_function(
    logits: torch.Tensor, labels: torch.Tensor, logit_lengths: torch.Tensor, blank_token_id: int
) -> torch.Tensor:
    """
    CTC loss of each line, `(batch_size,)`: 0 for a line with more characters than its frames can hold.

    `transformers.loss.loss_ctc.ForCTCLoss` does the same from transformers 5.21 on.
    """
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


@auto_docstring(custom_intro="HTR-ConvText with a CTC head and, for training, the Textual Context Module.")
class HTRConvTextForCTC(HTRConvTextPreTrainedModel):
    _auto_class = "AutoModelForCTC"
    # What only training needs; a model to share has none of it.
    _keys_to_ignore_on_load_missing = [r"num_batches_tracked", r"^tcm_head\.", r"^model\.mask_token$"]
    _keys_to_ignore_on_load_unexpected = [r"^tcm_head\.", r"^model\.mask_token$"]

    def __init__(self, config: HTRConvTextConfig):
        super().__init__(config)
        self.model = HTRConvTextModel(config)
        self.ctc_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.tcm_head = HTRConvTextTextualContextModule(config) if config.use_tcm else None
        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor] | HTRConvTextForCTCOutput:
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
        hidden_states = outputs.last_hidden_state
        logits = self.ctc_head(hidden_states)

        loss = ctc_loss = tcm_loss = None
        if labels is not None:
            labels = check_labels(labels, len(logits), self.config.vocab_size)
            frame_mask = outputs.attention_mask
            if frame_mask is None:
                logit_lengths = torch.full(logits.shape[:1], logits.shape[1], device=logits.device)
            else:
                logit_lengths, frame_mask = frame_mask.sum(-1), frame_mask.bool()
            ctc_loss = ctc_loss_function(logits, labels, logit_lengths, self.config.pad_token_id).mean()
            loss = self.config.ctc_loss_weight * ctc_loss
            if self.tcm_head is not None:
                masked_frames = outputs.masked_frames
                masked_frames = None if masked_frames is None else masked_frames.bool()
                tcm_loss = self.tcm_head.loss(hidden_states, labels, frame_mask, masked_frames)
                loss = loss + self.config.tcm_loss_weight * tcm_loss

        return HTRConvTextForCTCOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            attention_mask=outputs.attention_mask,
            ctc_loss=ctc_loss,
            tcm_loss=tcm_loss,
        )

    # --- what training asks of a model ---

    @property
    def loss_parts(self) -> dict[str, dict[str, Any]]:
        """
        The parts of the loss that the outputs have under these names: the `weight` of each in the sum, and what it is
        the mean of, `"lines"` or `"characters"` (`mean_of`).
        """
        parts = {"ctc_loss": {"weight": self.config.ctc_loss_weight, "mean_of": "lines"}}
        if self.tcm_head is not None:
            parts["tcm_loss"] = {"weight": self.config.tcm_loss_weight, "mean_of": "characters"}
        return parts

    def freeze_backbone(self) -> None:
        """Keeps the weights and running statistics of the backbone as they are, also after `train()`."""
        self.model.backbone.requires_grad_(False)
        self.model.backbone.is_frozen = True
        self.model.backbone.eval()

    def read_ids(self, outputs: HTRConvTextForCTCOutput) -> torch.Tensor:
        """The best id of each frame, `(batch_size, sequence_length)`, the padding of each line set to the blank."""
        token_ids = outputs["logits"].argmax(-1)
        if outputs.get("attention_mask") is None:
            return token_ids
        return token_ids.masked_fill(outputs["attention_mask"] == 0, self.config.pad_token_id)

    def resize_vocabulary(self, vocab_size: int) -> None:
        """
        Grows the CTC head and the tables of the Textual Context Module to `vocab_size` classes.

        The classes there are keep their ids and weights: logits of old classes do not change. New classes start with
        small weights and the lowest bias, so that they are not read before they are learned.

        Raises:
            ValueError: if `vocab_size` is smaller than it is now.
        """
        old_size = self.config.vocab_size
        if vocab_size < old_size:
            raise ValueError(f"The vocabulary can only grow: it has {old_size} classes, {vocab_size} were asked for.")
        self.replace_vocabulary([*range(old_size), *[None] * (vocab_size - old_size)])

    def replace_vocabulary(self, old_ids: Sequence[int | None]) -> None:
        """
        Gives the CTC head and the tables of the Textual Context Module the classes of another vocabulary.

        Args:
            old_ids: For each new class the id of the class whose weights it takes, `None` for one that starts as in
                `resize_vocabulary`. The first must be 0, the blank.

        Raises:
            ValueError: if the blank is not first, or an id is not in the vocabulary.
        """
        old_size = self.config.vocab_size
        if not old_ids or old_ids[0] != 0:
            raise ValueError("The first class must be the blank, 0.")
        wrong = [index for index in old_ids if index is not None and not 0 <= index < old_size]
        if wrong:
            raise ValueError(f"Id {wrong[0]} is outside the vocabulary of {old_size} classes.")
        self.ctc_head = self._with_rows(self.ctc_head, old_ids)
        if self.tcm_head is not None:
            old_ids = [*old_ids, old_size]  # its padding class is the last
            embed = self.tcm_head.embed
            new = nn.Embedding(len(old_ids), embed.embedding_dim, padding_idx=len(old_ids) - 1).to(embed.weight)
            nn.init.normal_(new.weight, std=self.config.initializer_range)
            rows, kept = _kept_rows(old_ids)
            with torch.no_grad():
                new.weight[rows] = embed.weight[kept]
            self.tcm_head.embed = new
            self.tcm_head.classifier = self._with_rows(self.tcm_head.classifier, old_ids)
            old_ids = old_ids[:-1]
        self.config.vocab_size = len(old_ids)

    def _with_rows(self, linear: nn.Linear, old_ids: Sequence[int | None]) -> nn.Linear:
        """A linear layer with the rows `old_ids` of another, new ones where they are `None`."""
        new = nn.Linear(linear.in_features, len(old_ids)).to(linear.weight)
        rows, kept = _kept_rows(old_ids)
        with torch.no_grad():
            new.weight.normal_(std=self.config.initializer_range)
            new.bias.fill_(linear.bias.min())
            new.weight[rows], new.bias[rows] = linear.weight[kept], linear.bias[kept]
        return new


def _kept_rows(old_ids: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """Where rows are kept, and which."""
    kept = [(row, old) for row, old in enumerate(old_ids) if old is not None]
    return [row for row, _ in kept], [old for _, old in kept]


__all__ = ["HTRConvTextForCTC", "HTRConvTextModel", "HTRConvTextPreTrainedModel"]
