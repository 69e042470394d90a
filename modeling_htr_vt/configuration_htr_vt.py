"""HTR-VT configuration."""

from typing import TYPE_CHECKING

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


if TYPE_CHECKING:
    import torch


@strict
class HTRVTConfig(PreTrainedConfig):
    r"""
    Configuration of an HTR-VT line recogniser ([arXiv 2409.08573](https://arxiv.org/abs/2409.08573)): a ResNet-18
    without its last stage, four Vision Transformer blocks over its columns, CTC. The defaults are the published network
    (53.4 M parameters with 80 classes).

    Written from the published description alone. What that leaves open was chosen so:

    - The CNN has the shape of HTR-ConvText's, which descends from it, at the width of this encoder. The network then
      has the published 53.5 M parameters, if a table of 128 learned positions is counted with it.
    - Positions are sinusoids ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), not such a table: lines may have
      any width.
    - Blocks are those of [arXiv 2010.11929](https://arxiv.org/abs/2010.11929): heads of 64, an inner width of four
      times the outer one, GELU, norms before the sub-layers and one after the last block.
    - There is no dropout, for the span mask is the regulariser.
    - Spans are drawn so often that the expected share of hidden frames is `mask_ratio`; they may touch and overlap.

    Args:
        vocab_size (`int`): Number of CTC classes, the blank included.
        num_channels (`int`): Channels of `pixel_values`; 1 for grey images.
        hidden_size (`int`): Width of the encoder and of the last CNN stage; even.
        backbone_hidden_sizes (`list[int]`, *optional*): Widths of the three CNN stages. Defaults to a quarter, a half
            and the whole of `hidden_size`; the last must equal `hidden_size`.
        num_hidden_layers (`int`): Number of transformer blocks.
        num_attention_heads (`int`): Attention heads of a block.
        intermediate_size (`int`): Inner width of the feed-forward layers of a block.
        hidden_act (`str`): Activation of the feed-forward layers.
        qkv_bias (`bool`): Whether queries, keys and values have a bias.
        hidden_dropout (`float`): Dropout of every sub-layer's output.
        attention_dropout (`float`): Dropout of the attention weights.
        layer_norm_eps (`float`): Epsilon of the layer norms.
        initializer_range (`float`): Standard deviation of linear layers and of the mask token at the start.
        pad_token_id (`int`): Id of the CTC blank, which also pads `labels`; 0.
        masking (`str`, *optional*): `"span"` replaces spans of frames after the CNN by a learned token while training.
            `None` is off.
        mask_ratio (`float`): Share of the frames that is masked.
        mask_span_length (`int`): Frames of one span.
    """

    model_type = "htr_vt"
    _auto_class = "AutoConfig"  # saved folders carry this code
    keys_to_ignore_at_inference = ["ctc_loss", "attention_mask"]
    # What the blocks, `ViTLayer` of transformers, call them.
    attribute_map = {"hidden_dropout_prob": "hidden_dropout", "attention_probs_dropout_prob": "attention_dropout"}

    vocab_size: int = 80
    num_channels: int = 1
    hidden_size: int = 768
    backbone_hidden_sizes: list[int] | None = None
    num_hidden_layers: int = 4
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    qkv_bias: bool = True
    hidden_dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    masking: str | None = None
    mask_ratio: float | int = 0.4
    mask_span_length: int = 8

    def __post_init__(self, **kwargs):
        auto_map = kwargs.pop("auto_map", None) or {}
        if self.backbone_hidden_sizes is None:
            self.backbone_hidden_sizes = [self.hidden_size // 4, self.hidden_size // 2, self.hidden_size]
        super().__post_init__(**kwargs)
        # Saving writes only the entries of the saved class; a folder must serve every Auto class.
        self.auto_map = {
            "AutoConfig": "configuration_htr_vt.HTRVTConfig",
            "AutoModel": "modeling_htr_vt.HTRVTModel",
            "AutoModelForCTC": "modeling_htr_vt.HTRVTForCTC",
            **auto_map,
        }
        self.custom_pipelines = {"image-to-text": {"impl": "pipeline_lines.LinePipeline", "pt": ["AutoModelForCTC"]}}

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Pixel columns of one frame of logits."""
        return 4

    def frames(self, width: "int | torch.Tensor") -> "int | torch.Tensor":
        """Frames of logits of a line of `width` pixel columns, of one or of each of several lines."""
        return -(-width // self.inputs_to_logits_ratio)

    def validate_architecture(self):
        super().validate_architecture()
        if self.hidden_size % self.num_attention_heads or self.hidden_size % 2:
            raise ValueError(
                f"`hidden_size` ({self.hidden_size}) must be even and divisible by `num_attention_heads` "
                f"({self.num_attention_heads})."
            )
        if len(self.backbone_hidden_sizes) != 3 or self.backbone_hidden_sizes[-1] != self.hidden_size:
            raise ValueError(
                "`backbone_hidden_sizes` must be three widths, the last equal to `hidden_size` "
                f"({self.hidden_size}); got {self.backbone_hidden_sizes}."
            )
        if self.pad_token_id != 0:
            raise ValueError(f"`pad_token_id`, the CTC blank, must be 0; got {self.pad_token_id}.")
        if self.masking not in (None, "span"):
            raise ValueError(f"`masking` must be None or 'span'; got {self.masking!r}.")
        if not 0 < self.mask_ratio < 1 or self.mask_span_length < 1:
            raise ValueError(
                "`mask_ratio` must be between 0 and 1 and `mask_span_length` positive; got "
                f"{self.mask_ratio} and {self.mask_span_length}."
            )


__all__ = ["HTRVTConfig"]
