"""AttentionHTR configuration."""

from typing import TYPE_CHECKING, Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


if TYPE_CHECKING:
    import torch


# Networks of Baek et al. (ICCV 2019, arXiv 1904.01906), table 2, by the papers that introduced them: AttentionHTR
# (Kass and Vats, DAS 2022, arXiv 2201.09390), CRNN (Shi et al., arXiv 1507.05717), GRCNN (Wang and Hu, NIPS 2017),
# Rosetta (Borisyuk et al., arXiv 1910.05085).
NETWORKS: dict[str, dict[str, Any]] = {
    "attention-htr": {"transformation": "tps", "features": "resnet", "sequence": "bilstm", "prediction": "attention"},
    "tps-resnet-bilstm-ctc": {"transformation": "tps", "features": "resnet", "sequence": "bilstm", "prediction": "ctc"},
    "crnn": {"transformation": "none", "features": "vgg", "sequence": "bilstm", "prediction": "ctc"},
    "grcnn": {"transformation": "none", "features": "rcnn", "sequence": "bilstm", "prediction": "ctc"},
    "rosetta": {"transformation": "none", "features": "resnet", "sequence": "none", "prediction": "ctc"},
}


@strict
class AttentionHTRConfig(PreTrainedConfig):
    r"""
    Configuration of a word recogniser in four stages: transformation, features, sequence, prediction (Baek et al., ICCV
    2019, [arXiv 1904.01906](https://arxiv.org/abs/1904.01906)). The defaults are AttentionHTR
    ([arXiv 2201.09390](https://arxiv.org/abs/2201.09390)) with its 94 characters; `from_name` gives the other networks.

    Args:
        vocab_size (`int`): Number of classes: the characters and, with attention, padding (which is the start symbol
            too) and end symbol, with CTC the blank.
        num_channels (`int`): Channels of `pixel_values`; 1 for grey images.
        image_size (`list[int]`): Height and width of the images in pixels. The height must be 32. The width is only
            fixed where there is a transformation.
        transformation (`str`): `"tps"` rectifies the image by a thin-plate spline, `"none"` does not.
        features (`str`): The convolutional network: `"vgg"`, `"rcnn"` or `"resnet"`.
        sequence (`str`): `"bilstm"`, two bidirectional LSTM layers over the frames, or `"none"`.
        prediction (`str`): `"attention"`, an LSTM that attends to the frames and writes one character after the other,
            or `"ctc"`.
        feature_size (`int`): Channels of the last feature map.
        hidden_size (`int`): Width of the LSTM layers and of the attention.
        num_control_points (`int`): Control points of the thin-plate spline; even.
        max_text_length (`int`): Longest text that attention writes.
        pad_token_id (`int`): 0, the start symbol and the padding of attention, the blank of CTC.
        eos_token_id (`int`, *optional*): The end symbol of attention, 1; CTC has none.
    """

    model_type = "attention_htr"
    _auto_class = "AutoConfig"  # saved folders carry this code
    keys_to_ignore_at_inference = ["alignments", "encoder_last_hidden_state"]

    vocab_size: int = 96
    num_channels: int = 1
    image_size: list[int] | None = None
    transformation: str = "tps"
    features: str = "resnet"
    sequence: str = "bilstm"
    prediction: str = "attention"
    feature_size: int = 512
    hidden_size: int = 256
    num_control_points: int = 20
    max_text_length: int = 25
    pad_token_id: int | None = 0
    eos_token_id: int | None = None

    def __post_init__(self, **kwargs):
        auto_map = kwargs.pop("auto_map", None) or {}
        self.image_size = self.image_size or [32, 100]
        if self.prediction == "attention":
            self.eos_token_id = 1
            kwargs.update(is_encoder_decoder=True, decoder_start_token_id=0)
        super().__post_init__(**kwargs)
        # Saving writes only the entries of the saved class; a folder must serve every Auto class.
        self.auto_map = {
            "AutoConfig": "configuration_attention_htr.AttentionHTRConfig",
            "AutoModel": "modeling_attention_htr.AttentionHTRModel",
            "AutoModelForTextRecognition": "modeling_attention_htr.AttentionHTRForTextRecognition",
            **auto_map,
        }
        self.custom_pipelines = {
            "image-to-text": {"impl": "pipeline_lines.LinePipeline", "pt": ["AutoModelForTextRecognition"]}
        }

    @property
    def num_hidden_layers(self) -> int:
        """LSTM layers over the frames."""
        return 2 if self.sequence == "bilstm" else 0

    def frames(self, width: "int | torch.Tensor") -> "int | torch.Tensor":
        """Frames of an image of `width` pixel columns, of one or of each of several images."""
        return width // 4 - 1 if self.features == "vgg" else width // 4 + 1

    @classmethod
    def from_name(cls, name: str, **kwargs) -> "AttentionHTRConfig":
        """
        The configuration of a named network; keyword arguments replace its values.

        Raises:
            ValueError: if there is none of this name.
        """
        if name not in NETWORKS:
            raise ValueError(f"Unknown network {name!r}: choose one of {', '.join(NETWORKS)}.")
        return cls(**{**NETWORKS[name], **kwargs})

    def validate_architecture(self):
        super().validate_architecture()
        choices = {
            "transformation": ("none", "tps"),
            "features": ("vgg", "rcnn", "resnet"),
            "sequence": ("none", "bilstm"),
            "prediction": ("ctc", "attention"),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise ValueError(f"`{name}` must be one of {', '.join(values)}; got {getattr(self, name)!r}.")
        if len(self.image_size) != 2 or self.image_size[0] != 32 or self.image_size[1] < 12:
            raise ValueError(
                f"`image_size` must be a height of 32 and a width of at least 12 pixels; got {self.image_size}."
            )
        if self.num_control_points < 4 or self.num_control_points % 2:
            raise ValueError(f"`num_control_points` must be even and at least 4; got {self.num_control_points}.")
        if self.feature_size % 16:
            raise ValueError(f"`feature_size` must be a multiple of 16; got {self.feature_size}.")
        if self.pad_token_id != 0:
            raise ValueError(f"`pad_token_id` must be 0; got {self.pad_token_id}.")


__all__ = ["AttentionHTRConfig"]
