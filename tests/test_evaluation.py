"""Rates, intervals, calibration and reports; every number of the small cases was worked out by hand."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from htr_convtext.data import TextPolicy, load_lines
from htr_convtext.documents import Page, PageLine, Region
from htr_convtext.errors import InputError
from htr_convtext.evaluation import (
    WORD_TOKENIZERS,
    error_rates,
    load_sets,
    measure,
    report_table,
)
from htr_convtext.evaluation.alignment import Piece, confusions, differences, visible
from htr_convtext.evaluation.calibration import reliability, risk_coverage
from htr_convtext.evaluation.intervals import group_lines, interval, resample
from htr_convtext.evaluation.measures import writable_characters
from htr_convtext.evaluation.pages import measure_page
from tests.helpers import CHARSET, ROOT, predictions, write_image_folder


def measure_lines(*lines, charset=CHARSET, **columns) -> dict:
    return measure(predictions(*lines, **columns), TextPolicy(), charset)["all"]


# --- rates ---


@pytest.mark.parametrize(
    ("references", "texts", "cer", "wer"),
    [
        (["abc"], ["abc"], 0, 0),
        (["abc "], ["abc"], 1 / 4, 0),  # spaces at the ends count as characters
        (["a b"], ["a c"], 1 / 3, 1 / 2),
        (["ab", "abcdefgh"], ["", "abcdefgh"], 2 / 10, 1 / 2),  # micro: by characters, not by lines
        (["é"], ["e"], 1, 1),
        ([""], ["ab c"], 4, 2),  # nothing to read: as if there were one character, one word
        ([""], [""], 0, 0),
    ],
)
def test_error_rates(references, texts, cer, wer):
    rates = error_rates(references, texts)
    assert (rates.cer, rates.wer) == (pytest.approx(cer), pytest.approx(wer))


@pytest.mark.parametrize(("references", "texts"), [([], []), (["a"], [])])
def test_error_rates_need_lines(references, texts):
    with pytest.raises(ValueError, match=f"{len(references)} references"):
        error_rates(references, texts)


def test_published_words_are_the_published_ones():
    golden = np.load(ROOT / "tests/parity/golden.npz")
    assert len(golden["wer_in"]) == 3
    for text, expected in zip(golden["wer_in"], golden["wer_out"], strict=True):
        assert WORD_TOKENIZERS["published"](str(text)) == str(expected).split(" ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 5,000 miles - no?", {"space": 5, "published": 10, "unicode": 4}),
        ("l'eau, d’été", {"space": 2, "published": 5, "unicode": 2}),
        ("שלום עולם", {"space": 2, "published": 2, "unicode": 2}),
        (" - ", {"space": 1, "published": 1, "unicode": 0}),
        ("", {"space": 0, "published": 0, "unicode": 0}),
    ],
)
def test_words(text, words):
    assert {name: len(tokenize(text)) for name, tokenize in WORD_TOKENIZERS.items()} == words


def test_numbers_of_a_report():
    report = measure_lines(("abcd", "abxd"), ("no, 'tis", "no tis"), ("ab", "ab"), ("", "a"))
    # Errors: b c/x; two missed (, and '); none; one added. Characters: 4 + 8 + 2 + 0.
    assert (report["substitutions"], report["deletions"], report["insertions"]) == (1, 2, 1)
    assert report["characters"] == 14
    assert report["cer"] == pytest.approx(4 / 14)
    assert report["macro_cer"] == pytest.approx((1 / 4 + 2 / 8 + 0) / 3)  # the line without ground truth has no CER
    assert report["words"] == {"space": 4, "published": 6, "unicode": 4}
    assert report["wer_space"] == pytest.approx((1 + 2 + 0 + 1) / 4)
    assert report["wer_published"] == pytest.approx((1 + 2 + 0 + 1) / 6)  # no , ' tis | no tis
    assert report["wer_unicode"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert report["line_accuracy"] == pytest.approx(1 / 4)
    assert report["outside_charset"] == {
        "characters": 1,
        "floor": pytest.approx(1 / 14),
        "lines": 1,
        "counts": {",": 1},
    }
    assert [(row["from"], row["to"], row["lines"], row["cer"]) for row in report["by_length"]] == [
        (1, 10, 3, pytest.approx(3 / 14))
    ]


def test_accuracy_and_similarity():
    lines = [("The", "the"), ("straße", "STRASSE"), ("abcd", "abxde"), ("abc", "a"), ("", "ab"), ("", "")]
    report = measure_lines(*lines)
    assert report["line_accuracy"] == pytest.approx(1 / 6)
    assert report["line_accuracy_caseless"] == pytest.approx(3 / 6)
    # straße, STRASSE: 7 errors on 7 characters. What is read beside the ground truth lengthens the longer text.
    similarities = [2 / 3, 0, 1 - 2 / 5, 1 / 3, 0, 1]
    assert report["ned"] == pytest.approx(sum(similarities) / 6)
    rates = error_rates(*zip(*lines, strict=True))
    names = {"accuracy": "line_accuracy", "accuracy_caseless": "line_accuracy_caseless", "ned": "ned"}
    assert {name: getattr(rates, name) for name in names} == {name: report[key] for name, key in names.items()}
    assert report["intervals"]["ned"][0] < report["ned"] < report["intervals"]["ned"][1]
    assert set(report["intervals"]) <= set(measure(predictions(*lines), TextPolicy(), CHARSET)["definitions"])


def test_table_has_accuracy_and_similarity():
    table = report_table(measure(predictions(("Ab", "ab"), ("cd", "cd")), TextPolicy(), CHARSET))
    assert re.search(r"lines right % +caseless % +1 − NED %\n.* 50\.00 +100\.00 +75\.00$", table)


def test_mean_of_the_sets():
    lines = predictions(("ab", "ab"), ("ab", "ab"), ("ab", "ab")) + predictions(("ab", "xx"), source="b")
    report = measure(lines, TextPolicy(), CHARSET)
    assert list(report["sets"]) == ["a", "b"]
    assert report["all"]["cer"] == pytest.approx(2 / 8)
    assert report["all"]["mean_of_sets"]["cer"] == pytest.approx((0 + 1) / 2)
    assert report["all"]["mean_of_sets"]["intervals"]["cer"] == [0.5, 0.5]  # each set is resampled by itself
    table = report_table(report)
    assert re.search(r"^mean of the sets +50\.00", table, re.MULTILINE)
    assert re.search(r"^a +3 +0\.00", table, re.MULTILINE)


def test_greedy_figures_beside_those_of_another_decoder():
    lines = [("ab", "ab"), ("cd", "cx"), ("ab cd", "ab cd"), ("ef", "")]
    greedy = ["ax", "cx", "xx cd", None]  # the last could not be opened
    columns = {"greedy": greedy, "error": [None, None, None, "torn"], "page": ["1", "2", "3", "4"]}
    both = predictions(*lines, **columns) + predictions(("ab", "xx"), source="b", greedy=["ab"])
    alone = [replace(line, greedy=None) for line in both]
    report, before = (measure(found, TextPolicy(), CHARSET) for found in (both, alone))
    assert "greedy" not in before["all"]
    assert "difference" not in before["all"]
    numbers = report["sets"]["a"]
    assert numbers["cer"] == pytest.approx(3 / 11)
    assert numbers["greedy"]["cer"] == pytest.approx(6 / 11)
    assert numbers["greedy"]["wer_space"] == pytest.approx(4 / 5)
    assert numbers["difference"]["cer"] == pytest.approx(-3 / 11)
    mean = report["all"]["mean_of_sets"]
    assert mean["greedy"]["cer"] == pytest.approx((6 / 11 + 0) / 2)
    assert mean["difference"]["cer"] == pytest.approx(mean["cer"] - mean["greedy"]["cer"])
    assert report["sets"]["b"]["verdict"]["cer"] == "worse"
    # what the decoder itself did does not depend on it
    for name in ("all", "sets"):
        assert _without_greedy(report[name]) == before[name]


def _without_greedy(numbers):
    names = ("greedy", "difference", "difference_intervals", "verdict")
    if not isinstance(numbers, dict):
        return numbers
    return {name: _without_greedy(value) for name, value in numbers.items() if name not in names}


def test_difference_from_greedy_is_paired():
    """Where as many errors go on each line, its interval has no width, however much the lines differ."""
    pairs = [("abcdefghij" * 2, "x" * errors + ("abcdefghij" * 2)[errors:]) for errors in range(1, 11)]
    greedy = ["x" * (errors + 2) + ("abcdefghij" * 2)[errors + 2 :] for errors in range(1, 11)]
    report = measure(predictions(*pairs, greedy=greedy), TextPolicy(), CHARSET)["all"]
    low, high = report["intervals"]["cer"]
    assert high - low > 0.1
    assert report["difference_intervals"]["cer"] == pytest.approx([-0.1, -0.1])
    assert report["verdict"]["cer"] == "better"


def test_table_beside_greedy_decoding():
    lines = predictions(("ab cd", "ab cd"), greedy=["xb cd"]) + predictions(("ab", "xb"), source="b", greedy=["ab"])
    table = report_table(measure(lines, TextPolicy(), CHARSET))
    first, second = table.split("\n\n")
    assert "greedy" not in first
    assert re.search(r"^ +greedy CER % .* difference +\[95 %\] +greedy WER %", second)
    assert re.search(r"^a +20\.00 +\[20\.00, 20\.00\] +0\.00 +-20\.00 .* 50\.00 .* -50\.00", second, re.MULTILINE)
    assert re.search(r"^mean of the sets +10\.00 .* 25\.00 +\+15\.00", second, re.MULTILINE)


def test_lines_are_needed():
    with pytest.raises(InputError, match="no lines"):
        measure([], TextPolicy(), CHARSET)


def test_characters_that_can_be_written():
    assert writable_characters("ab\u0301", TextPolicy(), ["aác"]) == {"a", "á"}  # by its parts
    assert writable_characters("á", TextPolicy(unicode_form="NFD"), ["a\u0301"]) == {"a", "\u0301"}
    assert writable_characters("ſ", TextPolicy(long_s="s"), ["s"]) == {"s"}
    assert writable_characters("ab", TextPolicy(), ["á"]) == set()


# --- differences ---


def test_differences_and_confusions():
    lines = differences(["abcd", "e", ""], ["axc", "e", " "])
    assert lines[0] == [
        Piece("equal", "a", "a"), Piece("substitute", "b", "x"), Piece("equal", "c", "c"), Piece("delete", "d", "")
    ]  # fmt: skip
    assert lines[1] == [Piece("equal", "e", "e")]
    assert confusions(lines) == {("b", "x"): 1, ("d", ""): 1, ("", " "): 1}


def test_unseen_characters_are_shown():
    assert visible("a b") == "a␣b"
    assert visible("\u0303n\u0303") == "◌\u0303n\u0303"
    assert visible("\u200f\u00a0") == "[U+200F][U+00A0]"


# --- intervals ---


@pytest.mark.parametrize(
    ("writers", "pages", "unit", "groups"),
    [(10, 20, "writers", 10), (9, 20, "pages", 20), (1, 1, "lines", 40), (None, None, "lines", 40)],
)
def test_groups(writers, pages, unit, groups):
    column = {"writer": writers, "page": pages}
    lines = pd.DataFrame({name: [str(i % n) if n else None for i in range(40)] for name, n in column.items()})
    found, labels = group_lines(lines)
    assert (found, labels.nunique()) == (unit, groups)


def test_lines_without_a_writer_are_groups_of_their_own():
    lines = pd.DataFrame({"writer": [*map(str, range(10)), "0", None, None], "page": None})
    assert group_lines(lines)[1].nunique() == 12


def test_interval_has_the_width_of_theory():
    """A share of 0.3 among 400 lines has a standard error of 0.0229; lines of one group move together."""
    counts = pd.DataFrame({"wrong": np.arange(400) % 10 < 3})
    widths = []
    for groups in (pd.Series(range(400)), pd.Series(np.arange(400) // 10 % 2 * 1000 + np.arange(400) % 10)):
        draws = resample(counts, groups, np.random.default_rng(0))["wrong"] / 400
        low, high = interval(draws)
        assert low < 0.3 < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(2 * 1.96 * 0.0229, rel=0.1)
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 20), rel=0.15)


def test_intervals_are_the_same_each_time():
    lines = [("abc", "abc"[: i % 4]) for i in range(30)]
    first, again = (measure_lines(*lines)["intervals"] for _ in range(2))
    assert first == again
    assert first["cer"][0] < 0.5 < first["cer"][1]
    assert measure_lines(("ab", "ac"))["intervals"]["cer"] == [0.5, 0.5]  # one line tells nothing of others


# --- calibration ---


def test_reliability():
    found = reliability([0.95, 1.0, 0.91, 0.25], [1, 1, 0, 1], [1, 1, 1, 1])
    assert [(row["from"], row["total"]) for row in found["bins"]] == [(0.2, 1), (0.9, 3)]
    assert found["bins"][1]["right"] == pytest.approx(2 / 3)
    assert found["bins"][1]["score"] == pytest.approx(2.86 / 3)
    assert found["ece"] == pytest.approx((0.75 + abs(2 - 2.86)) / 4)
    weighted = reliability([0.5, 0.7], [5, 0], [10, 0])  # an empty reading has no characters
    assert weighted == {"ece": 0, "bins": [{"from": 0.5, "to": 0.6, "total": 10, "score": 0.5, "right": 0.5}]}


def test_risk_against_coverage():
    found = risk_coverage([0.2, 0.9, 0.5, 0.7], [4, 0, 2, 1], [5, 10, 5, 10], points=4)
    assert [row["coverage"] for row in found] == [0.25, 0.5, 0.75, 1]
    assert [row["risk"] for row in found] == pytest.approx([0, 1 / 20, 3 / 25, 7 / 30])
    assert [row["score"] for row in found] == [0.9, 0.7, 0.5, 0.2]


def test_calibration_of_characters():
    found = measure_lines(("abcd", "abxd"), ("ab", "abc"), score=[0.8, 0.9])["calibration"]
    assert [row["right"] for row in found["characters"]["bins"]] == pytest.approx([3 / 4, 2 / 3])
    assert found["lines"]["ece"] == pytest.approx(0.85)


# --- metrics for Hugging Face evaluate ---


def test_metrics_of_evaluate():
    pytest.importorskip("evaluate")
    from htr_convtext.evaluation.hf_metrics import CharacterErrorRate, WordErrorRate

    texts = {"references": ["a b, c", "d "], "predictions": ["a b c", "d"]}
    assert CharacterErrorRate().compute(**texts) == {"cer": pytest.approx(2 / 8)}
    assert WordErrorRate().compute(**texts) == {"wer": pytest.approx(1 / 4)}
    assert WordErrorRate().compute(**texts, tokenizer="published") == {"wer": pytest.approx(1 / 5)}
    assert WordErrorRate().compute(**texts, tokenizer="unicode") == {"wer": 0}
    metric = CharacterErrorRate()
    for reference, text in zip(*texts.values(), strict=True):
        metric.add_batch(references=[reference], predictions=[text])
    assert metric.compute() == {"cer": pytest.approx(2 / 8)}
    with pytest.raises(ValueError, match="'letters'"):
        WordErrorRate().compute(**texts, tokenizer="letters")


# --- pages ---


def test_marked_lines_without_transcription_are_left_out():
    """With what was found in their place; what was found elsewhere stays an error."""

    def line(name: str, text: str, top: int) -> PageLine:
        return PageLine(name, text, [(0, top), (100, top), (100, top + 20), (0, top + 20)], [])

    def page(*texts: str) -> Page:
        lines = [line(str(index), text, 30 * index) for index, text in enumerate(texts)]
        return Page("", 100, 100, [Region("r", [], lines)])

    truth, found = page("abc", "", " \x02"), page("abd", "xxxx", "yy")
    measure = measure_page(truth, found, found, TextPolicy())
    assert (measure.lines, measure.detected, measure.matched, measure.without_text) == (1, 1, 1, 2)
    assert (measure.errors, measure.characters, measure.given_errors) == (1, 3, 1)
    assert measure_page(page("abc"), found, page("abc"), TextPolicy()).errors == 1 + len(" xxxx yy")


# --- sets ---


def test_sets_keep_their_names(tmp_path):
    """Of prepared data, several sources under one roof; a name that is taken gets its path."""
    for folder in ("x", "y"):
        write_image_folder(tmp_path / folder / "words", "test", ["one"])
    merged = load_lines(tmp_path / "x" / "words", "test").remove_columns("source").select([0, 0, 0])
    (tmp_path / "merged").mkdir()
    merged.add_column("source", ["b", "a", "b"]).to_parquet(tmp_path / "merged" / "test.parquet")
    sources = [tmp_path / "x" / "words", tmp_path / "y" / "words", tmp_path / "merged"]
    sets = load_sets(sources, "test")
    assert {name: len(lines) for name, lines in sets.items()} == {
        "words": 1, f"{tmp_path / 'y' / 'words'}: words": 1, "b": 2, "a": 1
    }  # fmt: skip
    assert load_sets(sources[:1], "validation") == {str(sources[0]): None}
    with pytest.raises(InputError, match="given twice"):
        load_sets([sources[0], sources[0]], "test")
