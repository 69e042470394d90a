"""A language model of texts and transcriptions."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from htr_convtext.data import TextPolicy, load_lines
from htr_convtext.errors import InputError

from .kenlm_trie import file_size, read_model
from .kneser_ney import ORDER, train_ngrams
from .mixing import best_weights, mix
from .ngrams import NGramModel
from .pruning import prune
from .texts import hold_out, read_text
from .vocabulary import Vocabulary


MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Part:
    """A language model that goes into a mixture: what it is of, how many lines and characters, and its weight."""

    name: str
    lines: int
    characters: int
    weight: float


@dataclass(frozen=True)
class Built:
    """
    A language model and what is to be said of it.

    Attributes:
        perplexities: Per character, on the lines of each source that were held out.
        whole_size: Bytes of its file if nothing had been left out to fit the size.
        unreadable: What could not be opened in the folders of its sources, and why.
    """

    model: NGramModel
    parts: tuple[Part, ...]
    perplexities: Mapping[str, float]
    whole_size: int
    unreadable: Mapping[Path, str]

    def summary(self) -> str:
        """For the terminal."""
        rows = [
            f"{part.weight:6.3f}  {part.name}"
            + (f": {part.lines:,} lines, {part.characters:,} characters" * (part.lines > 0))
            for part in self.parts
        ]
        counts = ", ".join(f"{count:,}" for count in self.model.counts)
        size = file_size(self.model.vocabulary, self.model.counts)
        rows.append(f"n-grams of 1 to {self.model.order} characters: {counts}")
        rows.append(f"size: {size / MEGABYTE:.2f} MB; with all n-grams {self.whole_size / MEGABYTE:.2f} MB")
        rows += [f"perplexity of {name}, held out: {value:.2f}" for name, value in self.perplexities.items()]
        return "\n".join(rows)


def build_language_model(
    sources: Iterable[str | os.PathLike],
    tokenizer: PreTrainedTokenizerBase,
    base: Mapping[str, str | os.PathLike] | None = None,
    validation: Iterable[str | os.PathLike] = (),
    max_bytes: int | None = None,
    order: int = ORDER,
) -> Built:
    """
    A character n-gram model: interpolated modified Kneser-Ney, mixed by EM, pruned.

    The transcriptions of all data sets together are one part of the mixture, each text file is another, and so is each
    model of `base`. Their weights are the best for what is held out: `validation`, else the validation splits of the
    data sets that have one; where there are none, one line in twenty of the data sets, or else of the text files.

    Args:
        sources: Text files (`.txt`), and data sets as `load_lines` takes them, of which it learns the training split.
        tokenizer: Of the model that will be decoded: its text policy and characters.
        base: Files of language models, by name.
        validation: Text files and data sets, of which the validation split, to find the weights for.
        max_bytes: Of the file; by default as large as it comes.
        order: Length of the longest n-grams, 2 to 6.

    Raises:
        OSError, InputError: names the source that cannot be read.
    """
    policy, known = TextPolicy.of(tokenizer), set(tokenizer.charset)

    def clean(text: str) -> str:
        return " ".join("".join(character for character in policy(text) if character in known).split())

    unreadable: dict[Path, str] = {}
    books: dict[str, list[str]] = {}
    data: dict[str, list[str]] = {}
    held_out: dict[str, list[str]] = {}
    for source in map(str, sources):
        if _is_text(source):
            books[source] = read_text(source, clean)
        else:
            data[source], held_out[source] = (
                _transcriptions(source, split, clean, unreadable) for split in ("train", "validation")
            )
            if not data[source]:
                raise InputError(f"{source}: it has no training split with transcriptions.")
    if validation := list(map(str, validation)):
        held_out = {
            source: read_text(source, clean)
            if _is_text(source)
            else _transcriptions(source, "validation", clean, unreadable)
            for source in validation
        }
        if missing := [source for source, lines in held_out.items() if not lines]:
            raise InputError(f"{missing[0]}: it has no validation split with transcriptions.")
    held_out = {source: lines for source, lines in held_out.items() if lines}
    if not held_out:
        texts = data or books
        for source, lines in texts.items():
            texts[source], held_out[source] = hold_out(lines)

    transcriptions = [line for lines in data.values() for line in lines]
    texts = {"transcriptions": transcriptions, **books} if transcriptions else books
    characters = {character for lines in texts.values() for line in lines for character in line}
    bases = {name: read_model(path) for name, path in (base or {}).items()}
    for model in bases.values():
        characters |= model.vocabulary.characters
    vocabulary = Vocabulary(characters)
    models = [train_ngrams(lines, vocabulary, order) for lines in texts.values()]
    models += [model.with_vocabulary(vocabulary, order) for model in bases.values()]
    weights = best_weights(models, list(held_out.values())) if len(models) > 1 else [1.0]
    mixture = mix(models, weights) if len(models) > 1 else models[0]
    whole_size = file_size(vocabulary, mixture.counts)
    pruned = mixture if max_bytes is None else prune(mixture, max_bytes)
    names = [*texts, *(f"language model {name}" for name in bases)]
    sizes = [(len(lines), sum(map(len, lines))) for lines in texts.values()] + [(0, 0)] * len(bases)
    return Built(
        pruned,
        tuple(Part(name, *size, weight) for name, size, weight in zip(names, sizes, weights, strict=True)),
        {name: pruned.perplexity(lines) for name, lines in held_out.items()},
        whole_size,
        unreadable,
    )


def _is_text(source: str) -> bool:
    return source.lower().endswith(".txt")


def _transcriptions(
    source: str, split: str, clean: Callable[[str], str], unreadable: dict[Path, str] | None = None
) -> list[str]:
    """The lines of a split, if there is one; `unreadable` as for `load_lines`."""
    lines = load_lines(source, split, unreadable=unreadable)
    return [] if lines is None else [line for line in map(clean, lines["text"]) if line]
