"""
The single augmentations, each on those lines of a batch that it was drawn for.

The steps from `warp` to `blur` work on ink: how much darker than its paper a line is, `(batch_size, 1, height, width)`,
0 in the padding and outside the image. So nothing bright or dark comes in over a border, and padding changes nothing.
The others work on brightness from 0 to 1. `strength` `(batch_size,)` is on the CPU, as all that is drawn.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from kornia.filters import gaussian_blur2d
from kornia.geometry import get_affine_matrix2d, get_perspective_transform, remap
from kornia.morphology import dilation, erosion


BASE_HEIGHT = 64  # the height of a line, in pixels, for which pixel amounts are given


@dataclass
class Lines:
    """
    What the steps need besides the images.

    Args:
        mask: `(batch_size, width)`, true for the columns of a line.
        widths: The number of these columns, for each line.
        rngs: The random numbers of each line.
    """

    mask: torch.Tensor
    widths: list[int]
    rngs: list[np.random.Generator]

    def uniform(self, low: float, high: float, *size: int) -> torch.Tensor:
        """Random numbers `(batch_size, *size)`."""
        return torch.from_numpy(np.stack([rng.uniform(low, high, size) for rng in self.rngs])).float()

    def per_line(self, values: torch.Tensor) -> torch.Tensor:
        """A number for each line, `(batch_size,)`, for use with images: `(batch_size, 1, 1, 1)`, on their device."""
        return values.view(-1, 1, 1, 1).to(self.mask.device)

    def smooth_noise(self, height: int, spacing: float, channels: int = 1) -> torch.Tensor:
        """
        `(batch_size, channels, height, width)`: cubic splines through random knots every `spacing` pixels (at least 1).

        The mean is 0, the standard deviation about 0.7.
        """
        spacing = max(1.0, spacing)
        width, device = self.mask.shape[1], self.mask.device
        rows, columns = (math.ceil(length / spacing) + 3 for length in (height, width))
        knots = torch.zeros(len(self.rngs), channels, rows, columns)
        for line, own_width, rng in zip(knots, self.widths, self.rngs, strict=True):
            columns = math.ceil(own_width / spacing) + 3
            line[..., :columns] = torch.from_numpy(rng.standard_normal((channels, rows, columns), np.float32))
        knots = knots.clamp_(-2, 2).mul_(1.5).to(device)
        return spline_weights(height, spacing).to(device) @ knots @ spline_weights(width, spacing).to(device).T


def spline_weights(length: int, spacing: float) -> torch.Tensor:
    """The weights `(length, knots)` of the knots of a uniform cubic B-spline at every pixel."""
    knots = math.ceil(length / spacing) + 3
    distance = (torch.arange(length)[:, None] / spacing + 1 - torch.arange(knots)).abs()
    return torch.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, (2 - distance).clamp(min=0) ** 3 / 6)


def line_mean(pixels: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The mean of the pixels of each line at which `where` is true, `(batch_size, 1, 1, 1)`."""
    where = where.expand_as(pixels)
    return (pixels * where).sum((1, 2, 3), keepdim=True) / where.sum((1, 2, 3), keepdim=True).clamp(min=1)


