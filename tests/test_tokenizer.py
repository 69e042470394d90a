"""The character tokenizer."""

import hashlib
import unicodedata

import pytest
from transformers import AutoTokenizer

from htr_convtext.charsets import charset_tokenizer
from processing import HTRConvTextTokenizer, UnknownCharacterError
from processing.published_charsets import PUBLISHED_CHARSETS


# Classes with the blank, and the start of the SHA-256 of the characters in the order of the published classes.
PUBLISHED_ALPHABETS = [
    ("iam", 80, "a103226f711d93c7"),
    ("read2016", 90, "58de706236f58852"),
    ("lam", 91, "3c3e6c91df818f14"),
    ("vnondb", 162, "8b891c9f13aac8b4"),
]


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text).input_ids


# --- building ---


@pytest.mark.parametrize(("name", "classes", "digest"), PUBLISHED_ALPHABETS)
def test_published_alphabets(name, classes, digest):
    """Order and gaps as the published checkpoints have them: letters that the alphabets miss are errors."""
    tokenizer = HTRConvTextTokenizer.from_published(name)
    assert len(tokenizer) == tokenizer.vocab_size == classes
    assert hashlib.sha256(tokenizer.charset.encode()).hexdigest().startswith(digest)
    missing = {"iam": "é", "read2016": "X", "lam": "k", "vnondb": "w"}[name]
    with pytest.raises(UnknownCharacterError):
        tokenizer(missing)


def test_from_charset_file_and_corpus(tmp_path):
    (tmp_path / "charset.txt").write_text("ba ç\n", encoding="utf-8-sig")  # as Windows writes it
    assert HTRConvTextTokenizer.from_charset_file(tmp_path / "charset.txt").charset == "ba ç"
    corpus = ["abba", "cab\n", "a🙂"]
    assert HTRConvTextTokenizer.from_corpus(corpus).charset == "abc🙂"
    assert HTRConvTextTokenizer.from_corpus(corpus, min_count=2).charset == "ab"


def test_bad_charsets():
    with pytest.raises(ValueError, match="twice"):
        HTRConvTextTokenizer.from_charset("aba")
    with pytest.raises(ValueError, match="empty"):
        HTRConvTextTokenizer.from_charset("")
    with pytest.raises(ValueError, match="iam, read2016"):
        HTRConvTextTokenizer.from_published("rimes")


def test_charsets_by_name(tmp_path):
    (tmp_path / "charset.txt").write_text("ba", encoding="utf-8")
    assert charset_tokenizer(str(tmp_path / "charset.txt")).charset == "ba"
    assert charset_tokenizer("lam", unknown="drop")("ak").input_ids == charset_tokenizer("lam")("a").input_ids
    with pytest.raises(ValueError, match=r"no file rimes.*choose iam, read2016"):
        charset_tokenizer("rimes")


def test_blank_is_padding_is_zero(tokenizer):
    assert tokenizer.pad_token_id == 0
    batch = tokenizer(["abc", "a"], padding=True, return_tensors="pt").input_ids
    assert batch.tolist() == [[2, 3, 4], [2, 0, 0]]


def test_the_name_of_the_blank_is_text():
    tokenizer = HTRConvTextTokenizer.from_charset("<pad>")
    assert ids(tokenizer, "<pad>") == [1, 2, 3, 4, 5]
    assert tokenizer.decode([1, 2, 3, 4, 5]) == "<pad>"
    renamed = HTRConvTextTokenizer.from_charset("ab", pad_token="_", unknown="drop")
    assert ids(renamed, "a_b") == [1, 2]  # not the blank


# --- unknown characters ---


def test_unknown_characters_are_errors_that_name_them(tokenizer):
    with pytest.raises(UnknownCharacterError, match=r"'É' \(U\+00C9 LATIN CAPITAL LETTER E WITH ACUTE\).*'un Élan'"):
        tokenizer("un Élan")


def test_unknown_characters_dropped_and_counted():
    tokenizer = HTRConvTextTokenizer.from_charset("ab", unknown="drop")
    assert tokenizer.decode(ids(tokenizer, "xabxyb"), group_tokens=False) == "abb"
    assert tokenizer.unknown_counts == {"x": 2, "y": 1}


def test_unknown_characters_replaced():
    tokenizer = HTRConvTextTokenizer.from_charset("ab?", unknown="replace", replacement="?")
    assert tokenizer.decode(ids(tokenizer, "axb"), group_tokens=False) == "a?b"
    with pytest.raises(ValueError, match="replacement"):
        HTRConvTextTokenizer.from_charset("ab", unknown="replace", replacement="?")


