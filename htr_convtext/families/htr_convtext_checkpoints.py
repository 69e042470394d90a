"""Published HTR-ConvText checkpoints (`.pth`) to our state dict.

The format of the releases to arXiv 2512.05021: a `torch.save`d dict with `model`, `state_dict_ema`, `tcm_head` (where
the Textual Context Module was on), the optimizer, RNG states and arguments.
"""

import re

import torch

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC

from ..checkpoint_files import CheckpointError, check_state_dict, shown_keys, tensors_of


# Published name → ours, applied in this order.
_RENAMES = [
    (r"^patch_embed\.conv1\.", "model.backbone.stem.convolution."),
    (r"^patch_embed\.bn1\.", "model.backbone.stem.normalization."),
    *((rf"^patch_embed\.layer{i + 1}\.", f"model.backbone.stages.{i}.blocks.") for i in range(3)),
    *((rf"^patch_embed\.mobilevit_block{i + 1}\.", f"model.backbone.stages.{i}.mobilevit.") for i in range(3)),
    (r"(stages\.\d\.blocks\.\d)\.conv(\d)\.", r"\1.conv\2.convolution."),
    (r"(stages\.\d\.blocks\.\d)\.bn(\d)\.", r"\1.conv\2.normalization."),
    (r"(stages\.\d\.blocks\.\d)\.downsample\.0\.", r"\1.shortcut.convolution."),
    (r"(stages\.\d\.blocks\.\d)\.downsample\.1\.", r"\1.shortcut.normalization."),
    (r"local_rep\.conv_3x3\.block\.0\.", "conv_in.convolution."),
    (r"local_rep\.conv_3x3\.block\.1\.", "conv_in.normalization."),
    (r"local_rep\.conv_1x1\.block\.0\.", "conv_1x1."),
    (r"global_rep\.0\.norm1\.", "layer.norm_attention."),
    (r"global_rep\.0\.attn\.proj\.", "layer.attention.o_proj."),
    (r"global_rep\.0\.attn\.", "layer.attention."),
    (r"global_rep\.0\.norm2\.", "layer.norm_mlp."),
    (r"global_rep\.0\.mlp\.fc1\.", "layer.up_proj."),
    (r"global_rep\.0\.mlp\.fc2\.", "layer.down_proj."),
    (r"global_rep\.1\.", "layer.norm."),
    (r"pos_pe\.proj\.0\.", "layer.position_conv."),
    (r"conv_proj\.block\.0\.", "conv_projection.convolution."),
    (r"conv_proj\.block\.1\.", "conv_projection.normalization."),
    (r"^blocks\.", "model.layers."),
    (r"(layers\.\d+)\.attn\.rel_pos_bias\.bias\.", r"\1.attention.relative_position_bias."),
    (r"(layers\.\d+)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(layers\.\d+)\.attn\.", r"\1.attention."),
    (r"(layers\.\d+)\.ffn(\d)\.lin1\.", r"\1.feed_forward\2.up_proj."),
    (r"(layers\.\d+)\.ffn(\d)\.lin2\.", r"\1.feed_forward\2.down_proj."),
    (r"(layers\.\d+)\.conv\.pw(\d)\.", r"\1.convolution.pointwise_conv\2."),
    (r"(layers\.\d+)\.conv\.dw\.", r"\1.convolution.depthwise_conv."),
    (r"(layers\.\d+)\.conv\.gn\.", r"\1.convolution.norm."),
    *((rf"\.postln_{part}\.", f".residuals.{i}.norm.") for i, part in enumerate(("attn", "ffn1", "conv", "ffn2"))),
    *((rf"\.ls_{part}\.gamma$", f".residuals.{i}.scale") for i, part in enumerate(("attn", "ffn1", "conv", "ffn2"))),
    (r"^norm\.", "model.norm."),
    (r"^head\.", "ctc_head."),
    (r"^down1\.dw\.", "model.downsample.depthwise_conv."),
    (r"^down1\.pw\.", "model.downsample.pointwise_conv."),
    (r"^up1\.proj\.", "model.upsample.projection."),
]
_TCM_RENAMES = {
    "emb": "embed",
    "ctx_conv": "context_conv",
    "txt_proj": "text_proj",
    "q_norm": "query_norm",
    "kv_norm": "visual_norm",
    "classifier": "classifier",
}


def published_state_dict(checkpoint: dict, weights: str, keep_tcm: bool) -> dict[str, torch.Tensor]:
    """
    The tensors of a loaded checkpoint under our names.

    Args:
        weights: `"ema"` for the averaged weights, which the published system evaluates, or `"model"`.
        keep_tcm: Whether to take the Textual Context Module too.

    Raises:
        CheckpointError: if the weights asked for are not there.
    """
    key = {"ema": "state_dict_ema", "model": "model"}[weights]
    if key not in checkpoint:
        raise CheckpointError(f"The checkpoint has no {key!r}; it has: {shown_keys(checkpoint)}.")
    state_dict = {}
    for name, tensor in tensors_of(checkpoint, key).items():
        name = name.removeprefix("module.")
        if name == "mask_token":  # of masked training, which the published runs did not use
            continue
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        head, separator, kind = name.rpartition("qkv.")
        if separator and tensor.dim() and tensor.shape[0] % 3 == 0:
            for projection, part in zip("qkv", tensor.chunk(3), strict=True):
                state_dict[f"{head}{projection}_proj.{kind}"] = part.clone()
        else:
            state_dict[name] = tensor
    if keep_tcm:
        if "tcm_head" not in checkpoint:
            raise CheckpointError("The checkpoint has no Textual Context Module ('tcm_head'): leave out --keep-tcm.")
        head = {name.removeprefix("module."): tensor for name, tensor in tensors_of(checkpoint, "tcm_head").items()}
        directions = [head.pop(name, None) for name in ("dir_left", "dir_right")]
        if None not in directions:
            if any(direction.shape != directions[0].shape or direction.dim() != 3 for direction in directions):
                raise CheckpointError("The directions of the Textual Context Module are not (1, 1, width).")
            state_dict["tcm_head.direction_embed"] = torch.cat([direction.flatten(0, 1) for direction in directions])
        for name, tensor in head.items():
            module, _, kind = name.partition(".")
            state_dict[f"tcm_head.{_TCM_RENAMES.get(module, module)}.{kind}"] = tensor
    return state_dict


def convert_checkpoint(
    checkpoint: dict, vocab_size: int, weights: str = "ema", keep_tcm: bool = False
) -> HTRConvTextForCTC:
    """
    A model with the weights of a loaded checkpoint.

    Args:
        vocab_size: Classes of the alphabet, the blank included.
        weights: As for `published_state_dict`.
        keep_tcm: As for `published_state_dict`.

    Raises:
        CheckpointError: lists the tensors that are missing, unexpected or of another shape, and says so if the number
            of classes is not `vocab_size`.
    """
    state_dict = published_state_dict(checkpoint, weights, keep_tcm)
    head = state_dict.get("ctc_head.weight")
    if head is not None and head.dim() and head.shape[0] != vocab_size:
        raise CheckpointError(
            f"The checkpoint has {head.shape[0]} classes, the charset {vocab_size} (its characters and the blank): it "
            "was trained with another alphabet."
        )
    model = HTRConvTextForCTC(HTRConvTextConfig(vocab_size=vocab_size, use_tcm=keep_tcm)).eval()
    check_state_dict(state_dict, model)
    model.load_state_dict(state_dict)
    return model
