"""Character tokenizer of HTR-ConvText."""

from .errors import InputError
from .published_charsets import PUBLISHED_CHARSETS
from .tokenization_characters import CharacterTokenizer


class HTRConvTextTokenizer(CharacterTokenizer):
    """Character tokenizer for CTC; see [`CharacterTokenizer`]. Id 0 is the blank, which also pads."""

    _auto_class = "AutoTokenizer"  # saved folders carry this code

    @classmethod
    def from_published(cls, name: str, **kwargs) -> "HTRConvTextTokenizer":
        """
        A tokenizer with the alphabet of a published checkpoint: `iam`, `read2016`, `lam` or `vnondb`.

        Raises:
            InputError: if the name is none of these.
        """
        if name not in PUBLISHED_CHARSETS:
            raise InputError(f"Unknown alphabet {name!r}: choose one of {', '.join(PUBLISHED_CHARSETS)}.")
        return cls.from_charset(PUBLISHED_CHARSETS[name], **kwargs)


__all__ = ["HTRConvTextTokenizer"]
