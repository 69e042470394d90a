"""One text policy for all splits, stored with the model."""

import json

import pytest

from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from processing import HTRConvTextTokenizer


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({}, " a\u00a0 b\t", "a b"),
        ({}, "e\u0301ſ", "éſ"),
        ({"unicode_form": None, "whitespace": "keep"}, " e\u0301 ", " e\u0301 "),
        ({"unicode_form": "NFKC"}, "ﬁn²", "fin2"),
        ({"long_s": "s"}, "diſe", "dise"),
        ({"abbreviations": {"ꝑ": "per", "⁊": "et", "⁊c": "etc"}}, "ꝑ ⁊c ⁊", "per etc et"),
        ({"unicode_form": "NFD", "abbreviations": {"\u0303": ""}}, "nõ", "no"),
        ({"abbreviations": {"'": "e\u0301"}}, "d'", "dé"),
        ({"abbreviations": {"~": ""}}, "a ~ b", "a b"),
    ],
)
def test_policy(settings, text, expected):
    policy = TextPolicy(**settings)
    assert policy(text) == expected
    assert policy(expected) == expected


@pytest.mark.parametrize(
    "settings",
    [{"unicode_form": "UTF-8"}, {"whitespace": "strip"}, {"long_s": True}, {"abbreviations": {"a": "aa"}},
     {"abbreviations": {"": "a"}}, {"abbreviations": {"a": None}}, {"long_s": "s", "abbreviations": {"ẜ": "ſer"}}],
)  # fmt: skip
def test_wrong_settings(settings):
    with pytest.raises(InputError, match="Text policy"):
        TextPolicy(**settings)


def test_policy_travels_with_the_tokenizer(tmp_path):
    tokenizer = HTRConvTextTokenizer.from_charset("abc")
    assert TextPolicy.of(tokenizer) == TextPolicy()
    policy = TextPolicy(unicode_form=None, long_s="s", abbreviations={"ꝑ": "per"})
    policy.store_in(tokenizer)
    for folder in ("one", "two"):
        tokenizer.save_pretrained(tmp_path / folder)
        tokenizer = HTRConvTextTokenizer.from_pretrained(tmp_path / folder)
    assert TextPolicy.of(tokenizer) == policy
    for wrong in ({"longs": "s"}, [1], {"abbreviations": [1]}):
        tokenizer.init_kwargs["text_policy"] = wrong
        with pytest.raises(InputError, match="stored with the model is not a text policy"):
            TextPolicy.of(tokenizer)


def test_policy_file(tmp_path):
    policy = TextPolicy(abbreviations={"ꝑ": "per"})
    policy.to_file(tmp_path / "policy.json")
    assert TextPolicy.from_file(tmp_path / "policy.json") == policy
    for content in ("{", json.dumps({"longs": "s"}), "[1]"):
        (tmp_path / "wrong.json").write_text(content)
        with pytest.raises(InputError, match=r"wrong\.json"):
            TextPolicy.from_file(tmp_path / "wrong.json")
