"""How ground truth is written: one policy for every split, stored with the model that learned from it."""

import json
import os
import re
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from htr_convtext.errors import InputError
from htr_convtext.folder_files import opened_file
from htr_convtext.whole_files import write_whole
from htr_convtext.xml_characters import drop_unwritable


if TYPE_CHECKING:  # texts alone need neither
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TextPolicy:
    """
    Brings texts into the form that a model reads and is measured in. Applying it twice changes nothing more,
    unless what is written for a sign makes one again together with its neighbours. Whatever the settings, characters
    that PAGE-XML and ALTO cannot hold are dropped: see `drop_unwritable`.

    Args:
        unicode_form: Unicode normal form; `None` leaves characters as they are composed.
        whitespace: `"fold"` makes one space of every run of white space and strips the ends; `"keep"` changes nothing.
        long_s: `"keep"`, or `"s"` to write ſ as s.
        abbreviations: What to write for a sign: `{"ꝑ": "per", "\u0303": ""}`; an empty text drops it. The signs are
            looked for after the Unicode form, so combining ones need `"NFD"`, or a composed key.

    Raises:
        InputError: names the setting that is not one of these, or that would change its own output.
    """

    unicode_form: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = "NFC"
    whitespace: Literal["fold", "keep"] = "fold"
    long_s: Literal["keep", "s"] = "keep"
    abbreviations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        choices = {
            "unicode_form": (None, "NFC", "NFD", "NFKC", "NFKD"),
            "whitespace": ("fold", "keep"),
            "long_s": ("keep", "s"),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise InputError(f"Text policy: {name} must be one of {values}, got {getattr(self, name)!r}.")
        if not all(isinstance(text, str) for pair in self.abbreviations.items() for text in pair):
            raise InputError("Text policy: abbreviations must map texts to texts.")
        replaced = {*self.abbreviations, "ſ"} if self.long_s == "s" else set(self.abbreviations)
        for sign, text in self.abbreviations.items():
            if not sign or any(other in text for other in replaced):
                raise InputError(f"Text policy: {text!r}, written for {sign!r}, holds a sign that is replaced itself.")

    def __call__(self, text: str) -> str:
        text = drop_unwritable(text)
        text = unicodedata.normalize(self.unicode_form, text) if self.unicode_form else text
        if self.long_s == "s":
            text = text.replace("ſ", "s")
        if self.abbreviations:
            # One pass, the longest sign first: the order of the mapping does not matter.
            signs = sorted(self.abbreviations, key=len, reverse=True)
            text = re.sub("|".join(map(re.escape, signs)), lambda match: self.abbreviations[match[0]], text)
            text = drop_unwritable(unicodedata.normalize(self.unicode_form, text) if self.unicode_form else text)
        return " ".join(text.split()) if self.whitespace == "fold" else text

    def apply(self, lines: "Dataset") -> "Dataset":
        """The lines with their column `text` in this form."""
        return lines.remove_columns("text").add_column("text", [self(text) for text in lines["text"]])

    def __str__(self) -> str:
        signs = f"{len(self.abbreviations)} signs written out or dropped" if self.abbreviations else "kept"
        form = self.unicode_form or "as it is"
        return f"Unicode form {form}, white space: {self.whitespace}, long s: {self.long_s}, abbreviations: {signs}"

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "TextPolicy":
        """
        Reads a JSON object of these settings.

        Raises:
            InputError: names the file if it cannot be opened or holds anything else.
        """
        with opened_file(path) as handle:
            try:
                return cls(**json.load(handle))
            except (TypeError, AttributeError, ValueError) as error:
                raise InputError(f"{path}: not a text policy. ({error})") from None

    def to_file(self, path: str | os.PathLike) -> None:
        """Writes the settings as a JSON object."""
        write_whole(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> "TextPolicy":
        """
        The policy stored with a tokenizer, or the default one.

        Raises:
            InputError: if what is stored is none.
        """
        stored = tokenizer.init_kwargs.get("text_policy") or {}
        try:
            return cls(**stored)
        except (TypeError, AttributeError, InputError) as error:
            raise InputError(f"What is stored with the model is not a text policy: {stored!r}. ({error})") from None

    def store_in(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Stores the policy with a tokenizer: `tokenizer_config.json` carries it wherever the model goes."""
        tokenizer.init_kwargs["text_policy"] = asdict(self)
