"""Text to the image of a line of handwriting."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, features

from htr_convtext.errors import InputError

from ..text_policy import TextPolicy
from .fonts import LineFont, find_fonts
from .paper import photograph
from .style import SyntheticStyle
from .writing import write_line


MAX_CHARACTERS = 300
MIN_HEIGHT = 16


def needs_shaping(text: str) -> bool:
    """Whether glyphs cannot simply stand side by side: combining marks, or writing from right to left."""
    return any(unicodedata.category(sign)[0] == "M" or unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)


class LineRenderer:
    """
    Writes texts with fonts of handwriting on paper, differently each time.

    Texts are brought to Unicode form NFC and to single spaces first. A font is used only for texts of which it has all
    characters. RAQM, which the wheels of Pillow hold, places the glyphs; a Pillow without it refuses texts that need
    more than glyphs side by side.

    Args:
        fonts: Fonts to choose from evenly; by default those of the package, which have all letters of English, French,
            German, Italian and Vietnamese.
        height: Height of the images in pixels.
        style: What varies, and how much.
    """

    def __init__(self, fonts: Sequence[LineFont] | None = None, height: int = 64, style: SyntheticStyle | None = None):
        self.fonts = list(find_fonts() if fonts is None else fonts)
        self.height = height
        self.style = style or SyntheticStyle()
        if not self.fonts:
            raise InputError("Rendering lines needs at least one font.")
        if height < MIN_HEIGHT:
            raise InputError(f"Lines cannot be read at a height of {height} pixels; take {MIN_HEIGHT} or more.")

    @property
    def characters(self) -> frozenset[str]:
        """What can be written with at least one of the fonts."""
        found = frozenset(" ").union(*(font.characters for font in self.fonts))
        return found if features.check("raqm") else frozenset(sign for sign in found if not needs_shaping(sign))

    def choose_font(self, text: str, generator: np.random.Generator) -> LineFont:
        """
        One of the fonts that have every character of the text.

        Raises:
            InputError: names the characters that no font has, or says that no single font has all.
        """
        needed = set(TextPolicy()(text)) - {" "}
        fitting = [font for font in self.fonts if needed <= font.characters]
        if fitting:
            return fitting[generator.integers(len(fitting))]
        missing = sorted(needed - self.characters)
        reason = f"no font has {' '.join(missing)}" if missing else "no single font has all of its characters"
        raise InputError(f"{text!r} cannot be written: {reason}.")

    def __call__(self, text: str, generator: np.random.Generator, font: LineFont | None = None) -> Image.Image:
        """
        Writes one line.

        Args:
            text: At most 300 characters.
            generator: Source of all that varies: the same state gives the same image.
            font: Font to write with; by default `choose_font` chooses one.

        Returns:
            An image of mode L, dark on light, `height` pixels high.

        Raises:
            InputError: if the text is empty or too long, has a character without a glyph, or needs RAQM where Pillow
                lacks it.
        """
        text = TextPolicy()(text)
        if not text or len(text) > MAX_CHARACTERS:
            raise InputError(f"A line has 1 to {MAX_CHARACTERS} characters, not {len(text)}: {text[:40]!r}.")
        if needs_shaping(text) and not features.check("raqm"):
            raise InputError(
                f"{text!r} needs complex shaping, and this Pillow has no RAQM. Install Pillow's own wheel."
            )
        if font is None:
            font = self.choose_font(text, generator)
        elif missing := set(text) - {" "} - font.characters:
            raise InputError(f"{text!r} cannot be written: the font {font.name} has no {' '.join(sorted(missing))}.")
        writing = write_line(text, font, self.height, self.style, generator)
        return photograph(writing, self.style, generator)
