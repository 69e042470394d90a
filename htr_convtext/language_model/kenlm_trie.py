"""
Files of language models: the quantised trie of KenLM, format version 5.

KenLM (https://github.com/kpu/kenlm) writes it with `build_binary -q 8 -b 7 trie`. It is loaded in milliseconds, by
whatever reads with KenLM, flashlight-text among them. KenLM's wheels have no program to write it; this has.
"""

import os
import struct
from collections.abc import Sequence

import numpy as np

from processing.beam_search import SPACE

from ..errors import InputError
from ..folder_files import read_file
from ..whole_files import write_whole
from .ngrams import Level, NGramModel
from .vocabulary import Vocabulary, word_hash


MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0\0"
SANITY = MAGIC.ljust(-(-len(MAGIC) // 8) * 8, b"\0") + struct.pack("<3f3IQ", 0, 1, -0.5, 1, 2**32 - 1, 0, 1)
PARAMETERS = struct.Struct("<B3xfI?3xI")  # order, probing multiplier, model type, whether words follow, version
QUANTISED_TRIE, TRIE_VERSION = 3, 1
PROBABILITY_BITS, BACKOFF_BITS = 8, 7
QUANTISATION = bytes([2, PROBABILITY_BITS, BACKOFF_BITS]).ljust(8, b"\0")
UNIGRAM = np.dtype([("probability", "<f4"), ("backoff", "<f4"), ("next", "<u8")])
SMALLEST = 1e-30  # in place of a probability of 0


def file_size(vocabulary: Vocabulary, counts: Sequence[int]) -> int:
    """Bytes of the file of a model with so many n-grams of each length."""
    words = sum(len(word.encode()) + 1 for word in vocabulary.words)
    return _header_size(len(counts)) + 8 + 8 * counts[0] + sum(size for size, _ in _parts(counts)) + words


def write_model(model: NGramModel, path: str | os.PathLike) -> None:
    """Writes a model: whole, or not at all."""
    counts, vocabulary = model.counts, model.vocabulary
    header = SANITY + PARAMETERS.pack(len(counts), 1.5, QUANTISED_TRIE, True, TRIE_VERSION)
    header += np.array(counts, "<u8").tobytes()
    hashes = np.array([word_hash(word) for word in vocabulary.words[1:]], "<u8")
    content = [
        header.ljust(_header_size(len(counts)), b"\0"),
        struct.pack("<Q", len(hashes)),
        hashes.tobytes().ljust(8 * counts[0], b"\0"),
        QUANTISATION,
    ]

    tables, codes = [], []
    for number, level in enumerate(model.levels[1:], start=1):
        logarithms = np.log10(np.maximum(level.probability, SMALLEST))
        table = _bins(logarithms, 1 << PROBABILITY_BITS)
        code = _nearest(table, logarithms)
        tables.append(table)
        if number < model.order - 1:
            backoff_table, backoff_code = _quantise_backoffs(level, model.levels[number + 1])
            tables.append(backoff_table)
            code = code << BACKOFF_BITS | backoff_code
        codes.append(code)
    content += [table.astype("<f4").tobytes() for table in tables]

    sizes = _parts(counts)
    for number, (level, (size, _)) in enumerate(zip(model.levels, sizes[1:], strict=True)):
        above = model.levels[number + 1] if number < model.order - 1 else None
        following = None if above is None else np.searchsorted(above.suffix, np.arange(len(level) + 1))
        if number == 0:
            part = _unigrams(level, above, following)
        else:
            part = _pack_level(level, codes[number - 1], following, counts, number)
        content.append(part.ljust(size, b"\0"))
    content.append(b"".join(word.encode() + b"\0" for word in vocabulary.words))

    write_whole(path, b"".join(content))


def read_model(path: str | os.PathLike) -> NGramModel:
    """
    Reads a model that `write_model` wrote.

    Raises:
        OSError: if it cannot be read.
        InputError: if it is no quantised trie of KenLM, or damaged.
    """
    content = read_file(path)
    try:
        return _parse(content)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no language model of `htr lm`, or damaged. ({error})") from None


def _parse(content: bytes) -> NGramModel:
    if content[: len(SANITY)] != SANITY:
        raise ValueError("It does not begin as files of KenLM do.")
    order, _, kind, has_words, version = PARAMETERS.unpack_from(content, len(SANITY))
    if (kind, has_words, version) != (QUANTISED_TRIE, True, TRIE_VERSION):
        raise ValueError("It is no quantised trie with words.")
    start = len(SANITY) + PARAMETERS.size
    counts = np.frombuffer(content, "<u8", order, start).astype(int).tolist()
    start = _header_size(order) + 8 + 8 * counts[0]
    if content[start : start + 8] != QUANTISATION:
        raise ValueError("It is quantised otherwise.")
    tables, at = [], start + 8
    for number in range(1, order):
        tables.append([])
        for bits in (PROBABILITY_BITS, BACKOFF_BITS)[: 2 if number < order - 1 else 1]:
            tables[-1].append(np.frombuffer(content, "<f4", 1 << bits, at).astype(float))
            at += 4 << bits

    sizes = _parts(counts)
    unigrams = np.frombuffer(content, UNIGRAM, counts[0] + 1, at)
    at += sizes[1][0]
    first = np.arange(counts[0])
    levels = [
        Level(np.zeros_like(first), first, 10.0 ** unigrams["probability"][:-1], 10.0 ** unigrams["backoff"][:-1])
    ]
    following = unigrams["next"].astype(np.int64)
    for number in range(1, order):
        size, bits = sizes[number + 1]
        rows = _unpack(content[at : at + size], counts[number] + 1, sum(bits))
        at += size
        word_bits, value_bits, _ = bits
        first = (rows & (1 << word_bits) - 1)[:-1]
        values = rows >> word_bits & (1 << value_bits) - 1
        suffix = np.repeat(np.arange(counts[number - 1]), np.diff(following))
        table, *more = tables[number - 1]
        backoff = np.ones(counts[number])
        if more:
            backoff = 10.0 ** more[0][values[:-1] & (1 << BACKOFF_BITS) - 1]
            values = values >> BACKOFF_BITS
            following = rows >> word_bits + value_bits
        levels.append(Level(suffix, first, 10.0 ** table[values[:-1]], backoff))
    words = content[at:].decode().split("\0")[: counts[0]]
    vocabulary = Vocabulary({SPACE: " "}.get(word, word) for word in words[1:] if word not in ("<s>", "</s>"))
    if list(vocabulary.words) != words:
        raise ValueError("Its words are cut short.")
    return NGramModel(vocabulary, levels)


def _header_size(order: int) -> int:
    return -(-(len(SANITY) + PARAMETERS.size + 8 * order) // 8) * 8


def _parts(counts: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Bytes of the quantisation tables and of each level, and for levels of packed n-grams the bits of their fields."""
    order, word_bits = len(counts), counts[0].bit_length()
    tables = 8 + (order - 1) * (4 << PROBABILITY_BITS) + (order - 2) * (4 << BACKOFF_BITS)
    parts = [(tables, ()), ((counts[0] + 2) * UNIGRAM.itemsize, ())]
    for number in range(1, order):
        is_last = number == order - 1
        value_bits = PROBABILITY_BITS if is_last else PROBABILITY_BITS + BACKOFF_BITS
        next_bits = 0 if is_last else counts[number + 1].bit_length()
        bits = word_bits, value_bits, next_bits
        parts.append((((counts[number] + 1) * sum(bits) + 7) // 8 + 8, bits))
    return parts


def _unigrams(level: Level, above: Level, following: np.ndarray) -> bytes:
    rows = np.zeros(len(level) + 1, UNIGRAM)
    rows["probability"][:-1] = np.log10(np.maximum(level.probability, SMALLEST))
    rows["probability"][:-1][level.probability == 0] = -99
    # Zero with a minus says that nothing follows: KenLM then forgets the context.
    rows["backoff"][:-1] = np.where(_is_context(level, above), np.log10(level.backoff) + 0.0, -0.0)
    rows["next"] = following
    return rows.tobytes()


def _pack_level(
    level: Level, codes: np.ndarray, following: np.ndarray | None, counts: Sequence[int], number: int
) -> bytes:
    _, (word_bits, value_bits, next_bits) = _parts(counts)[number + 1]
    rows = np.zeros(len(level) + 1, np.uint64)
    rows[:-1] = level.first | codes << word_bits
    if following is not None:
        rows |= following.astype(np.uint64) << np.uint64(word_bits + value_bits)
    bits = np.unpackbits(rows.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    return np.packbits(bits[:, : word_bits + value_bits + next_bits].ravel(), bitorder="little").tobytes()


def _unpack(content: bytes, count: int, width: int) -> np.ndarray:
    """Numbers of `width` bits each."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8), count=count * width, bitorder="little")
    rows = np.zeros((count, 64), np.uint8)
    rows[:, :width] = bits.reshape(count, width)
    return np.packbits(rows, axis=1, bitorder="little").view(np.int64).ravel()


def _is_context(level: Level, above: Level) -> np.ndarray:
    return np.bincount(above.prefix, minlength=len(level)) > 0


def _quantise_backoffs(level: Level, above: Level) -> tuple[np.ndarray, np.ndarray]:
    """Code 0 is for n-grams that are no context, 1 for back-off weights of 1."""
    logarithms = np.log10(level.backoff)
    table = _bins(logarithms[logarithms != 0], (1 << BACKOFF_BITS) - 2)
    codes = np.where(logarithms == 0, 1, 2 + _nearest(table, logarithms))
    return np.concatenate(([-0.0, 0.0], table)), np.where(_is_context(level, above), codes, 0)


def _bins(values: np.ndarray, count: int) -> np.ndarray:
    """The means of `count` bins of equally many values (Federico and Bertoldi 2006); empty ones repeat one."""
    values = np.sort(values)
    ends = len(values) * np.arange(count + 1) // count
    sums = np.concatenate(([0.0], np.cumsum(values)))
    filled = ends[1:] > ends[:-1]
    means = np.full(count, -np.inf)
    means[filled] = (sums[ends[1:]] - sums[ends[:-1]])[filled] / (ends[1:] - ends[:-1])[filled]
    return np.maximum.accumulate(means).astype(np.float32)


def _nearest(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The numbers of the nearest entries of a sorted table."""
    above = np.searchsorted(table, values).clip(1, len(table) - 1)
    return above - (values - table[above - 1] < table[above] - values)
