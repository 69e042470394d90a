"""Choosing the lines that a model can be trained on."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext

from datasets import Dataset
from tqdm import tqdm
from transformers import PreTrainedConfig, ProcessorMixin

from htr_convtext.charsets import unknown_characters
from htr_convtext.errors import InputError
from htr_convtext.families import family_of
from processing import UnknownCharacterError
from processing.image_files import CIRCLE, NO_FILE, NO_PERMISSION, NOWHERE, is_address, open_file, reason_of
from processing.images import full_size, open_image

from .text_policy import TextPolicy


BARRED = (NO_FILE, CIRCLE, NOWHERE, NO_PERMISSION)  # of `reason_against_image`, if there may be an image all the same
logger = logging.getLogger(__name__)


def reason_against_image(image: Mapping) -> str:
    """Why an image that `datasets` did not decode cannot be opened, in a few words, the same for all of a kind."""
    if image["bytes"] is None and image["path"] and is_address(image["path"]):
        return "no image, only an address"
    if not image["bytes"] and not image["path"]:
        return "no image"
    if image["bytes"] is None:
        try:
            open_file(image["path"]).close()
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError) and not os.path.islink(image["path"])
            return "no such image" if is_gone else reason_of(error, image["path"])
        except InputError:
            return NO_FILE
    return "unreadable image"


def transcribed_rows(lines: Dataset, policy: TextPolicy, name: str) -> list[int]:
    """The rows of the lines that have a transcription; a warning counts the others."""
    rows = [index for index, text in enumerate(lines["text"]) if policy(text).strip()]
    if len(rows) < len(lines):
        logger.warning("%s: %d lines without transcription are left out.", name, len(lines) - len(rows))
    return rows


def select_trainable(
    lines: Dataset,
    processor: ProcessorMixin,
    config: PreTrainedConfig,
    *,
    leave_out_unknown: bool = False,
    max_characters: int | None = None,
) -> tuple[Dataset, Counter[str]]:
    """
    Keeps the lines that a model can be trained on and adds their resized `width` in pixels, to batch similar ones.

    Args:
        leave_out_unknown: Whether to leave out lines with characters outside the charset also where the tokenizer drops
            or replaces them; afterwards it does so again.
        max_characters: Longer lines are left out.

    Returns:
        The lines, and how many were left out for which reason: `"empty text"`, `"no character of the text is in the
        charset"`, `"unknown character"` (where the tokenizer raises), `"more than 25 characters"`, one of
        `reason_against_image` or what the model's family has against a line, such as `"more characters than frames"`.
    """
    with unknown_characters(processor.tokenizer, "error") if leave_out_unknown else nullcontext():
        return _select(lines, processor, config, max_characters)


def _select(
    lines: Dataset, processor: ProcessorMixin, config: PreTrainedConfig, max_characters: int | None
) -> tuple[Dataset, Counter[str]]:
    image_processor, family = processor.image_processor, family_of(config)
    kept, widths, left_out = [], [0] * len(lines), Counter()
    progress = tqdm(lines, desc="checking lines", unit="line", file=sys.stderr, disable=None, leave=False)
    for index, line in enumerate(progress):
        if not line["text"].strip():
            left_out["empty text"] += 1
            continue
        try:
            labels = processor.tokenizer(line["text"], add_special_tokens=False).input_ids
        except UnknownCharacterError:
            left_out["unknown character"] += 1
            continue
        if not labels:
            left_out["no character of the text is in the charset"] += 1
            continue
        if max_characters is not None and len(labels) > max_characters:
            left_out[f"more than {max_characters} characters"] += 1
            continue
        try:
            image = open_image(line["image"])
        except InputError:
            left_out[reason_against_image(line["image"])] += 1
            continue
        width, height = full_size(image)
        width = image_processor.visible_width(height, width)
        reason = family.reason_against(labels, width, config)
        if reason:
            left_out[reason] += 1
            continue
        kept.append(index)
        widths[index] = width
    if "width" in lines.column_names:  # of the image as it is stored
        lines = lines.remove_columns("width")
    # In this order: to add a column to a selection copies all of it.
    return lines.add_column("width", widths).select(kept), left_out
