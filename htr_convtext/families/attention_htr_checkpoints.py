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


MAX_SIZE = 20_000  # of a bias that tells the size of the network
PREFIX = re.compile(r"^(module\.)?(Transformation|FeatureExtraction|SequenceModeling|Prediction)\.")

_LOCALIZATION, _OUR_LOCALIZATION = r"^Transformation\.LocalizationNetwork\.", "model.transformation.localization."
_FEATURES, _OUR_FEATURES = r"^FeatureExtraction\.ConvNet\.", "model.features.network."

# Published name → ours, applied in this order.
_RENAMES = [
    *((rf"{_LOCALIZATION}conv\.{4 * i}\.", f"{_OUR_LOCALIZATION}convolutions.{i}.") for i in range(4)),
    *((rf"{_LOCALIZATION}conv\.{4 * i + 1}\.", f"{_OUR_LOCALIZATION}normalizations.{i}.") for i in range(4)),
    (rf"{_LOCALIZATION}localization_fc1\.0\.", f"{_OUR_LOCALIZATION}projection."),
    (rf"{_LOCALIZATION}localization_fc2\.", f"{_OUR_LOCALIZATION}control_points."),
    (r"^SequenceModeling\.(\d)\.rnn\.", r"model.layers.\1.lstm."),
    (r"^SequenceModeling\.(\d)\.linear\.", r"model.layers.\1.projection."),
    (r"^Prediction\.attention_cell\.i2h\.", "decoder.frame_projection."),
    (r"^Prediction\.attention_cell\.h2h\.", "decoder.state_projection."),
    (r"^Prediction\.attention_cell\.score\.", "decoder.score."),
    (r"^Prediction\.attention_cell\.rnn\.", "decoder.cell."),
    (r"^Prediction\.generator\.", "decoder.classifier."),
    (r"^Prediction\.(weight|bias)$", r"ctc_head.\1"),
]


def _layer(index: int, name: str, normalization: str | None = None) -> list[tuple[str, str]]:
    """The renames of a convolution and its batch norm to a layer of ours."""
    layer = f"{_OUR_FEATURES}{index}"
    renames = [(rf"{_FEATURES}{name}\.(weight|bias)$", rf"{layer}.convolution.\1")]
    return renames + ([(rf"{_FEATURES}{normalization}\.", f"{layer}.normalization.")] if normalization else [])


def _resnet() -> list[tuple[str, str]]:
    layers = {0: "0_1", 1: "0_2", 4: "1", 8: "2", 15: "3", 19: "4_1", 20: "4_2"}
    first_blocks = {3: ("1", 1), 6: ("2", 2), 10: ("3", 5), 16: ("4", 3)}  # of each stage, and how many it has
    blocks = {first + i: rf"{stage}\.{i}" for first, (stage, count) in first_blocks.items() for i in range(count)}
    return [
        *(rename for index, name in layers.items() for rename in _layer(index, f"conv{name}", f"bn{name}")),
        *((rf"{_FEATURES}layer{name}\.", f"{_OUR_FEATURES}{index}.") for index, name in blocks.items()),
        (r"(network\.\d+)\.bn(\d)\.", r"\1.conv\2.normalization."),
        (r"(network\.\d+\.conv\d)\.weight$", r"\1.convolution.weight"),
        (r"\.downsample\.0\.", ".shortcut.convolution."),
        (r"\.downsample\.1\.", ".shortcut.normalization."),
    ]


def _vgg() -> list[tuple[str, str]]:
    layers = {0: ("0",), 2: ("3",), 4: ("6",), 5: ("8",), 7: ("11", "12"), 8: ("14", "15"), 10: ("18",)}
    return [rename for index, names in layers.items() for rename in _layer(index, *names)]


def _rcnn() -> list[tuple[str, str]]:
    parts = {
        "wgf_u": "input_gate", "wgr_x": "state_gate", "wf_u": "input_convolution", "wr_x": "state_convolution",
        "BN_x_init": "normalization",
    }  # fmt: skip
    norms = {"gfu": "input_gate", "grx": "state_gate", "fu": "input", "rx": "state", "Gx": "gated_state"}
    return [
        *_layer(0, "0"),
        *_layer(8, "9", "10"),
        *((rf"{_FEATURES}{2 * i + 1}\.", f"{_OUR_FEATURES}{2 * i}.") for i in (1, 2, 3)),
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
    name = next((name for name in ("Prediction.generator.bias", "Prediction.bias") if name in tensors), None)
    if name is None:
        raise CheckpointError("The checkpoint has no prediction: neither attention nor CTC.")
    points_name = "Transformation.LocalizationNetwork.localization_fc2.bias"
    points = tensors.get(points_name)
    for each, step in ((name, 1), (points_name, 4)):  # an even number of points, of two coordinates each
        shape = tuple(tensors[each].shape) if each in tensors else (8,)
        if len(shape) != 1 or shape[0] % step or not 2 * step <= shape[0] <= MAX_SIZE:
            raise CheckpointError(f"{each} has the shape {shape}, which is that of no such network.")
    return AttentionHTRConfig(
        vocab_size=len(tensors[name]),
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
