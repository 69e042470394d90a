"""Single lines: opening their images and choosing those that a model can be trained on."""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from datasets import Dataset
from PIL import Image as PILImage
from tqdm import tqdm

from modeling_htr_convtext import HTRConvTextConfig
from processing import HTRConvTextProcessor, UnknownCharacterError
from processing.image_processing_htr_convtext import open_image


def open_line(image: dict) -> PILImage.Image:
    """
    Opens an image that `datasets` did not decode (`{"bytes": ..., "path": ...}`) as 8-bit grey, upright.

    Raises:
        ValueError: names the file if it is no image or damaged.
    """
    if image["bytes"] is None:
        return open_image(image["path"])
    return open_image(io.BytesIO(image["bytes"]), name=image["path"] or "An image without a name")


def required_frames(labels: Sequence) -> int:
    """Frames that CTC needs for `labels`: one for each, and a blank between two equal ones."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))


def select_trainable(
    lines: Dataset, processor: HTRConvTextProcessor, config: HTRConvTextConfig
) -> tuple[Dataset, Counter]:
    """
    Keeps the lines that a model can be trained on and adds their resized `width` in pixels, to batch similar ones.

    Returns:
        The lines, and how many were left out for which reason: `"empty text"`, `"unreadable image"`,
        `"unknown character"` (where the tokenizer raises) or `"more characters than frames"`.
    """
    image_processor = processor.image_processor
    frames_of_padding = image_processor.pad_to_max_width and not image_processor.return_pixel_mask
    kept, widths, left_out = [], [0] * len(lines), Counter()
    progress = tqdm(lines, desc="checking lines", unit="line", file=sys.stderr, disable=None, leave=False)
    for index, line in enumerate(progress):
        try:
            labels = processor.tokenizer(line["text"], add_special_tokens=False).input_ids
        except UnknownCharacterError:
            left_out["unknown character"] += 1
            continue
        if not labels:
            left_out["empty text"] += 1
            continue
        try:
            image = open_line(line["image"])
        except ValueError:
            left_out["unreadable image"] += 1
            continue
        width = image_processor.resized_width(image.height, image.width)
        if frames_of_padding:  # as in the published system: the network is not told where a line ends
            width = image_processor.size.width
        if required_frames(labels) > -(-width // config.inputs_to_logits_ratio):
            left_out["more characters than frames"] += 1
            continue
        kept.append(index)
        widths[index] = width
    if "width" in lines.column_names:  # of the image as it is stored
        lines = lines.remove_columns("width")
    # In this order: to add a column to a selection copies all of it.
    return lines.add_column("width", widths).select(kept), left_out
