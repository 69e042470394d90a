"""Where reading and ground truth differ, character by character."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import jiwer


class Piece(NamedTuple):
    """A run of one kind. The `text` of a `delete` is empty, and so is the `reference` of an `insert`."""

    kind: Literal["equal", "substitute", "delete", "insert"]
    reference: str
    text: str


def align(
    references: Sequence[str], predictions: Sequence[str], split: Callable[[str], list[str]] = list
) -> list[list[jiwer.AlignmentChunk]]:
    """
    The shortest edits from each reference to its prediction.

    Args:
        split: Cuts a text into what is compared: `list` into code points, or one of `WORD_TOKENIZERS`. jiwer's own
            defaults strip the texts, which would forgive spaces at their ends.

    Raises:
        ValueError: if there are no lines, or not as many predictions as references.
    """
    if not len(references) or len(references) != len(predictions):
        raise ValueError(f"Cannot compare {len(references)} references with {len(predictions)} predictions.")

    def transform(texts: list[str]) -> list[list[str]]:
        return [split(text) for text in texts]

    return jiwer.process_words(list(references), list(predictions), transform, transform).alignments


def differences(references: Sequence[str], texts: Sequence[str]) -> list[list[Piece]]:
    """The pieces of each line, in order: joined they are the reference and the text again."""
    return [
        [
            Piece(
                chunk.type,
                reference[chunk.ref_start_idx : chunk.ref_end_idx],
                text[chunk.hyp_start_idx : chunk.hyp_end_idx],
            )
            for chunk in alignment
        ]
        for reference, text, alignment in zip(references, texts, align(references, texts), strict=True)
    ]


def edits(pieces: Iterable[Piece]) -> dict[str, int]:
    """How many characters of a line were substituted, deleted and inserted."""
    counts = {"substitute": 0, "delete": 0, "insert": 0}
    for kind, reference, text in pieces:
        if kind != "equal":
            counts[kind] += max(len(reference), len(text))  # of a substitution both are as long
    return {"substitutions": counts["substitute"], "deletions": counts["delete"], "insertions": counts["insert"]}


def confusions(lines: Iterable[list[Piece]]) -> Counter[tuple[str, str]]:
    """
    Counts pairs of a character of the ground truth and what was read for it.

    An empty first text means that the second was inserted, an empty second one that the first was missed.
    """
    pairs = Counter()
    for kind, reference, text in (piece for line in lines for piece in line):
        if kind == "substitute":
            pairs.update(zip(reference, text, strict=True))
        elif kind == "delete":
            pairs.update((character, "") for character in reference)
        elif kind == "insert":
            pairs.update(("", character) for character in text)
    return pairs


def visible(text: str) -> str:
    """`text` with spaces as ␣, a combining mark at the start on ◌, and unseen characters as their code point."""
    signs = []
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if character == " ":
            signs.append("␣")
        elif category in ("Zs", "Zl", "Zp", "Cc", "Cf", "Cn", "Co", "Cs"):
            signs.append(f"[U+{ord(character):04X}]")
        elif category.startswith("M") and position == 0:
            signs.append("◌" + character)
        else:
            signs.append(character)
    return "".join(signs)


def character_name(character: str) -> str:
    """`U+0303 combining tilde`; empty for letters and digits, which need none."""
    if character.isalnum():
        return ""
    return f"U+{ord(character):04X} {unicodedata.name(character, 'unnamed').lower()}"
