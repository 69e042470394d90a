"""Character tokenizer of HTR-ConvText."""

from .published_charsets import PUBLISHED_CHARSETS
from .tokenization_characters import CharacterTokenizer


class HTRConvTextTokenizer(CharacterTokenizer):
    """
    Character tokenizer for CTC; see [`CharacterTokenizer`]. Id 0 is the blank, which also pads. The published alphabets
    are `iam`, `read2016`, `lam` and `vnondb`.
    """

    _auto_class = "AutoTokenizer"  # saved folders carry this code
    published = PUBLISHED_CHARSETS


__all__ = ["HTRConvTextTokenizer"]
