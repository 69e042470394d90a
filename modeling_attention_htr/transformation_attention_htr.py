"""AttentionHTR transformation: a thin-plate spline that straightens the image (RARE: Shi et al., arXiv 1603.03915)."""

import numpy as np
import torch
from torch import nn

from .configuration_attention_htr import AttentionHTRConfig


class AttentionHTRControlPoints(nn.Linear):
    """
    Features to the control points of the spline, x and y of each in units of half the image; the upper half of the
    points lies on the upper border of the text, the lower on the lower.
    """

    def start(self) -> torch.Tensor:
        """The bias at the start, where all weights are 0: text that rises or falls through the middle."""
        half = self.out_features // 4
        x = np.linspace(-1, 1, half)
        upper = np.stack([x, np.linspace(0, -1, half)], axis=1)
        lower = np.stack([x, np.linspace(1, 0, half)], axis=1)
        return torch.tensor(np.concatenate([upper, lower]).flatten(), dtype=torch.float32, device="cpu")


class AttentionHTRLocalization(nn.Module):
    """Where the text lies: `(batch_size, num_channels, height, width)` to `(batch_size, num_control_points, 2)`."""

    def __init__(self, config: AttentionHTRConfig):
        super().__init__()
        sizes = [config.num_channels, *(config.feature_size // share for share in (8, 4, 2, 1))]
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(sizes[i], sizes[i + 1], kernel_size=3, padding=1, bias=False) for i in range(4)]
        )
        self.normalizations = nn.ModuleList([nn.BatchNorm2d(size) for size in sizes[1:]])
        self.projection = nn.Linear(config.feature_size, config.feature_size // 2)
        self.control_points = AttentionHTRControlPoints(config.feature_size // 2, 2 * config.num_control_points)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden_states = pixel_values
        for index, (convolution, normalization) in enumerate(zip(self.convolutions, self.normalizations, strict=True)):
            hidden_states = normalization(convolution(hidden_states)).relu()
            if index < 3:
                hidden_states = nn.functional.max_pool2d(hidden_states, 2)
        hidden_states = self.projection(hidden_states.mean((2, 3))).relu()
        return self.control_points(hidden_states).unflatten(-1, (-1, 2))


class AttentionHTRTransformation(nn.Module):
    """
    The image as it looks when the control points lie straight along its upper and lower border.

    What the spline needs to know of image size and number of points is computed in double precision, once. Its
    evaluation in single precision, as published, is good to about a hundred-thousandth of the width: where neighbouring
    pixels differ by all of the range, sampled values can differ by some 1e-4 from one processor to the other.
    """

    def __init__(self, config: AttentionHTRConfig):
        super().__init__()
        self.image_size = tuple(config.image_size)
        self.num_control_points = config.num_control_points
        self.localization = AttentionHTRLocalization(config)
        for name, tensor in self.spline().items():
            self.register_buffer(name, tensor, persistent=False)

    def spline(self) -> dict[str, torch.Tensor]:
        """
        `inverse` `(points + 3, points + 3)`: from control points to the coefficients of the spline that maps the
        straight ones to them. `grid` `(height · width, points + 3)`: from these to where each pixel is sampled.
        """
        (height, width), half = self.image_size, self.num_control_points // 2
        x = np.tile(np.linspace(-1, 1, half), 2)
        points = np.stack([x, np.repeat([-1.0, 1.0], half)], axis=1)
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distance, 1)
        ones, zeros = np.ones((len(points), 1)), np.zeros((3, 3))
        delta = np.block([[ones, points, distance**2 * np.log(distance)], [zeros, np.hstack([points, ones]).T]])
        columns = np.arange(1 - width, width, 2) / width
        rows = np.arange(1 - height, height, 2) / height
        pixels = np.stack(np.meshgrid(columns, rows), axis=2).reshape(-1, 2)
        distance = np.linalg.norm(pixels[:, None] - points[None], axis=2)
        grid = np.hstack([np.ones((len(pixels), 1)), pixels, distance**2 * np.log(distance + 1e-6)])
        tensors = {"inverse": np.linalg.inv(delta), "grid": grid}
        return {name: torch.tensor(values, dtype=torch.float32, device="cpu") for name, values in tensors.items()}

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """`(batch_size, num_channels, height, width)`, of the configured size, to the same shape."""
        control_points = nn.functional.pad(self.localization(pixel_values).float(), (0, 0, 0, 3))
        where = (self.grid @ (self.inverse @ control_points)).view(-1, *self.image_size, 2)
        return nn.functional.grid_sample(
            pixel_values, where.to(pixel_values.dtype), mode="bilinear", padding_mode="border", align_corners=True
        )
