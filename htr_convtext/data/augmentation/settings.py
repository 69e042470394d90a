"""How often and how strongly each augmentation is applied, and the presets."""

from dataclasses import dataclass, fields

from htr_convtext.errors import InputError


@dataclass(frozen=True)
class Chance:
    """
    One augmentation's share in the training.

    Args:
        probability: Of a line being changed, 0 to 1.
        strength: Largest change in units of the amount named in [`AugmentationSettings`].

    Raises:
        InputError: if either is out of its range.
    """

    probability: float = 0.0
    strength: float = 1.0

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise InputError(f"The probability of an augmentation must be 0 to 1; it is {self.probability}.")
        if not 0 <= self.strength < float("inf"):
            raise InputError(f"The strength of an augmentation must be 0 or more; it is {self.strength}.")


@dataclass(frozen=True)
class AugmentationSettings:
    """
    What can happen to a line, in this order; by default nothing does.

    The amounts are those of strength 1. Pixels are those of a line 64 pixels high and shrink and grow with the height.

    Args:
        projective: Each corner moves by up to 8 pixels in both directions.
        affine: Slant of up to 0.25 (14°), height of 85 to 106 % and width of 93 to 100 %, turned until the ends move by
            up to 3 pixels (at most 2°), moved by up to 2 pixels.
        elastic: Every pixel moves, smoothly, with a standard deviation of some 1.2 pixels.
        erosion_dilation: Strokes thinner or thicker by 1 pixel across, down or both.
        ink: All ink up to 40 % paler or 10 % darker, and uneven by up to some 15 %.
        bleed_through: The line's own mirror image shows through, with up to 35 % of its darkness.
        blur: Gaussian with a standard deviation of 0.75 to 1.5 pixels.
        paper: Paper up to 20 % darker, with smooth shading of up to some 10 % and a fine texture.
        brightness_contrast: Both times 0.6 to 1.4, in either order, as torchvision's `ColorJitter(0.4, 0.4)` does.
        noise: Gaussian, with a standard deviation of up to 0.35 times that of the line.
    """

    projective: Chance = Chance()
    affine: Chance = Chance()
    elastic: Chance = Chance()
    erosion_dilation: Chance = Chance()
    ink: Chance = Chance()
    bleed_through: Chance = Chance()
    blur: Chance = Chance()
    paper: Chance = Chance()
    brightness_contrast: Chance = Chance()
    noise: Chance = Chance()

    def active(self) -> dict[str, Chance]:
        """The augmentations that can change a line, by name."""
        chances = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: chance for name, chance in chances.items() if chance.probability and chance.strength}

    def scaled(self, strength: float) -> "AugmentationSettings":
        """The same with all strengths times `strength`."""
        return AugmentationSettings(
            **{name: Chance(chance.probability, chance.strength * strength) for name, chance in self.active().items()}
        )


AUGMENTATION_PRESETS = {
    "none": AugmentationSettings(),
    # the recipe of arXiv 2512.05021
    "published": AugmentationSettings(
        projective=Chance(0.5), erosion_dilation=Chance(0.5), brightness_contrast=Chance(0.5)
    ),
    "default": AugmentationSettings(
        projective=Chance(0.4, 0.6),
        affine=Chance(0.4),
        elastic=Chance(0.4),
        erosion_dilation=Chance(0.4),
        ink=Chance(0.3),
        bleed_through=Chance(0.1),
        blur=Chance(0.3),
        paper=Chance(0.4),
        brightness_contrast=Chance(0.4, 0.6),
        noise=Chance(0.3),
    ),
}
