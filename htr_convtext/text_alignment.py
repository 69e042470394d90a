"""Lines aligned with texts that are known: where each character is, and how well the text fits the image."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from processing.ctc import Hypothesis, character_scores, decode_greedily, line_score
from processing.images import full_size
from processing.tokenization_characters import describe

from .charsets import unknown_characters
from .data.text_policy import TextPolicy
from .decoding.alignment import align, worst_stretch
from .errors import InputError
from .reading import Character
from .recognizer import Recognizer


UNREADABLE = "unreadable image"
TOO_LONG = "more characters than frames"
# Added to the number of characters that a misfit is divided by, so that neither short nor long lines are found first.
# Of 0 to 80 this ranked faults that were put into the transcriptions of 16 sets best.
SHORTEST = 40


@dataclass(frozen=True)
class AlignedLine:
    """
    A line and the text that is said to be in it.

    Attributes:
        text: Through the text policy of the model.
        image: As the model takes it; `None` if it cannot be opened.
        error: Why there is no alignment: `UNREADABLE` or `TOO_LONG`.
        unknown: The characters of the text that the model does not know. The others are aligned without them.
        characters: On the most probable path, with the highest probability of each within its columns.
        words: What stands between spaces, each with the mean of the scores, and the columns, of its characters.
        score: The mean of the scores of the characters; 0 where there are none.
        misfit: How much less probable the text is than what the model sees, in the stretch of the line where that is
            most: the sum of `worst_stretch` over the number of characters + `SHORTEST`. 0 fits.
        stretch: The pixel columns of that stretch, if it is not empty.
        reading, reading_score: What the model reads by itself (greedily), and the score of that.
    """

    text: str
    image: Image.Image | None = None
    error: str | None = None
    unknown: str = ""
    characters: tuple[Character, ...] = ()
    words: tuple[Character, ...] = ()
    score: float = 0.0
    misfit: float | None = None
    stretch: tuple[float, float] | None = None
    reading: str = ""
    reading_score: float = 0.0


def align_text(recognizer: Recognizer, image: Any, text: str) -> AlignedLine:
    """
    Where in a line a text is written.

    Args:
        image: File name, URL, Pillow image, array, or an image that `datasets` did not decode.

    Raises:
        InputError: if the image cannot be opened, the model does not know a character of the text, the text is empty or
            has more characters than the image has frames, or the model does not read by CTC over frames.
    """
    opened = recognizer.family.open_image(recognizer.processor, image)
    (line,) = align_lines(recognizer, [(opened, text)])
    if line.unknown:
        unknown = ", ".join(map(describe, line.unknown))
        raise InputError(
            f"The model does not know {unknown}: leave that out of the text, or take a model that knows it."
        )
    if not line.text:
        raise InputError("The text is empty: there is nothing to align.")
    if line.error:
        raise InputError(
            f"The text has {len(line.text)} characters, more than the model has frames for an image of "
            f"{opened.width} × {opened.height} pixels: is it the text of this line?"
        )
    return line


def align_lines(
    recognizer: Recognizer, lines: Iterable[tuple[Any, str]], batch_size: int = 16
) -> Iterator[AlignedLine]:
    """
    Aligns lines with their texts, some batches at a time, and in these those of similar shape together.

    Args:
        recognizer: With a model that reads by CTC over frames; its decoder is not used.
        lines: Images, as for `align_text`, and their texts.

    Yields:
        One for each line, in their order.

    Raises:
        InputError: if the model reads otherwise.
    """
    check_frames(recognizer)
    policy = recognizer.text_policy
    lines = ((image, policy(text)) for image, text in lines)
    while ahead := recognizer.open_ahead(lines, batch_size):
        opened = {index: image for index, (image, _) in enumerate(ahead) if isinstance(image, Image.Image)}
        aligned = {
            index: AlignedLine(text, error=UNREADABLE) for index, (_, text) in enumerate(ahead) if index not in opened
        }
        order = sorted(opened, key=lambda index: opened[index].width / opened[index].height)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            texts = [ahead[index][1] for index in batch]
            found = _align_batch(recognizer, [opened[index] for index in batch], texts, policy)
            aligned.update(zip(batch, found, strict=True))
        yield from (aligned[index] for index in range(len(ahead)))


def check_frames(recognizer: Recognizer) -> None:
    """Raises an `InputError` if the model of a recogniser does not read by CTC over frames."""
    if not recognizer.family.reads_frames(recognizer.model.config):
        raise InputError("Texts are aligned by a model that reads by CTC over frames; this one does not.")


@torch.inference_mode()
def _align_batch(
    recognizer: Recognizer, images: list[Image.Image], texts: list[str], policy: TextPolicy
) -> list[AlignedLine]:
    tokenizer = recognizer.processor.tokenizer
    encoded = [_encode(tokenizer, text) for text in texts]
    waiting = iter(encoded)
    facts: list[dict[str, Any]] = []
    stretches: list[tuple[Hypothesis | None, tuple[int, int]]] = []

    def decoder(probabilities: np.ndarray) -> list[Hypothesis]:
        """Aligns the next text, and notes what else is told by the probabilities."""
        ids, unknown = next(waiting)
        (read,) = decode_greedily(probabilities)
        reading = tokenizer.convert_tokens_to_string([tokenizer.character(index) for index in read.ids])
        score = line_score(character_scores(probabilities, read))
        facts.append({"unknown": unknown, "reading": policy(reading), "reading_score": score})
        try:
            path = align(probabilities, ids)
        except ValueError:
            stretches.append((None, (0, 0)))
            return [Hypothesis((), (), -np.inf)]
        loss, stretch = worst_stretch(probabilities, path)
        facts[-1]["misfit"] = loss / (len(ids) + SHORTEST)
        stretches.append((path, stretch))
        return [path]

    found = recognizer.family.recognize(recognizer.model, recognizer.processor, images, decoder)
    lines = []
    for image, text, line, more, (path, stretch) in zip(images, texts, found, facts, stretches, strict=True):
        if path is None:
            lines.append(AlignedLine(text, image, TOO_LONG, **more))
            continue
        characters = tuple(Character(**each) for each in line["characters"])
        more |= {"score": line["score"], "stretch": _columns(stretch, path, characters, full_size(image)[0])}
        lines.append(AlignedLine(text, image, characters=characters, words=_words(tokenizer, characters), **more))
    return lines


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], str]:
    """The ids of the characters that the model knows, and the others."""
    before, tokenizer.unknown_counts = tokenizer.unknown_counts, Counter()
    try:
        with unknown_characters(tokenizer, "drop"):
            ids = tokenizer(text, add_special_tokens=False).input_ids
        return ids, "".join(tokenizer.unknown_counts)
    finally:
        tokenizer.unknown_counts = before


def _columns(
    stretch: tuple[int, int], path: Hypothesis, characters: Sequence[Character], width: int
) -> tuple[float, float] | None:
    """The pixel columns of a stretch of frames; of a frame as many as those of the characters have."""
    start, end = stretch
    if not characters or start == end:
        return None
    # The last columns are cut off at the end of the image: then a frame seems to have less.
    per_frame = max(each.end / last for each, (_, last) in zip(characters, path.spans, strict=True))
    return min(start * per_frame, float(width)), min(end * per_frame, float(width))


def _words(tokenizer: PreTrainedTokenizerBase, characters: Sequence[Character]) -> tuple[Character, ...]:
    groups = [list(letters) for is_space, letters in groupby(characters, lambda c: c.char.isspace()) if not is_space]
    return tuple(
        Character(
            tokenizer.convert_tokens_to_string([letter.char for letter in letters]),
            sum(letter.score for letter in letters) / len(letters),
            letters[0].start,
            letters[-1].end,
        )
        for letters in groups
    )