def test_settings_are_saved(tmp_path):
    HTRConvTextTokenizer.from_charset("ab?", unknown="replace", replacement="?", unicode_form="NFC").save_pretrained(
        tmp_path
    )
    loaded = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=True)
    assert (loaded.unknown, loaded.replacement, loaded.unicode_form) == ("replace", "?", "NFC")
    assert loaded.charset == "ab?"
    assert loaded.decode(ids(loaded, "axb"), group_tokens=False) == "a?b"


# --- Unicode forms ---


def test_text_is_not_normalised_unasked():
    tokenizer = HTRConvTextTokenizer.from_charset("e\u0301")
    assert tokenizer.decode(ids(tokenizer, "e\u0301"), group_tokens=False) == "e\u0301"


@pytest.mark.parametrize("text", ["Sie schicken Ihm dȳs", "ȫ āē ü", "y\u0304 x\u0304"])
def test_composed_text_survives_alphabets_with_combining_marks(text):
    """READ2016 lists U+0304 and U+0308 as characters of their own beside composed letters."""
    charset = PUBLISHED_CHARSETS["read2016"]
    text = unicodedata.normalize("NFC", text)
    tokenizer = HTRConvTextTokenizer.from_charset(charset, unicode_form="NFC")
    assert tokenizer.decode(ids(tokenizer, text), group_tokens=False) == text
    decomposed = unicodedata.normalize("NFD", text)
    assert ids(tokenizer, decomposed) == ids(tokenizer, text)
    assert unicodedata.normalize("NFD", tokenizer.decode(ids(tokenizer, decomposed), group_tokens=False)) == decomposed


# --- decoding ---


def test_collapse(tokenizer):
    a, b = ids(tokenizer, "ab")
    assert tokenizer.decode([0, a, a, 0, a, b, b, 0]) == "aab"
    assert tokenizer.batch_decode([[0, 0], [a] * 3, []]) == ["", "a", ""]
    assert tokenizer.decode([a, -100, -100]) == "a"  # Trainer pads predictions with -100
    assert tokenizer.decode([a, a, b], group_tokens=False) == "aab"


@pytest.mark.parametrize("text", ["hello", " aa  bb ", "", "'", "a" * 50])
def test_labels_round_trip(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text), group_tokens=False) == text


def test_offsets(tokenizer):
    a, b = ids(tokenizer, "ab")
    frames = [0, a, a, 0, b]
    assert tokenizer.decode(frames, output_char_offsets=True) == {
        "text": "ab",
        "char_offsets": [
            {"char": "a", "start_offset": 1, "end_offset": 3},
            {"char": "b", "start_offset": 4, "end_offset": 5},
        ],
    }


# --- growing ---


def test_added_characters_come_last(tokenizer, tmp_path):
    before = tokenizer.get_vocab()
    assert tokenizer.add_characters("aéß") == 2
    assert len(tokenizer) == len(before) + 2
    assert {token: tokenizer.get_vocab()[token] for token in before} == before
    assert tokenizer.decode(ids(tokenizer, "éß"), group_tokens=False) == "éß"
    tokenizer.save_pretrained(tmp_path)
    assert HTRConvTextTokenizer.from_pretrained(tmp_path).charset == tokenizer.charset
    with pytest.raises(ValueError, match="single character"):
        tokenizer.add_characters(["ü", "ab"])
    assert len(tokenizer) == tokenizer.vocab_size == len(before) + 2  # nothing was added


def test_characters_come_before_special_tokens(tokenizer):
    tokenizer.add_tokens(["<new>"], special_tokens=True)
    with pytest.raises(ValueError, match="before special tokens"):
        tokenizer.add_characters("é")


def test_bad_vocabulary_files(tmp_path):
    path = tmp_path / "vocab.json"
    for vocabulary, message in (
        ("{}", "without gaps"),
        ('{"<pad>": 0, "a": 2}', "without gaps"),
        ('{"a": 0, "<pad>": 1}', "names a special token"),
        ('{"<pad>": 0, "ab": 1}', "single character"),
    ):
        path.write_text(vocabulary)
        with pytest.raises(ValueError, match=message):
            HTRConvTextTokenizer(str(path))


def test_a_folder_without_vocabulary_is_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ValueError, match=r"vocab\.json"):
        HTRConvTextTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("group_tokens", [True, False])
def test_ids_outside_the_vocabulary_are_named(tokenizer, group_tokens):
    with pytest.raises(ValueError, match="Id 99 is outside the vocabulary of 29 classes"):
        tokenizer.decode([1, 99], group_tokens=group_tokens)
