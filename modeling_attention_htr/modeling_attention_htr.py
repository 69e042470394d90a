"""AttentionHTR (arXiv 2201.09390), CRNN and their kin: transformation, features, sequence, prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.generation import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, ModelOutput, Seq2SeqLMOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_attention_htr import AttentionHTRConfig
from .features_attention_htr import AttentionHTRFeatures
from .input_checks_attention_htr import check_images, check_labels
from .prediction_attention_htr import AttentionHTRBiLSTM, AttentionHTRDecoder
from .transformation_attention_htr import AttentionHTRControlPoints, AttentionHTRTransformation


@dataclass
class AttentionHTROutput(Seq2SeqLMOutput):
    r"""
    loss (`torch.Tensor` of shape `()`, *optional*): With `labels`.
    logits (`torch.Tensor` of shape `(batch_size, steps, vocab_size)`):
        With attention those of the characters; with CTC of the frames.
    decoder_hidden_states (`tuple[torch.Tensor]`, *optional*):
        With attention the states of its LSTM, one tensor of shape `(batch_size, steps, hidden_size)`.
    encoder_last_hidden_state (`torch.Tensor` of shape `(batch_size, sequence_length, width)`): The frames.
    encoder_hidden_states (`tuple[torch.Tensor]`, *optional*):
        With attention the frames before and after each LSTM layer.
    hidden_states (`tuple[torch.Tensor]`, *optional*):
        With CTC the frames before and after each LSTM layer.
    alignments (`torch.Tensor` of shape `(batch_size, steps, sequence_length)`, *optional*):
        With attention the weights of the frames in each step.
    """

    hidden_states: tuple[torch.Tensor, ...] | None = None
    alignments: torch.Tensor | None = None


@auto_docstring
class AttentionHTRPreTrainedModel(PreTrainedModel):
    config: AttentionHTRConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = False  # batch norm would count each batch twice
    # The loss is a mean over characters or lines already; without this Trainer would scale it by accumulation steps.
    accepts_loss_kwargs = False
    _no_split_modules = ["AttentionHTRBiLSTM", "AttentionHTRDecoder"]
    _can_record_outputs = {"hidden_states": AttentionHTRBiLSTM}
    _keys_to_ignore_on_load_missing = [r"num_batches_tracked"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, AttentionHTRControlPoints):
            init.zeros_(module.weight)
            init.copy_(module.bias, module.start())
        elif isinstance(module, AttentionHTRTransformation):
            for name, tensor in module.spline().items():
                init.copy_(getattr(module, name), tensor)
        elif isinstance(module, (nn.Conv2d, nn.Linear, nn.LSTM, nn.LSTMCell)):
            # As in the published training: all weights by He et al. (arXiv 1502.01852), all biases 0.
            for name, parameter in module.named_parameters():
                if "bias" in name:
                    init.zeros_(parameter)
                else:
                    init.kaiming_normal_(parameter)


@auto_docstring(custom_intro="The stages before the prediction: images of words to frames.")
class AttentionHTRModel(AttentionHTRPreTrainedModel):
    _auto_class = "AutoModel"
    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^ctc_head\."]

    def __init__(self, config: AttentionHTRConfig):
        super().__init__(config)
        self.transformation = AttentionHTRTransformation(config) if config.transformation == "tps" else None
        self.features = AttentionHTRFeatures(config)
        sizes = [config.feature_size, *[config.hidden_size] * config.num_hidden_layers]
        self.layers = nn.ModuleList([AttentionHTRBiLSTM(size, config.hidden_size) for size in sizes[:-1]])
        self.is_frozen = False
        self.post_init()

    @property
    def backbone(self) -> list[nn.Module]:
        """Transformation, if there is one, and features: what sees the image."""
        return [module for module in (self.transformation, self.features) if module is not None]

    def train(self, mode: bool = True) -> "AttentionHTRModel":
        """As `nn.Module.train`, but a frozen backbone keeps its running statistics: it stays in evaluation mode."""
        super().train(mode)
        if self.is_frozen:
            for module in self.backbone:
                module.eval()
        return self

    @merge_with_config_defaults
    @capture_outputs
    @auto_docstring
    def forward(
        self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[torch.Tensor] | BaseModelOutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`):
            Images of words of the configured height and, with a transformation, width; −1 is black, 1 white.
        """
        check_images(pixel_values, self.training)
        height, width = self.config.image_size
        found = tuple(pixel_values.shape[-2:])
        if found[0] != height or (self.transformation is not None and found[1] != width):
            raise ValueError(
                f"Images must be {height} × {width} pixels for this network, got {found[0]} × {found[1]}: resize them "
                "with the image processor."
            )
        hidden_states = pixel_values.to(self.dtype)
        if self.transformation is not None:
            hidden_states = self.transformation(hidden_states)
        hidden_states = self.features(hidden_states)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return BaseModelOutput(last_hidden_state=hidden_states)


