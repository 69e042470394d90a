"""Charsets by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from processing.published_charsets import PUBLISHED_CHARSETS

from .errors import InputError


if TYPE_CHECKING:  # slow to import; the names are for help texts too
    from transformers import PreTrainedTokenizerBase

CHARSET_HELP = f"{', '.join(PUBLISHED_CHARSETS)}, or a UTF-8 file of characters"


def charset_tokenizer(
    name: str, tokenizer_class: "type[PreTrainedTokenizerBase] | None" = None, **options
) -> "PreTrainedTokenizerBase":
    """
    A tokenizer of a published alphabet of its class, such as `iam`, or of the characters of a UTF-8 file.

    Args:
        tokenizer_class: That of a family; by default HTR-ConvText's.
        options: As for `from_charset` of its tokenizer.

    Raises:
        InputError: if there is no such alphabet or file, or if the file is empty, not UTF-8 or repeats a character.
    """
    if tokenizer_class is None:
        from .families import DEFAULT_FAMILY

        tokenizer_class = DEFAULT_FAMILY.tokenizer_class
    if name in tokenizer_class.published:
        return tokenizer_class.from_published(name, **options)
    if not Path(name).is_file():
        names = ", ".join(tokenizer_class.published)
        raise InputError(f"There is no file {name}, and no alphabet of this name: choose {names}, or a UTF-8 file.")
    return tokenizer_class.from_charset_file(name, **options)


@contextmanager
def unknown_characters(tokenizer: "PreTrainedTokenizerBase", treatment: str) -> Iterator[None]:
    """Within the context the tokenizer treats unknown characters so (`"error"`, `"drop"`), whatever it does else."""
    before = {"unknown": tokenizer.unknown, "replacement": tokenizer.replacement}
    tokenizer.set_policy(treatment, unicode_form=tokenizer.unicode_form)
    try:
        yield
    finally:
        tokenizer.set_policy(**before, unicode_form=tokenizer.unicode_form)
