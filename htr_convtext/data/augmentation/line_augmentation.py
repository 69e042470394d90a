"""Augmentation of a batch of lines."""

from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec

import numpy as np
import torch

from htr_convtext.errors import InputError

from .settings import AUGMENTATION_PRESETS, AugmentationSettings


NAMES = [field.name for field in fields(AugmentationSettings)]


class LineAugmentation:
    """
    Changes each line of a batch at random, on the device that the batch is on.

    Each augmentation is decided and drawn for each line on its own, in the line's own geometry: a line changes in the
    same way alone and beside wider ones. What a warp brings in from outside a line has the colour of its paper.

    Args:
        settings: What is applied, how often and how strongly.

    Raises:
        ModuleNotFoundError: if anything is to be applied and kornia is missing.
    """

    def __init__(self, settings: AugmentationSettings):
        self.settings = settings
        if settings.active() and not find_spec("kornia"):
            raise ModuleNotFoundError(
                "Augmentation needs kornia: pip install 'htr-convtext[train]', or use the preset `none`."
            )

    @classmethod
    def from_preset(cls, preset: str, strength: float = 1.0) -> "LineAugmentation":
        """
        Args:
            preset: `"none"`, `"published"` (projective warp, erosion or dilation, brightness and contrast, as in
                arXiv 2512.05021) or `"default"` (all, moderately).
            strength: Factor on all strengths.

        Raises:
            InputError: if there is no such preset, or the strength is negative.
        """
        if preset not in AUGMENTATION_PRESETS:
            raise InputError(f"There is no augmentation {preset!r}; use one of {', '.join(AUGMENTATION_PRESETS)}.")
        return cls(AUGMENTATION_PRESETS[preset].scaled(strength))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings})"

    @torch.no_grad()
    def __call__(
        self, pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None = None, seed: int | None = None
    ) -> torch.Tensor:
        """
        Args:
            pixel_values: `(batch_size, 1, height, width)`, floats from 0 (black) to 1 (white), padded on the right.
            pixel_mask: `(batch_size, width)`, 1 for the columns of the line. None: all columns are.
            seed: Non-negative. It and a line's place in the batch determine what happens to the line, on any device:
                all random numbers are drawn on the CPU. None: drawn from torch's global generator, whose state
                transformers' checkpoints hold.

        Returns:
            A new tensor of the same shape, type and device; the padding of a line is white.

        Raises:
            InputError: if the shapes are others.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 1:
            raise InputError(f"pixel_values must be (batch_size, 1, height, width), not {tuple(pixel_values.shape)}.")
        batch_size, _, _, width = pixel_values.shape
        if pixel_mask is None:
            pixel_mask = pixel_values.new_ones(batch_size, width)
        elif pixel_mask.shape != (batch_size, width):
            raise InputError(f"pixel_mask must be {(batch_size, width)}, not {tuple(pixel_mask.shape)}.")
        if seed is None:
            seed = int(torch.randint(2**63 - 1, ()))
        if pixel_values.numel() == 0 or not self.settings.active():
            return pixel_values.clone()
        with torch.autocast(pixel_values.device.type, enabled=False):
            return self._augment(pixel_values.float(), pixel_mask.bool(), seed).to(pixel_values.dtype)

    def _augment(self, pixels: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
        from . import steps  # imports kornia, which only training needs

        inside, widths = mask[:, None, None], mask.sum(1).tolist()

        def random_numbers(row: int, step: int) -> np.random.Generator:
            """Separate for each line and step (0: which apply), so that no draw depends on the others that are made."""
            return np.random.default_rng([seed, row, step])

        chances = [getattr(self.settings, name) for name in NAMES]
        draws = np.stack([random_numbers(row, 0).random(len(NAMES)) for row in range(len(widths))], axis=1)
        applies = torch.from_numpy(draws) < torch.tensor([[chance.probability] for chance in chances])
        applies &= torch.tensor(widths) > 0
        strengths = applies * torch.tensor([[chance.strength] for chance in chances])

        def change(values: torch.Tensor, step: Callable, *names: str) -> None:
            """Puts what `step` makes of the lines for which any of the names was drawn in their place."""
            numbers = [NAMES.index(name) for name in names]
            rows = strengths[numbers].any(0).nonzero().flatten().tolist()
            if rows:
                rngs = [random_numbers(row, 1 + numbers[0]) for row in rows]
                part = steps.Lines(mask[rows], [widths[row] for row in rows], rngs)
                values[rows] = step(values[rows], part, *strengths[numbers][:, rows]) * inside[rows]

        paper = steps.paper_level(pixels, inside)
        ink = (paper - pixels) * inside
        change(ink, steps.warp, "projective", "affine", "elastic")
        change(ink, steps.erosion_dilation, "erosion_dilation")
        change(ink, steps.fade, "ink")
        change(ink, steps.bleed_through, "bleed_through")
        change(ink, steps.blur, "blur")
        pixels = (paper - ink).clamp(0, 1)
        change(pixels, steps.shade_paper, "paper")
        change(pixels, steps.brightness_contrast, "brightness_contrast")
        change(pixels, steps.noise, "noise")
        return pixels.clamp(0, 1).masked_fill(~inside, 1)
