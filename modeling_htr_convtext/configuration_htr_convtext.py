"""HTR-ConvText configuration."""

from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


if TYPE_CHECKING:
    import torch


# The published network is `base` (arXiv 2512.05021). `tiny` follows the same shape at a quarter of the width with six
# blocks; `small` lies between. Layer scales start at 0.5 in the small sizes: with 1e-5 the encoder contributes nothing
# for the first thousands of steps, which a short training run cannot afford. Linear layers must then start small: with
# a gain of 1 the network reads nothing but blanks long after one with half of it has begun to read.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "downsample_after": 2,
        "upsample_after": 5,
        "mobilevit_head_dim": 32,
        "layer_scale_init_value": 0.5,
        "xavier_gain": 0.5,
        "tcm_hidden_size": 64,
    },
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "intermediate_size": 1024,
        "mobilevit_head_dim": 32,
        "layer_scale_init_value": 0.5,
        "xavier_gain": 0.5,
        "tcm_hidden_size": 128,
    },
    "base": {},
}


@strict
class HTRConvTextConfig(PreTrainedConfig):
    r"""
    Configuration of an HTR-ConvText line recogniser ([arXiv 2512.05021](https://arxiv.org/abs/2512.05021)). The
    defaults are the published network (65.9 M parameters with 80 classes); `from_size` gives the smaller ones.

    Args:
        vocab_size (`int`): Number of CTC classes, the blank included.
        num_channels (`int`): Channels of `pixel_values`; 1 for grey images.
        hidden_size (`int`): Width of the encoder and of the last backbone stage.
        backbone_hidden_sizes (`list[int]`, *optional*): Widths of the three backbone stages. Defaults to a quarter,
            a half and the whole of `hidden_size`; the last must equal `hidden_size`.
        num_hidden_layers (`int`): Number of ConvText blocks.
        num_attention_heads (`int`): Attention heads of a ConvText block.
        intermediate_size (`int`): Inner width of the feed-forward layers of a ConvText block.
        hidden_act (`str`): Activation of the ConvText blocks.
        conv_kernel_size (`int`): Kernel of the depthwise convolution of a ConvText block; odd.
        downsample_after (`int`, *optional*): Number of ConvText blocks before the sequence is halved; `None` never
            halves it.
        upsample_after (`int`, *optional*): Number of ConvText blocks before the sequence is restored and the skip
            added.
        max_relative_positions (`int`): Distances of ±(this − 1) frames have a learned attention bias of their own;
            larger ones share the last.
        layer_scale_init_value (`float`): Start value of the residual scales of a ConvText block.
        hidden_dropout (`float`): Dropout of every sub-layer's output in a ConvText block.
        attention_dropout (`float`): Dropout of the attention weights.
        drop_path_rate (`float`): Stochastic depth of the last block; it grows linearly from 0 over the blocks.
        layer_norm_eps (`float`): Epsilon of the encoder's layer norms. (The backbone's norms use 1e-5.)
        mobilevit_head_dim (`int`): Width of an attention head in the MobileViT blocks. A stage narrower than this has
            one head.
        mobilevit_mlp_ratio (`int`): Inner width of the MobileViT feed-forward layer, in units of its channels.
        initializer_range (`float`): Standard deviation of embeddings at the start.
        xavier_gain (`float`): Gain of the Xavier-uniform start values of the linear layers.
        pad_token_id (`int`): Id of the CTC blank, which also pads `labels`; 0.
        masking (`str`, *optional*): Masked training: `"span"`, `"block"` or `"single"` replaces a share of the frames
            after the backbone by a learned token while training; `"mixed"` draws one of these for each batch. `None` is
            off.
        mask_ratio (`float`): Share of the frames that is masked.
        mask_span_length (`int`): Frames of one span with `masking="span"`.
        mask_block_length (`int`): Longest block with `masking="block"`; lengths are drawn from 1 to this.
        use_tcm (`bool`): Whether to build the Textual Context Module, which adds a loss while training.
        tcm_context_length (`int`): Characters of context on each side.
        tcm_hidden_size (`int`): Width of the module's character embeddings.
        tcm_dropout (`float`): Dropout of the module's attention weights.
        ctc_loss_weight (`float`): Weight of the CTC loss in the total loss.
        tcm_loss_weight (`float`): Weight of the TCM loss in the total loss.
    """

    model_type = "htr_convtext"
    _auto_class = "AutoConfig"  # saved folders carry this code
    keys_to_ignore_at_inference = ["ctc_loss", "tcm_loss", "attention_mask"]

    vocab_size: int = 80
    num_channels: int = 1
    hidden_size: int = 512
    backbone_hidden_sizes: list[int] | None = None
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    hidden_act: str = "silu"
    conv_kernel_size: int = 7
    downsample_after: int | None = 3
    upsample_after: int | None = 7
    max_relative_positions: int = 128
    layer_scale_init_value: float = 1e-5
    hidden_dropout: float | int = 0.1
    attention_dropout: float | int = 0.1
    drop_path_rate: float | int = 0.1
    layer_norm_eps: float = 1e-6
    mobilevit_head_dim: int = 64
    mobilevit_mlp_ratio: int = 4
    initializer_range: float = 0.02
    xavier_gain: float | int = 1.0
    pad_token_id: int | None = 0
    masking: str | None = None
    mask_ratio: float | int = 0.4
    mask_span_length: int = 8
    mask_block_length: int = 4
    use_tcm: bool = False
    tcm_context_length: int = 5
    tcm_hidden_size: int = 256
    tcm_dropout: float | int = 0.1
    ctc_loss_weight: float | int = 0.1
    tcm_loss_weight: float | int = 1.0

    def __post_init__(self, **kwargs):
        auto_map = kwargs.pop("auto_map", None) or {}
        if self.backbone_hidden_sizes is None:
            self.backbone_hidden_sizes = [self.hidden_size // 4, self.hidden_size // 2, self.hidden_size]
        super().__post_init__(**kwargs)
        # Saving writes only the entries of the saved class; a folder must serve every Auto class.
        self.auto_map = {
            "AutoConfig": "configuration_htr_convtext.HTRConvTextConfig",
            "AutoModel": "modeling_htr_convtext.HTRConvTextModel",
            "AutoModelForCTC": "modeling_htr_convtext.HTRConvTextForCTC",
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

    @classmethod
    def from_size(cls, size: str, **kwargs) -> "HTRConvTextConfig":
        """The named configuration `"tiny"`, `"small"` or `"base"`; keyword arguments replace its values."""
        if size not in SIZES:
            raise ValueError(f"Unknown size {size!r}: choose one of {', '.join(SIZES)}.")
        return cls(**{**SIZES[size], **kwargs})

    def validate_architecture(self):
        super().validate_architecture()
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` ({self.hidden_size}) must be divisible by `num_attention_heads` "
                f"({self.num_attention_heads})."
            )
        if len(self.backbone_hidden_sizes) != 3 or self.backbone_hidden_sizes[-1] != self.hidden_size:
            raise ValueError(
                "`backbone_hidden_sizes` must be three widths, the last equal to `hidden_size` "
                f"({self.hidden_size}); got {self.backbone_hidden_sizes}."
            )
        for channels in self.backbone_hidden_sizes:
            if channels % max(1, channels // self.mobilevit_head_dim):
                raise ValueError(
                    f"A backbone stage of {channels} channels cannot be split into heads of about "
                    f"{self.mobilevit_head_dim} (`mobilevit_head_dim`)."
                )
        if self.pad_token_id != 0:
            raise ValueError(f"`pad_token_id`, the CTC blank, must be 0; got {self.pad_token_id}.")
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(f"`conv_kernel_size` must be odd; got {self.conv_kernel_size}.")
        if (self.downsample_after is None) != (self.upsample_after is None):
            raise ValueError("Give both `downsample_after` and `upsample_after`, or neither.")
        if self.downsample_after is not None and not (
            0 < self.downsample_after < self.upsample_after <= self.num_hidden_layers
        ):
            raise ValueError(
                "`downsample_after` and `upsample_after` must satisfy 0 < down < up <= `num_hidden_layers` "
                f"({self.num_hidden_layers}); got {self.downsample_after} and {self.upsample_after}."
            )
        if self.masking not in (None, "span", "block", "single", "mixed"):
            raise ValueError(f"`masking` must be None, 'span', 'block', 'single' or 'mixed'; got {self.masking!r}.")


__all__ = ["HTRConvTextConfig"]
