"""The characters that PAGE-XML and ALTO can hold."""

import re
from collections import Counter


# All but what a document may hold by XML 1.0, section 2.2 (https://www.w3.org/TR/xml/#charsets).
UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def drop_unwritable(text: str, dropped: Counter[str] | None = None) -> str:
    """
    A text without the characters that no PAGE-XML or ALTO can hold: controls, U+FFFE, U+FFFF, halves of surrogate
    pairs. Those that are white space, such as a form feed, become a space.

    Args:
        dropped: Counts the texts that have such a character, each as `"U+0002"`.
    """
    if dropped is not None:
        dropped.update({f"U+{ord(character):04X}" for character in UNWRITABLE.findall(text)})
    return UNWRITABLE.sub(lambda match: " " if match[0].isspace() else "", text)
