"""Charsets by name."""

from processing import HTRConvTextTokenizer
from processing.tokenization_htr_convtext import PUBLISHED_CHARSETS


CHARSET_NAMES = f"{', '.join(PUBLISHED_CHARSETS)}, or a file of characters"


def read_charset(name: str) -> str:
    """
    The characters of a published alphabet (`iam`, `read2016`, `lam` or `vnondb`) or of a UTF-8 file, in their order.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is empty, not UTF-8 or repeats a character.
    """
    if name in PUBLISHED_CHARSETS:
        return PUBLISHED_CHARSETS[name]
    return HTRConvTextTokenizer.from_charset_file(name).charset
