"""
Published checkpoints (`.pth`) of AttentionHTR and of the networks that it was chosen from, to our state dict.

The format is that of the releases to arXiv 2201.09390: the state dict itself, the names prefixed by `module.`.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from modeling_attention_htr import AttentionHTRConfig, AttentionHTRForTextRecognition

from ..checkpoint_files import CheckpointError, check_state_dict, tensors_of


PREFIX = re.compile(r"^(module\.)?(Transformation|FeatureExtraction|SequenceModeling|Prediction)\.")

# Published name → ours, applied in this order.
_RENAMES = [
    *(
        (
            rf"^Transformation\.LocalizationNetwork\.conv\.{4 * i}\.",
            f"model.transformation.localization.convolutions.{i}.",
        )
        for i in range(4)
    ),
    *(
        (
            rf"^Transformation\.LocalizationNetwork\.conv\.{4 * i + 1}\.",
            f"model.transformation.localization.normalizations.{i}.",
        )
        for i in range(4)
    ),
    (r"^Transformation\.LocalizationNetwork\.localization_fc1\.0\.", "model.transformation.localization.projection."),
    (r"^Transformation\.LocalizationNetwork\.localization_fc2\.", "model.transformation.localization.control_points."),
    (r"^SequenceModeling\.(\d)\.rnn\.", r"model.layers.\1.lstm."),
    (r"^SequenceModeling\.(\d)\.linear\.", r"model.layers.\1.projection."),
    (r"^Prediction\.attention_cell\.i2h\.", "decoder.frame_projection."),
    (r"^Prediction\.attention_cell\.h2h\.", "decoder.state_projection."),
    (r"^Prediction\.attention_cell\.score\.", "decoder.score."),
    (r"^Prediction\.attention_cell\.rnn\.", "decoder.cell."),
    (r"^Prediction\.generator\.", "decoder.classifier."),
    (r"^Prediction\.(weight|bias)$", r"ctc_head.\1"),
]
_FEATURES = r"^FeatureExtraction\.ConvNet\."


def _layer(name: str, normalization: str | None, index: int) -> list[tuple[str, str]]:
    """The renames of a convolution and its batch norm to a layer of ours."""
    layer = f"model.features.network.{index}"
    renames = [(rf"{_FEATURES}{name}\.(weight|bias)$", rf"{layer}.convolution.\1")]
    return renames + ([(rf"{_FEATURES}{normalization}\.", f"{layer}.normalization.")] if normalization else [])


def _resnet() -> list[tuple[str, str]]:
    names = {0: "0_1", 1: "0_2", 4: "1", 8: "2", 15: "3", 19: "4_1", 20: "4_2"}
    blocks = {3: "1.0", **{6 + i: f"2.{i}" for i in range(2)}, **{10 + i: f"3.{i}" for i in range(5)}}
    blocks |= {16 + i: f"4.{i}" for i in range(3)}
    return [
        *(rename for index, name in names.items() for rename in _layer(f"conv{name}", f"bn{name}", index)),
        *(
            (rf"{_FEATURES}layer{re.escape(name)}\.", f"model.features.network.{index}.")
            for index, name in blocks.items()
        ),
        (r"(network\.\d+)\.bn(\d)\.", r"\1.conv\2.normalization."),
        (r"(network\.\d+\.conv\d)\.weight$", r"\1.convolution.weight"),
        (r"\.downsample\.0\.", ".shortcut.convolution."),
        (r"\.downsample\.1\.", ".shortcut.normalization."),
    ]


def _vgg() -> list[tuple[str, str]]:
    layers = [
        ("0", None, 0),
        ("3", None, 2),
        ("6", None, 4),
        ("8", None, 5),
        ("11", "12", 7),
        ("14", "15", 8),
        ("18", None, 10),
    ]
    return [rename for layer in layers for rename in _layer(*layer)]


def _rcnn() -> list[tuple[str, str]]:
    parts = {
        "wgf_u": "input_gate", "wgr_x": "state_gate", "wf_u": "input_convolution", "wr_x": "state_convolution",
        "BN_x_init": "normalization",
    }  # fmt: skip
    norms = {"gfu": "input_gate", "grx": "state_gate", "fu": "input", "rx": "state", "Gx": "gated_state"}
    return [
        *_layer("0", None, 0),
        *_layer("9", "10", 8),
        *((rf"{_FEATURES}{2 * i + 1}\.", f"model.features.network.{2 * i}.") for i in (1, 2, 3)),
        *((rf"(network\.\d)\.{name}\.", rf"\1.{ours}.") for name, ours in parts.items()),
        *((rf"\.GRCL\.(\d)\.BN_{name}\.", rf".iterations.\1.{ours}.") for name, ours in norms.items()),
    ]


def published_state_dict(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """
    The tensors of a loaded checkpoint, without the prefix of data-parallel training.

    Raises:
        CheckpointError: if it holds anything but tensors.
    """
    tensors = tensors_of({"checkpoint": checkpoint}, "checkpoint")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def config_of(tensors: Mapping[str, torch.Tensor]) -> AttentionHTRConfig:
    """
    The configuration of a network, told by the names and shapes of its tensors.

    Raises:
        CheckpointError: if a stage is missing.
    """
    features = "FeatureExtraction.ConvNet."
    if f"{features}conv0_1.weight" in tensors:
        kind = "resnet"
    elif f"{features}3.wgf_u.weight" in tensors:
        kind = "rcnn"
    elif f"{features}0.weight" in tensors:
        kind = "vgg"
    else:
        raise CheckpointError("The checkpoint has no features that are known: VGG, RCNN or ResNet.")
    classes = next(
        (len(tensors[name]) for name in ("Prediction.generator.bias", "Prediction.bias") if name in tensors), None
    )
    if classes is None:
        raise CheckpointError("The checkpoint has no prediction: neither attention nor CTC.")
    points = tensors.get("Transformation.LocalizationNetwork.localization_fc2.bias")
    return AttentionHTRConfig(
        vocab_size=classes,
        transformation="none" if points is None else "tps",
        features=kind,
        sequence="bilstm" if "SequenceModeling.0.linear.bias" in tensors else "none",
        prediction="attention" if "Prediction.generator.bias" in tensors else "ctc",
        **({} if points is None else {"num_control_points": len(points) // 2}),
    )


def convert_checkpoint(checkpoint: Mapping[str, Any]) -> AttentionHTRForTextRecognition:
    """
    A model with the weights of a loaded checkpoint.

    Raises:
        CheckpointError: lists the tensors that are missing, unexpected or of another shape.
    """
    tensors = published_state_dict(checkpoint)
    config = config_of(tensors)
    renames = [*_RENAMES, *{"resnet": _resnet, "rcnn": _rcnn, "vgg": _vgg}[config.features]()]
    state_dict = {}
    for name, tensor in tensors.items():
        if name.startswith("Transformation.GridGenerator."):  # computed from the image size
            continue
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        state_dict[name] = tensor
    model = AttentionHTRForTextRecognition(config).eval()
    check_state_dict(state_dict, model)
    model.load_state_dict(state_dict)
    return model
