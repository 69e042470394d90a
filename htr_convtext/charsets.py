"""Charsets by name."""

from pathlib import Path

from processing import HTRConvTextTokenizer
from processing.tokenization_htr_convtext import PUBLISHED_CHARSETS


CHARSET_HELP = f"{', '.join(PUBLISHED_CHARSETS)}, or a UTF-8 file of characters"


def charset_tokenizer(name: str, **kwargs) -> HTRConvTextTokenizer:
    """
    A tokenizer of a published alphabet (`iam`, `read2016`, `lam` or `vnondb`) or of the characters of a UTF-8 file.

    Args:
        kwargs: As for `HTRConvTextTokenizer.from_charset`.

    Raises:
        ValueError: if there is no such alphabet or file, or if the file is empty, not UTF-8 or repeats a character.
    """
    if name in PUBLISHED_CHARSETS:
        return HTRConvTextTokenizer.from_published(name, **kwargs)
    if not Path(name).is_file():
        raise ValueError(f"There is no file {name}, and no alphabet of this name: choose {CHARSET_HELP}.")
    return HTRConvTextTokenizer.from_charset_file(name, **kwargs)
