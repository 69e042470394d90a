"""A picture of what the augmentations do."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from htr_convtext.errors import InputError
from htr_convtext.whole_files import write_picture
from processing.images import to_grey

from .line_augmentation import LineAugmentation
from .settings import AugmentationSettings, Chance


GAP = 8  # pixels, as all sizes here
LABEL_HEIGHT = 18
SHOWN_HEIGHT = 64  # lines are enlarged to about this
SHOWN_WIDTH = 640
BACKGROUND = (205, 220, 235)  # neither paper nor ink


def preview_augmentations(
    images: Sequence[torch.Tensor | Image.Image],
    augmentation: LineAugmentation,
    path: str | os.PathLike,
    columns: int = 3,
    seed: int = 0,
) -> None:
    """
    Writes a picture of lines as they are, under each augmentation alone, and under all as a training draws them.

    Shows the augmentations that `augmentation` applies, with its strengths. Long lines are cut off on the right.

    Args:
        images: Lines without padding, as high as the network reads them: Pillow images, or tensors
            `(1, height, width)` with white = 1.
        augmentation: That of the training.
        path: The picture to write; its ending names the format.
        columns: Draws side by side.
        seed: Determines the draws.

    Raises:
        InputError: if there are no images, or one is not of such a shape.
    """
    if not images:
        raise InputError("A preview of the augmentations needs at least one line.")
    rows: list[tuple[str, list[Image.Image]]] = []
    for image in images:
        pixels = line_tensor(image)
        rows.append(("as it is", [shown(pixels)]))
        for name, chance in augmentation.settings.active().items():
            alone = LineAugmentation(AugmentationSettings(**{name: Chance(1, chance.strength)}))
            label = f"{name.replace('_', ' ')} (probability {chance.probability:g}, strength {chance.strength:g})"
            rows.append((label, [shown(alone(pixels, seed=seed + draw)) for draw in range(columns)]))
        draws = [shown(augmentation(pixels, seed=seed + draw)) for draw in range(3 * columns)]
        rows += [("all, as drawn in training", draws[at : at + columns]) for at in range(0, 3 * columns, columns)]

    cell_width = max(cell.width for _, cells in rows for cell in cells) + GAP
    row_heights = [LABEL_HEIGHT + max(cell.height for cell in cells) + GAP for _, cells in rows]
    picture = Image.new("RGB", (columns * cell_width + GAP, sum(row_heights) + GAP), BACKGROUND)
    draw_on = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    top = GAP
    for (label, cells), row_height in zip(rows, row_heights, strict=True):
        draw_on.text((GAP, top), label, fill="black", font=font)
        for column, cell in enumerate(cells):
            picture.paste(cell, (GAP + column * cell_width, top + LABEL_HEIGHT))
        top += row_height
    write_picture(picture, path)


def line_tensor(image: torch.Tensor | Image.Image) -> torch.Tensor:
    """A line as `(1, 1, height, width)`."""
    if isinstance(image, Image.Image):
        return torch.from_numpy(np.asarray(to_grey(image), np.float32) / 255)[None, None]
    if image.ndim != 3 or image.shape[0] != 1 or 0 in image.shape:
        raise InputError(f"A line must be (1, height, width), not {tuple(image.shape)}.")
    return image[None].float().cpu()


def shown(pixels: torch.Tensor) -> Image.Image:
    """A line `(1, 1, height, width)` as a cell of the picture."""
    image = Image.fromarray((pixels[0, 0] * 255).round().to(torch.uint8).numpy())
    zoom = max(1, round(SHOWN_HEIGHT / image.height))
    image = image.resize((image.width * zoom, image.height * zoom))
    return image.crop((0, 0, min(image.width, SHOWN_WIDTH), image.height))
