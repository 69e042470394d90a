"""
Clear errors for inputs that would fail far from where they come from, or give nonsense.

Each family has its copy, which travels with its models.
"""

import torch


def check_images(pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None = None, in_training: bool = False) -> None:
    """
    Args:
        in_training: Does not look at the values, for which an accelerator would have to be waited for in each step.

    Raises:
        ValueError: if the batch is empty or has another number of dimensions than four, the values are not finite, or
            the mask is not `(batch_size, width)`.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or pixel_values.is_meta:
        return  # these have no values yet, and a shape that is compared would be fixed
    shape = tuple(pixel_values.shape)
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"`pixel_values` must be (batch_size, num_channels, height, width), none of them 0: {shape}.")
    if pixel_mask is not None and tuple(pixel_mask.shape) != (shape[0], shape[3]):
        raise ValueError(
            f"`pixel_mask` must be (batch_size, width), here {(shape[0], shape[3])}; got {tuple(pixel_mask.shape)}."
        )
    # One number tells it for all of them, and costs little. While a CUDA graph is recorded it cannot be looked at.
    is_recorded = pixel_values.is_cuda and torch.cuda.is_current_stream_capturing()
    if not in_training and not is_recorded and not torch.isfinite(pixel_values.sum(dtype=torch.float32)):
        raise ValueError("`pixel_values` has values that are not finite (NaN or infinite).")


def check_labels(labels: torch.Tensor, batch_size: int, vocab_size: int) -> torch.Tensor:
    """
    The labels as integers.

    Raises:
        ValueError: if they are not `(batch_size, length)`, not integers, or neither ids of classes nor -100.
    """
    if labels.dim() != 2 or labels.shape[0] != batch_size:
        raise ValueError(f"`labels` must be (batch_size, length), here ({batch_size}, …); got {tuple(labels.shape)}.")
    if labels.numel() == 0:
        return labels.long()  # a tokenizer makes floats of a batch of empty texts
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"`labels` must be integers, ids of characters; got {labels.dtype}.")
    labels = labels.long()
    least, largest = labels.masked_fill(labels == -100, 0).aminmax()
    if largest >= vocab_size or least < 0:
        wrong = largest if largest >= vocab_size else least
        raise ValueError(
            f"Label {wrong} is outside the {vocab_size} classes (`vocab_size`); what is to be left out is -100."
        )
    return labels