def paper_level(pixels: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The brightness of the paper, `(batch_size, 1, 1, 1)`: the mean of the pixels not darker than the line's mean."""
    tolerance = 0.01  # of a line of one grey some or all pixels are below the rounded mean
    return line_mean(pixels, inside & (pixels > line_mean(pixels, inside) - tolerance))


def contrast_level(pixels: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The standard deviation of each line, `(batch_size, 1, 1, 1)`: 0.03 for faint pencil, 0.2 for black on white."""
    return line_mean((pixels - line_mean(pixels, inside)).square(), inside).sqrt()


def warp(
    ink: torch.Tensor, lines: Lines, projective: torch.Tensor, affine: torch.Tensor, elastic: torch.Tensor
) -> torch.Tensor:
    """All geometric changes in one resampling; the last three arguments are their strengths, 0 to leave one out."""
    height, width = ink.shape[-2:]
    scale = height / BASE_HEIGHT
    matrices = projective_matrices(lines, height, projective) @ affine_matrices(lines, height, affine)
    columns, rows = torch.arange(width).to(ink), torch.arange(height).to(ink)[:, None]
    x, y, depth = (
        across[:, :, None] * columns + down[:, :, None] * rows + offset[:, :, None]
        for across, down, offset in (row.split(1, dim=1) for row in matrices.to(ink).unbind(1))
    )
    x, y = x / depth, y / depth
    if elastic.any():
        shift = lines.per_line(1.8 * scale * elastic) * lines.smooth_noise(height, 16 * scale, channels=2)
        x, y = x + shift[:, 0], y + shift[:, 1]
    return remap(ink, x, y, align_corners=True)


def projective_matrices(lines: Lines, height: int, strength: torch.Tensor) -> torch.Tensor:
    """Matrices `(batch_size, 3, 3)` from places in the new image to those in the old, in pixels."""
    right = torch.tensor(lines.widths).sub(1).clamp(min=1).float()
    low = torch.full_like(right, max(height - 1, 1))
    size = torch.stack([right, low], -1)[:, None]
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * size
    limit = (8 * height / BASE_HEIGHT * strength)[:, None, None]
    shift = lines.uniform(-1, 1, 4, 2) * torch.minimum(limit, 0.4 * size)  # so that no corner passes another
    return get_perspective_transform(corners, corners + shift)


def affine_matrices(lines: Lines, height: int, strength: torch.Tensor) -> torch.Tensor:
    """As [`projective_matrices`], for slant, scale, rotation and translation."""
    scale = height / BASE_HEIGHT
    widths = torch.tensor(lines.widths)
    center = torch.stack([(widths - 1) / 2, torch.full_like(widths, height - 1) / 2], -1)
    turn = torch.atan(6 * scale / widths).rad2deg().clamp(max=2)  # the ends move by 3 pixels
    draws = lines.uniform(-1, 1, 6) * strength[:, None]
    translations = 2 * scale * draws[:, :2]
    # From the new image to the old: above 1 makes writing smaller. It is never widened, which would cut off its ends.
    zoom = 1 + torch.stack([0.08 * draws[:, 2].abs(), 0.06 * strength + 0.12 * draws[:, 3]], -1).clamp(min=-0.5)
    return get_affine_matrix2d(translations, center, zoom, turn * draws[:, 4], sx=torch.atan(0.25 * draws[:, 5]))


def erosion_dilation(ink: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """Strokes thinner or thicker. A fraction of a pixel is a mixture with the line as it was."""
    growth = strength * ink.shape[-2] / BASE_HEIGHT
    groups = defaultdict(list)
    for row, (rng, extra) in enumerate(zip(lines.rngs, growth.ceil().int().tolist(), strict=True)):
        kernel = [(1, 1 + extra), (1 + extra, 1), (1 + extra, 1 + extra)][rng.integers(3)]
        groups[kernel, rng.random() < 0.5].append(row)
    changed = torch.empty_like(ink)
    for (kernel, thicker), rows in groups.items():
        operation = dilation if thicker else erosion
        changed[rows] = operation(ink[rows], torch.ones(kernel, device=ink.device), border_type="constant")
    return torch.lerp(ink, changed, lines.per_line(growth / growth.ceil()))


def fade(ink: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """Paler or darker ink, and unevenly so along the line and along the strokes."""
    height = ink.shape[-2]
    tone = lines.per_line(lines.uniform(-0.1, 0.4) * strength)
    slow, fast = (lines.per_line(lines.uniform(0, 0.2) * strength) for _ in range(2))
    uneven = slow * lines.smooth_noise(height, height) + fast * lines.smooth_noise(height, height / 8)
    return ink * (1 - tone - uneven).clamp(min=0)


def bleed_through(ink: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """The line's own mirror image, blurred and moved up or down, as if it were the writing on the back."""
    batch_size, _, height, width = ink.shape
    device = ink.device
    rows = torch.stack([(torch.arange(height) + rng.integers(height)) % height for rng in lines.rngs]).to(device)
    columns = (torch.tensor(lines.widths)[:, None] - 1 - torch.arange(width)).clamp(min=0).to(device)
    batch = torch.arange(batch_size, device=device)[:, None, None]
    back = ink[batch, 0, rows[:, :, None], columns[:, None]][:, None]
    sigma = height / BASE_HEIGHT
    back = gaussian_blur2d(back * lines.mask[:, None, None], 7, (sigma, sigma), border_type="constant")
    return ink + lines.per_line(lines.uniform(0.1, 0.35) * strength) * back


def blur(ink: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """Gaussian blur."""
    largest = 1.5 * strength * ink.shape[-2] / BASE_HEIGHT
    sigma = lines.uniform(0.5, 1) * largest
    size = 2 * int((3 * largest).ceil().max()) + 1
    return gaussian_blur2d(ink, size, sigma[:, None].expand(-1, 2).to(ink.device), border_type="constant")


def shade_paper(pixels: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """Darker paper with smooth shading and a fine texture, as factors on the brightness: black ink stays black."""
    height = pixels.shape[-2]
    tone, shading, texture = (lines.per_line(lines.uniform(0, most) * strength) for most in (0.2, 0.15, 0.25))
    texture = texture * contrast_level(pixels, lines.mask[:, None, None])
    shade = tone + shading * lines.smooth_noise(height, 2 * height) + texture * lines.smooth_noise(height, height / 24)
    return pixels * (1 - shade)


def brightness_contrast(pixels: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """
    Brightness: a factor. Contrast: a factor on the distance to the line's mean. Both are cut off at black and white.

    kornia takes the mean for contrast over the padding too.
    """
    inside = lines.mask[:, None, None]
    brightness, contrast = (lines.per_line((1 + lines.uniform(-0.4, 0.4) * strength).clamp(min=0)) for _ in range(2))

    def adjust_contrast(values: torch.Tensor) -> torch.Tensor:
        return torch.lerp(line_mean(values, inside), values, contrast).clamp(0, 1)

    def adjust_brightness(values: torch.Tensor) -> torch.Tensor:
        return (values * brightness).clamp(0, 1)

    brightness_first = lines.per_line(lines.uniform(0, 1) < 0.5)
    return torch.where(
        brightness_first, adjust_contrast(adjust_brightness(pixels)), adjust_brightness(adjust_contrast(pixels))
    )


def noise(pixels: torch.Tensor, lines: Lines, strength: torch.Tensor) -> torch.Tensor:
    """Independent Gaussian noise in every pixel, weaker on faint lines, which would drown in it."""
    height = pixels.shape[-2]
    values = torch.zeros(pixels.shape)
    for line, width, rng in zip(values, lines.widths, lines.rngs, strict=True):
        line[0, :, :width] = torch.from_numpy(rng.standard_normal((height, width), np.float32))
    deviation = lines.per_line(lines.uniform(0.05, 0.35) * strength) * contrast_level(pixels, lines.mask[:, None, None])
    return pixels + deviation * values.to(pixels.device)
