"""Masked training: which frames are hidden from the encoder."""

import torch

from .configuration_htr_convtext import HTRConvTextConfig


def draw_frame_mask(
    config: HTRConvTextConfig,
    shape: tuple[int, int],
    frame_mask: torch.Tensor | None,
    device: torch.device,
) -> torch.Tensor:
    """
    Draws the frames to hide; about `config.mask_ratio` of each line.

    Frames are hidden in runs: of `mask_span_length` ("span"), of a random length up to `mask_block_length` ("block")
    or one by one ("single"); "mixed" draws one of the three for each batch. Runs may touch and overlap; starts are
    drawn so often that the expected share of hidden frames is the ratio.

    Args:
        shape: `(batch_size, sequence_length)`.
        frame_mask: `shape`, True for the frames of the line; the rest is never hidden.

    Returns:
        Boolean tensor of `shape`.
    """
    masking = config.masking
    if masking == "mixed":
        masking = ("span", "block", "single")[int(torch.randint(3, ()))]
    longest = {"span": config.mask_span_length, "block": config.mask_block_length, "single": 1}[masking]
    run_lengths = torch.full(shape, longest, device=device)
    if masking == "block":
        run_lengths = torch.randint(1, longest + 1, shape, device=device)

    # A frame is hidden if a run starts at it, or at most k−1 frames before it: with a start probability of p it stays
    # visible with probability Π over k = 1 … longest of (1 − p·P(run ≥ k)). Solved for p by bisection.
    reach = [1.0] * longest if masking != "block" else [(longest - k) / longest for k in range(longest)]
    low, high = 0.0, 1.0
    for _ in range(30):
        start_probability = (low + high) / 2
        visible = 1.0
        for share in reach:
            visible *= 1 - start_probability * share
        low, high = (start_probability, high) if 1 - visible < config.mask_ratio else (low, start_probability)

    starts = torch.rand(shape, device=device) < low
    masked = starts.clone()
    for offset in range(1, min(longest, shape[1])):
        masked[:, offset:] |= (starts & (run_lengths > offset))[:, : shape[1] - offset]
    return masked if frame_mask is None else masked & frame_mask
