"""Character tokenizer of AttentionHTR, CRNN and their kin."""

import string
from collections.abc import Iterable

from .tokenization_characters import CharacterTokenizer


class AttentionHTRTokenizer(CharacterTokenizer):
    r"""
    Character tokenizer for prediction by attention: id 0 pads and starts, id 1 ends a text, every other id is one
    character. Without an end symbol it is one for CTC; see [`CharacterTokenizer`].

    Args:
        eos_token (`str`, *optional*, defaults to `"</s>"`):
            Name of the end symbol, `None` for CTC. The same characters in a text are text.
        do_lower_case (`bool`, *optional*, defaults to `False`):
            Whether texts are brought to lower case, for a charset that has no other.
        kwargs: As for [`CharacterTokenizer`].
    """

    _auto_class = "AutoTokenizer"  # saved folders carry this code
    # Of arXiv 2201.09390, by whether they tell upper from lower case.
    published = {"insensitive": string.printable[:36], "sensitive": string.printable[:-6]}

    def __init__(
        self,
        vocab_file: str | None = None,
        pad_token: str = "<pad>",
        eos_token: str | None = "</s>",
        do_lower_case: bool = False,
        **kwargs,
    ):
        self.do_lower_case = do_lower_case
        self.more_special = () if eos_token is None else (str(eos_token),)
        super().__init__(vocab_file, pad_token, eos_token=eos_token, do_lower_case=do_lower_case, **kwargs)

    @classmethod
    def from_published(cls, name: str, **kwargs) -> "AttentionHTRTokenizer":
        """As [`CharacterTokenizer.from_published`]; `insensitive` brings texts to lower case."""
        return super().from_published(name, **{"do_lower_case": name == "insensitive", **kwargs})

    @classmethod
    def from_corpus(cls, texts: Iterable[str], min_count: int = 1, **kwargs) -> "AttentionHTRTokenizer":
        if kwargs.get("do_lower_case"):
            texts = (text.lower() for text in texts)
        return super().from_corpus(texts, min_count, **kwargs)

    def _tokenize(self, text: str, **kwargs) -> list[str]:
        return super()._tokenize(text.lower() if self.do_lower_case else text, **kwargs)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        return [*token_ids_0, *(token_ids_1 or []), *([] if self.eos_token_id is None else [self.eos_token_id])]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, already_has_special_tokens=True)
        characters = [0] * (len(token_ids_0) + len(token_ids_1 or []))
        return [*characters, *([] if self.eos_token_id is None else [1])]

    def _decode(self, token_ids: int | list[int], *args, **kwargs) -> str | dict:
        """As of [`CharacterTokenizer`]; with an end symbol the text before the first one, whatever follows."""
        if self.eos_token_id is None:
            return super()._decode(token_ids, *args, **kwargs)
        token_ids = [token_ids] if isinstance(token_ids, int) else [int(index) for index in token_ids]
        if self.eos_token_id in token_ids:
            token_ids = token_ids[: token_ids.index(self.eos_token_id)]
        return super()._decode(token_ids, *args, **{**kwargs, "group_tokens": False})


__all__ = ["AttentionHTRTokenizer"]
