"""Character tokenizer: one id per character after those of the special tokens, of which the first, 0, pads."""

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

from transformers import PreTrainedTokenizer

from .ctc import collapse
from .errors import InputError


VOCAB_FILES_NAMES = {"vocab_file": "vocab.json"}


class UnknownCharacterError(InputError):
    """A text has characters that the tokenizer does not know."""


class CharacterTokenizer(PreTrainedTokenizer):
    r"""
    What the tokenizers of all families share. Id 0 is the blank of CTC, which also pads; every other id is one
    character, but for special tokens that a family may put in between.

    Args:
        vocab_file (`str`, *optional*):
            JSON object of token to id. Without it the vocabulary is the blank alone.
        pad_token (`str`, *optional*, defaults to `"<pad>"`):
            Name of the blank. The same characters in a text are text.
        unknown (`str`, *optional*, defaults to `"error"`):
            What to do with a character outside the vocabulary: `"error"` raises [`UnknownCharacterError`], `"drop"`
            leaves it out, `"replace"` puts `replacement` in its place. `unknown_counts` counts those dropped or
            replaced.
        replacement (`str`, *optional*):
            The character that `"replace"` puts; must be in the vocabulary.
        unicode_form (`str`, *optional*):
            `None` takes texts as they are. `"NFC"` composes them before encoding and after decoding; a composed
            character that is not in the vocabulary is spelled by its parts if those are, so composed text always comes
            back as it went in.
    """

    published: ClassVar[dict[str, str]] = {}  # the alphabets of published checkpoints, by name
    more_special: Sequence[str] = ()  # the special tokens with the ids 1, 2 …; subclasses set it before `__init__`
    vocab_files_names = VOCAB_FILES_NAMES
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(
        self,
        vocab_file: str | None = None,
        pad_token: str = "<pad>",
        unknown: str = "error",
        replacement: str | None = None,
        unicode_form: str | None = None,
        **kwargs,
    ):
        special = [str(pad_token), *self.more_special]
        self.first_character = len(special)  # its id
        self.encoder: dict[str, int] = {token: index for index, token in enumerate(special)}
        if vocab_file is not None:
            self.encoder = read_vocabulary(vocab_file, special)
        self.decoder = {index: token for token, index in self.encoder.items()}
        self.unknown_counts: Counter[str] = Counter()
        kwargs.setdefault("unk_token", None)
        kwargs.setdefault("split_special_tokens", True)
        super().__init__(
            pad_token=pad_token,
            unknown=unknown,
            replacement=replacement,
            unicode_form=unicode_form,
            special_tokens_pattern="none",
            **kwargs,
        )
        self.set_policy(unknown, replacement, unicode_form)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, *args, **kwargs):
        """As transformers' own, but a folder without a vocabulary is an error (`InputError`)."""
        tokenizer = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        if not tokenizer.charset:
            raise InputError(f"{pretrained_model_name_or_path}: there is no {VOCAB_FILES_NAMES['vocab_file']}.")
        return tokenizer

    # --- building a vocabulary ---

    @classmethod
    def from_charset(cls, charset: Iterable[str], **kwargs) -> "CharacterTokenizer":
        """
        A tokenizer of the characters of `charset`, in their order.

        Raises:
            InputError: if a character occurs twice or the charset is empty.
        """
        policy = {name: kwargs.pop(name) for name in ("unknown", "replacement", "unicode_form") if name in kwargs}
        tokenizer = cls(**kwargs)
        added = tokenizer.add_characters(charset, strict=True)
        if not added:
            raise InputError("The charset is empty.")
        tokenizer.set_policy(**{"unknown": "error", **policy})
        return tokenizer

    @classmethod
    def from_charset_file(cls, path: str | os.PathLike, **kwargs) -> "CharacterTokenizer":
        """
        As `from_charset`, from a UTF-8 text file; line breaks are not part of the charset.

        Raises:
            OSError: if the file cannot be read.
            InputError: if it is empty, not UTF-8 or repeats a character.
        """
        with open(path, encoding="utf-8-sig") as handle:
            try:
                charset = handle.read().replace("\r", "").replace("\n", "")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: the charset is not UTF-8; save it as UTF-8. ({error})") from None
        return cls.from_charset(charset, **kwargs)

    @classmethod
    def from_corpus(cls, texts: Iterable[str], min_count: int = 1, **kwargs) -> "CharacterTokenizer":
        """
        A tokenizer of the characters that occur at least `min_count` times in `texts`, sorted by code point.

        Raises:
            InputError: if there are none.
        """
        form = kwargs.get("unicode_form")
        counts = Counter()
        for text in texts:
            counts.update(unicodedata.normalize(form, text) if form else text)
        charset = sorted(character for character, count in counts.items() if count >= min_count)
        return cls.from_charset([character for character in charset if character not in "\r\n"], **kwargs)

    @classmethod
    def from_published(cls, name: str, **kwargs) -> "CharacterTokenizer":
        """
        A tokenizer with the alphabet of a published checkpoint, one of `published`.

        Raises:
            InputError: if the name is none of these.
        """
        if name not in cls.published:
            raise InputError(f"Unknown alphabet {name!r}: choose one of {', '.join(cls.published)}.")
        return cls.from_charset(cls.published[name], **kwargs)

    def add_characters(self, characters: Iterable[str], strict: bool = False) -> int:
        """
        Appends the characters that are new; ids of old ones stay. Returns how many were added.

        Grow the model too: `model.resize_vocabulary(len(tokenizer))`.

        Raises:
            InputError: if something in `characters` is not one character, or, with `strict`, not new; nothing is added
                then.
        """
        new: dict[str, int] = {}
        for character in characters:
            if len(character) != 1:
                raise InputError(f"{character!r} is not a single character.")
            if character not in self.encoder and character not in new:
                new[character] = len(self.encoder) + len(new)
            elif strict:
                raise InputError(f"{describe(character)} occurs twice in the charset.")
        if new and len(self) > len(self.encoder):
            raise InputError("Characters must be added before special tokens (`add_tokens`), which have the next ids.")
        self.encoder.update(new)
        self.decoder.update({index: character for character, index in new.items()})
        self._update_total_vocab_size()
        return len(new)

    def set_policy(self, unknown: str, replacement: str | None = None, unicode_form: str | None = None) -> None:
        """
        Changes what happens to characters outside the vocabulary and to the Unicode form; see the class.

        Raises:
            InputError: if a value is unknown, or the replacement not in the vocabulary.
        """
        if unknown not in ("error", "drop", "replace"):
            raise InputError(f"`unknown` must be 'error', 'drop' or 'replace'; got {unknown!r}.")
        if unknown == "replace" and not self.knows(replacement):
            raise InputError(f"`replacement` must be a character of the vocabulary; got {replacement!r}.")
        if unicode_form not in (None, "NFC"):
            raise InputError(f"`unicode_form` must be None or 'NFC'; got {unicode_form!r}.")
        policy = {"unknown": unknown, "replacement": replacement, "unicode_form": unicode_form}
        self.unknown, self.replacement, self.unicode_form = unknown, replacement, unicode_form
        self.init_kwargs.update(policy)

    @property
    def charset(self) -> str:
        """The characters in the order of their ids, without special tokens."""
        return "".join(self.decoder[index] for index in range(self.first_character, len(self.decoder)))

    def knows(self, character: str | None) -> bool:
        """Whether a character is in the vocabulary. The name of a special token is not, in a text it is text."""
        return self.encoder.get(character, 0) >= self.first_character

    # --- text to ids ---

    @property
    def vocab_size(self) -> int:
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        return {**self.encoder, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **kwargs) -> list[str]:
        characters = []
        for character in unicodedata.normalize(self.unicode_form, text) if self.unicode_form else text:
            if self.knows(character):
                characters.append(character)
                continue
            parts = unicodedata.normalize("NFD", character) if self.unicode_form else ""
            if len(parts) > 1 and all(map(self.knows, parts)):
                characters.extend(parts)
                continue
            if self.unknown == "error":
                raise UnknownCharacterError(
                    f"{describe(character)} is not in the charset, in the line {text!r}. Add it with "
                    "`tokenizer.add_characters(...)`, or load the tokenizer with unknown='drop', or with "
                    "unknown='replace' and a `replacement`."
                )
            self.unknown_counts[character] += 1
            if self.unknown == "replace":
                characters.append(self.replacement)
        return characters

    def _convert_token_to_id(self, token: str) -> int | None:
        return self.encoder.get(token)

    # --- ids to text ---

    def _convert_id_to_token(self, index: int) -> str | None:
        return self.decoder.get(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        text = "".join(tokens)
        return unicodedata.normalize(self.unicode_form, text) if self.unicode_form else text

    def character(self, index: int) -> str:
        """
        The character of an id.

        Raises:
            ValueError: if the id is not in the vocabulary.
        """
        token = self.decoder.get(index) or self.convert_ids_to_tokens(index)
        if token is None:
            raise ValueError(f"Id {index} is outside the vocabulary of {len(self)} classes: it is of another model.")
        return token

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        group_tokens: bool = True,
        output_char_offsets: bool = False,
        **kwargs,
    ) -> str | dict:
        """
        Text of one line; `group_tokens=False` for labels, where doubled characters are text.

        With `output_char_offsets` a dict of `text` and `char_offsets`: for each character `char`, `start_offset` and
        `end_offset` (frames, end exclusive).
        """
        token_ids = [token_ids] if isinstance(token_ids, int) else token_ids
        if group_tokens:
            ids, spans = collapse(token_ids)
        else:
            places = [place for place, index in enumerate(token_ids) if int(index) > 0]
            ids, spans = [int(token_ids[place]) for place in places], [(place, place + 1) for place in places]
        characters = [self.character(index) for index in ids]
        text = self.convert_tokens_to_string(characters)
        if not output_char_offsets:
            return text
        offsets = [
            {"char": char, "start_offset": start, "end_offset": end}
            for char, (start, end) in zip(characters, spans, strict=True)
        ]
        return {"text": text, "char_offsets": offsets}

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        name = (filename_prefix + "-" if filename_prefix else "") + VOCAB_FILES_NAMES["vocab_file"]
        path = os.path.join(save_directory, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(json.dumps(self.encoder, indent=2, ensure_ascii=False) + "\n")
        return (path,)


def read_vocabulary(path: str | os.PathLike, special: Sequence[str]) -> dict[str, int]:
    """
    The ids of a `vocab.json`, the first tokens renamed to the special ones.

    Raises:
        InputError: names the file if the ids have gaps or a token is not a single character.
    """
    with open(path, encoding="utf-8") as handle:
        encoder = json.load(handle)
    tokens = sorted(encoder, key=encoder.get)
    if len(tokens) < len(special) or [encoder[token] for token in tokens] != list(range(len(tokens))):
        raise InputError(f"{path}: the ids must be 0, 1, 2 … without gaps; id 0 is the blank.")
    characters = tokens[len(special) :]
    for name in special:
        if name in characters:
            raise InputError(f"{path}: {name!r} names a special token, but is a token with another id.")
    wrong = [token for token in characters if len(token) != 1]
    if wrong:
        raise InputError(f"{path}: {wrong[0]!r} is not a single character.")
    return {token: index for index, token in enumerate([*special, *characters])}


def describe(character: str) -> str:
    """A character with its code point and name, for messages: `'ÿ' (U+00FF LATIN SMALL LETTER Y WITH DIAERESIS)`."""
    return f"{character!r} (U+{ord(character):04X} {unicodedata.name(character, 'unnamed')})"


__all__ = ["CharacterTokenizer"]
