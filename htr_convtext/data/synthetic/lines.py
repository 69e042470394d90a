"""Synthetic lines as `datasets` objects."""

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, IterableDataset, Value

from htr_convtext.data.items import code_stamp
from htr_convtext.errors import InputError

from .renderer import LineRenderer
from .texts import LineTexts


logger = logging.getLogger(__name__)

FEATURES = Features(
    {
        "image": Image(decode=False),
        **dict.fromkeys(("text", "source", "language", "writer"), Value("string")),
        **dict.fromkeys(("width", "height"), Value("int32")),
    }
)
LINES_PER_SHARD = 256
ENDLESS_SHARDS = 64  # more workers than this would find nothing to do
JPEG_QUALITY = 92
ATTEMPTS = 100


def _render(texts: LineTexts, renderer: LineRenderer, seed: int, index: int) -> dict:
    """
    Line number `index` of the lines of a seed: a dictionary with the columns of `synthetic_lines`.

    Raises:
        InputError: if 100 texts in a row cannot be written with a single font.
    """
    generator = np.random.default_rng((seed, index))
    for attempt in range(ATTEMPTS):
        text, language = texts(generator)
        try:
            font = renderer.choose_font(text, generator)
            image = renderer(text, generator, font)
            break
        except InputError:
            if attempt == ATTEMPTS - 1:
                raise
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return {
        "image": {"bytes": stream.getvalue(), "path": None},
        "text": text,
        "source": "synthetic",
        "language": language,
        "writer": font.name,
        "width": image.width,
        "height": image.height,
    }


def _lines(texts: LineTexts, renderer: LineRenderer, seed: int, shards: list[range], code: str) -> Iterator[dict]:
    """`code` is there for the name of the data set in the cache, which is made of the arguments."""
    for shard in shards:
        for index in shard:
            yield _render(texts, renderer, seed, index)


def synthetic_lines(
    texts: LineTexts,
    num_lines: int | None,
    seed: int = 0,
    renderer: LineRenderer | None = None,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | None = None,
) -> Dataset | IterableDataset:
    """
    Renders lines of the texts.

    A line depends on the seed, its number, the texts and the renderer only, not on processes or order. Words with
    characters that no font has are left out, and a warning counts them.

    Args:
        texts: Where the texts of the lines come from.
        num_lines: How many lines; `None`, for streaming only, never ends.
        seed: Another seed gives other lines: take a different one for each split.
        renderer: Fonts, height and style; by default `LineRenderer()`.
        streaming: Render while iterating, again in each epoch, and split between the workers of a `DataLoader`.
        num_proc: Processes that render (not for streaming).
        cache_dir: Folder for the rendered lines (not for streaming); by default the cache of `datasets`.

    Returns:
        Lines with the columns `image` (JPEG, not decoded), `text` (NFC), `source` (`"synthetic"`), `language` (or
        `None`), `writer` (name of the font), `width` and `height`.

    Raises:
        InputError: if no lines are asked for, the seed is negative, or no font can write a text.
    """
    renderer = renderer or LineRenderer()
    if num_lines is None and not streaming:
        raise InputError("Only streaming can go on for ever; give num_lines.")
    if num_lines is not None and num_lines < 1:
        raise InputError(f"num_lines must be at least 1, not {num_lines}.")
    if seed < 0:
        raise InputError(f"The seed must be non-negative, not {seed}.")
    texts, missing = texts.restricted_to(renderer.characters)
    if missing:
        logger.warning(
            "No font has %s; words with these %d characters are left out.",
            " ".join(f"{sign!r} ({count}×)" for sign, count in missing.most_common(10)),
            missing.total(),
        )
    _render(texts, renderer, seed, 0)  # what cannot be done is an InputError here, and wrapped by `datasets` later
    if num_lines is None:
        shards = [range(start, sys.maxsize, ENDLESS_SHARDS) for start in range(ENDLESS_SHARDS)]
    else:
        starts = range(0, num_lines, LINES_PER_SHARD)
        shards = [range(start, min(start + LINES_PER_SHARD, num_lines)) for start in starts]
    code = code_stamp(Path(__file__).parent.glob("*.py"))
    arguments = {"texts": texts, "renderer": renderer, "seed": seed, "shards": shards, "code": code}
    if streaming:
        return IterableDataset.from_generator(_lines, features=FEATURES, gen_kwargs=arguments)
    num_proc = num_proc and min(num_proc, len(shards))
    return Dataset.from_generator(
        _lines, features=FEATURES, gen_kwargs=arguments, num_proc=num_proc, cache_dir=cache_dir
    )