@auto_docstring(custom_intro="A recogniser of words that predicts by attention or CTC.")
class AttentionHTRForTextRecognition(AttentionHTRPreTrainedModel, GenerationMixin):
    _auto_class = "AutoModelForTextRecognition"

    def __init__(self, config: AttentionHTRConfig):
        super().__init__(config)
        self.model = AttentionHTRModel(config)
        has_attention = config.prediction == "attention"
        self.decoder = AttentionHTRDecoder(config) if has_attention else None
        self.ctc_head = None if has_attention else nn.Linear(AttentionHTRDecoder.frame_size(config), config.vocab_size)
        self.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.pad_token_id,
            max_new_tokens=config.max_text_length + 1,
            use_cache=False,  # the state of the decoder is not what a cache holds
        )
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.model

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor] | AttentionHTROutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`, *optional*):
            Images of words of the configured height and, with a transformation, width; −1 is black, 1 white.
        labels (`torch.Tensor` of shape `(batch_size, length)`, *optional*):
            Character ids, padded with 0 or -100; with attention the end symbol follows the last character. With
            attention they are the `decoder_input_ids` too, one step later (teacher forcing).
        decoder_input_ids (`torch.Tensor` of shape `(batch_size, steps)`, *optional*):
            With attention the symbol before each character, 0 before the first. Without it and `labels` the network
            reads: each step sees what the one before it found most probable, `max_text_length + 1` steps long.
        encoder_outputs (`BaseModelOutput`, *optional*):
            Of `AttentionHTRModel`, in place of `pixel_values`.
        """
        if encoder_outputs is None:
            encoder_outputs = self.model(pixel_values, **kwargs)
        frames = encoder_outputs[0]
        if labels is not None:
            labels = check_labels(labels, len(frames), self.config.vocab_size)
        encoder_hidden_states = encoder_outputs.get("hidden_states")
        loss = None
        if self.decoder is None:
            logits = self.ctc_head(frames)
            loss = None if labels is None else ctc_loss_function(logits, labels)
            return AttentionHTROutput(
                loss=loss, logits=logits, encoder_last_hidden_state=frames, hidden_states=encoder_hidden_states
            )
        if decoder_input_ids is None and labels is not None:
            if labels.shape[1] == 0:
                raise ValueError("`labels` are empty: with attention each text has the end symbol at least.")
            decoder_input_ids = shift_right(labels)
        steps = self.config.max_text_length + 1 if decoder_input_ids is None else decoder_input_ids.shape[1]
        logits, alignments, states = self.decoder(frames, steps, decoder_input_ids)
        if labels is not None:
            targets = labels.masked_fill(labels <= 0, -100)
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        return AttentionHTROutput(
            loss=loss,
            logits=logits,
            decoder_hidden_states=None if encoder_hidden_states is None else (states,),
            encoder_last_hidden_state=frames,
            encoder_hidden_states=encoder_hidden_states,
            alignments=alignments,
        )

    def generate(self, *args, **kwargs) -> torch.Tensor | ModelOutput:
        """
        As `GenerationMixin.generate`, of networks with attention: `num_beams=5` searches for the most probable text.

        Raises:
            ValueError: with CTC, which a beam search over the frames decodes.
        """
        if self.decoder is None:
            raise ValueError("A network with CTC does not generate: decode its logits.")
        if kwargs.get("num_beams", 1) > 1:
            kwargs.setdefault("length_penalty", 0.0)  # the most probable text, however long
        return super().generate(*args, **kwargs)

    # --- what training asks of a model ---

    @property
    def loss_parts(self) -> dict[str, dict[str, Any]]:
        """The loss has one part, itself."""
        return {}

    def freeze_backbone(self) -> None:
        """Keeps transformation and features, their running statistics too, as they are, also after `train()`."""
        self.model.is_frozen = True
        for module in self.model.backbone:
            module.requires_grad_(False).eval()

    def read_ids(self, outputs: AttentionHTROutput) -> torch.Tensor:
        """
        The ids that the network reads, `(batch_size, steps)`: with CTC the best of each frame; with attention what it
        writes when nobody tells it the characters before, the padding id after the end symbol.
        """
        if self.decoder is None:
            return outputs["logits"].argmax(-1)
        logits, *_ = self.decoder(outputs["encoder_last_hidden_state"], self.config.max_text_length + 1)
        token_ids = logits.argmax(-1)
        ended = (token_ids == self.config.eos_token_id).int().cumsum(-1) > 0
        return token_ids.masked_fill(ended, self.config.pad_token_id)

    def resize_vocabulary(self, vocab_size: int) -> None:
        """
        Grows the prediction to `vocab_size` classes; those that are there keep their ids and weights.

        Raises:
            ValueError: if `vocab_size` is smaller than it is now.
        """
        old_size = self.config.vocab_size
        if vocab_size < old_size:
            raise ValueError(f"The vocabulary can only grow: it has {old_size} classes, {vocab_size} were asked for.")
        self.replace_vocabulary([*range(old_size), *[None] * (vocab_size - old_size)])

    @torch.no_grad()
    def replace_vocabulary(self, old_ids: Sequence[int | None]) -> None:
        """
        Gives the prediction the classes of another vocabulary.

        Args:
            old_ids: For each new class the id of the class whose weights it takes, `None` for one that starts with
                small weights and the lowest bias, so that it is not read before it is learned. The first must be those
                that are no characters: 0, with attention also 1.

        Raises:
            ValueError: if these are not first, or an id is not in the vocabulary.
        """
        old_size, special = self.config.vocab_size, [0] if self.decoder is None else [0, 1]
        if list(old_ids[: len(special)]) != special:
            raise ValueError(f"The first classes must be {special}, which are no characters.")
        wrong = [index for index in old_ids if index is not None and not 0 <= index < old_size]
        if wrong:
            raise ValueError(f"Id {wrong[0]} is outside the vocabulary of {old_size} classes.")
        kept = [(row, old) for row, old in enumerate(old_ids) if old is not None]
        rows, old_rows = [row for row, _ in kept], [old for _, old in kept]

        def with_rows(linear: nn.Linear) -> nn.Linear:
            new = nn.Linear(linear.in_features, len(old_ids)).to(linear.weight)
            new.weight.normal_(std=0.02)
            new.bias.fill_(linear.bias.min())
            new.weight[rows], new.bias[rows] = linear.weight[old_rows], linear.bias[old_rows]
            return new

        self.config.vocab_size = len(old_ids)
        if self.decoder is None:
            self.ctc_head = with_rows(self.ctc_head)
            return
        self.decoder.classifier = with_rows(self.decoder.classifier)
        self.decoder.vocab_size = len(old_ids)
        cell = self.decoder.cell
        frame_size = cell.input_size - old_size  # what comes before the symbol
        symbols = cell.weight_ih.new_empty(len(cell.weight_ih), len(old_ids)).normal_(std=0.02)
        symbols[:, rows] = cell.weight_ih[:, frame_size:][:, old_rows]
        cell.input_size = frame_size + len(old_ids)
        cell.weight_ih = nn.Parameter(torch.cat([cell.weight_ih[:, :frame_size], symbols], dim=1))


def shift_right(labels: torch.Tensor) -> torch.Tensor:
    """`decoder_input_ids` of labels: 0 first, and in place of padding."""
    return nn.functional.pad(labels.clamp(min=0), (1, 0))[:, :-1]


def ctc_loss_function(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean over the lines of the CTC loss of a character, 0 for a line with more of them than frames can hold."""
    mask = labels > 0
    log_probs = nn.functional.log_softmax(logits, dim=-1, dtype=torch.float32).transpose(0, 1)
    # As transformers does: cuDNN's CTC is not deterministic and takes only some inputs.
    with torch.backends.cudnn.flags(enabled=False):
        return nn.functional.ctc_loss(
            log_probs,
            labels.masked_select(mask),
            torch.full(logits.shape[:1], logits.shape[1], device=logits.device),
            mask.sum(-1),
            zero_infinity=True,
        )


__all__ = ["AttentionHTRForTextRecognition", "AttentionHTRModel", "AttentionHTRPreTrainedModel"]
