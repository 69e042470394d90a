"""What in a line is less sure than it should be, and how a text shows it."""

from collections.abc import Sequence


MARK = "[?]"


def doubtful_parts(
    text: str, words: Sequence[tuple[str, float]], certainty: float, min_confidence: float
) -> list[tuple[int, int]]:
    """
    The parts of a text, by their first and end, that are less sure than `min_confidence`.

    Args:
        words: Those of the text, in order, each with how sure it is.
        certainty: Of the whole text, which counts where there are no words: nothing was read, or not known where.
    """
    if not words:
        return [(0, len(text))] if certainty < min_confidence else []
    parts, end = [], 0
    for word, score in words:
        start = text.index(word, end)
        end = start + len(word)
        if score < min_confidence:
            parts.append((start, end))
    return parts


def marked(text: str, parts: Sequence[tuple[int, int]]) -> str:
    """A text with `[?]` after each of these parts of it."""
    ends = [end for _, end in parts]
    return MARK.join(text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
