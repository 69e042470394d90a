"""Rates, intervals, calibration and reports; every number of the small cases was worked out by hand."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from htr_convtext.data import TextPolicy, load_lines
from htr_convtext.evaluation import (
    WORD_TOKENIZERS,
    Prediction,
    compare,
    comparison_table,
    error_rates,
    load_runs,
    load_sets,
    measure,
    read_predictions,
    report_table,
    write_comparison,
    write_report,
)
from htr_convtext.evaluation.alignment import Piece, confusions, differences, visible
from htr_convtext.evaluation.calibration import reliability, risk_coverage
from htr_convtext.evaluation.intervals import group_lines, interval, resample
from htr_convtext.evaluation.measure import writable_characters
from tests.conftest import CHARSET, ROOT, run_script
from tests.test_data import write_image_folder


def predictions(*lines, source="a", **columns) -> list[Prediction]:
    """From pairs of ground truth and reading; `columns` hold one value a line."""
    return [
        Prediction(source, index, f"{index}.png", reference, text, **{
            "score": 0.5, **{name: values[index] for name, values in columns.items()}
        })
        for index, (reference, text) in enumerate(lines)
    ]  # fmt: skip


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


def test_lines_are_needed():
    with pytest.raises(ValueError, match="no lines"):
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


# --- pages ---


class Page(HTMLParser):
    """What a page asks for, and its tags."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.tags, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.links += [value for name, value in attributes if name.split(":")[-1] in ("src", "href", "srcset")]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text: str) -> Page:
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:image/")) for link in page.links), page.links
    assert not re.search(r"@import|url\((?!#)", text)
    return page


ODD = "<script>alert(1)</script> & $x$"


def test_report_page_is_self_contained(tmp_path):
    lines = predictions(
        (ODD, "<b>"), ("שלום", "שלם"), ("abc", "abc"), writer=[ODD, None, "w"], error=["<i>torn</i>", None, None]
    )
    lines += predictions(("ab", "x\u0303"), source="$set$")
    report = {"model": "<model>", "split": "test", **measure(lines, TextPolicy(abbreviations={"<": "&"}), CHARSET)}

    def image_of(line):
        if line.error:
            raise ValueError("torn")
        return Image.new("L", (9000, 3000), 200)

    write_report(report, lines, tmp_path / "report.html", image_of)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = check_page(text)
    assert page.tags.count("svg") == 4
    assert page.tags.count("img") == 2  # three lines have errors, one of them no image
    assert max(map(len, page.links)) < 20_000
    assert "i" not in page.tags
    assert "Unreadable images, counted as read as nothing: 1." in text
    assert "U+0303 combining tilde" in text


def test_report_page_without_errors(tmp_path):
    lines = predictions(("abc", "abc"))
    report = {"model": "m", "split": "test", **measure(lines, TextPolicy(), CHARSET)}
    write_report(report, lines, tmp_path / "report.html")
    assert "There are no errors" in (tmp_path / "report.html").read_text(encoding="utf-8")
    lines = predictions(("", ""))
    write_report({**report, **measure(lines, TextPolicy(), CHARSET)}, lines, tmp_path / "report.html")


# --- comparisons ---


def write_run(folder, lines: list[Prediction], policy=None) -> None:
    folder.mkdir()
    report = {"model": folder.name, "split": "test", **measure(lines, policy or TextPolicy(), CHARSET)}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "predictions.jsonl").write_text("".join(line.to_json() for line in lines))


@pytest.fixture
def lines() -> list[Prediction]:
    return predictions(*[("abcd", "abxd")] * 20, writer=list(map(str, range(20))), page=["p"] * 20)


def test_comparison(lines, tmp_path):
    better = [replace(line, text="abcd") if index % 2 else line for index, line in enumerate(lines)]
    write_run(tmp_path / "first", lines)
    write_run(tmp_path / "same", lines[::-1])  # the order of reading does not matter
    write_run(tmp_path / "better", better)
    runs = load_runs([tmp_path / name for name in ("first", "same", "better")])
    found = compare(runs)
    assert found["baseline"] == "first"
    assert found["sets"]["a"]["resampled"] == {"unit": "writers", "groups": 20}
    same, other = (found["sets"]["a"]["runs"][name] for name in ("same", "better"))
    assert set(same["difference"].values()) == {0}
    assert set(map(tuple, same["difference_intervals"].values())) == {(0, 0)}
    assert set(same["verdict"].values()) == {"unclear"}
    assert other["difference"]["cer"] == pytest.approx(-0.125)
    # Every line of the first has one error, so only the share of the lines set right varies.
    assert other["difference_intervals"]["cer"] == pytest.approx(np.array(other["intervals"]["cer"]) - 0.25)
    assert other["difference"]["line_accuracy"] == pytest.approx(0.5)
    assert (other["verdict"]["cer"], other["verdict"]["line_accuracy"]) == ("better", "better")
    assert found["all"]["line_errors"]["better"] == {"fewer": 10, "same": 10, "more": 0}
    assert compare(runs[::-1])["all"]["runs"]["first"]["verdict"]["wer_space"] == "worse"
    assert re.search(r"better +12\.50 .* -12\.50 +\[-\d.* better$", comparison_table(found), re.MULTILINE)

    write_comparison(found, runs, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == found
    text = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert check_page(text).tags.count("svg") == 2


def test_interval_of_one_model_is_the_same_in_a_comparison(lines, tmp_path):
    lines += [replace(line, source="b", text="abcd" if line.index < 5 else "") for line in lines]
    write_run(tmp_path / "first", lines)
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    found = compare(load_runs([tmp_path / "first"]))
    assert found["sets"]["b"]["runs"]["first"]["intervals"] == report["sets"]["b"]["intervals"]
    assert found["all"]["runs"]["first"]["intervals"] == report["all"]["intervals"]
    assert found["mean_of_sets"]["runs"]["first"]["intervals"] == report["all"]["mean_of_sets"]["intervals"]


def test_runs_that_cannot_be_compared(lines, tmp_path):
    write_run(tmp_path / "first", lines)
    write_run(tmp_path / "fewer", lines[:15])
    write_run(tmp_path / "other", [replace(lines[0], reference="other"), *lines[1:]])
    write_run(tmp_path / "policy", lines, TextPolicy(long_s="s"))
    for name, message in [
        ("fewer", "same lines: 5 are only in the first, 0 only"), ("other", r"ground truth \(1 lines differ"),
        ("policy", "--text-policy"), ("gone", "predictions.jsonl: No such file"), ("first", "given twice"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            load_runs([tmp_path / "first", tmp_path / name])
    with (tmp_path / "first" / "predictions.jsonl").open("a") as stream:
        stream.write('{"source": "a", "ind')
    with pytest.raises(ValueError, match="interrupted"):
        read_predictions(tmp_path / "first")
    (tmp_path / "other" / "report.json").unlink()
    with pytest.raises(ValueError, match=r"report\.json"):
        load_runs([tmp_path / "other"])


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
    with pytest.raises(ValueError, match="given twice"):
        load_sets([sources[0], sources[0]], "test")


# --- scripts/evaluate.py ---


def test_script(model_folder, tmp_path):
    data, out = tmp_path / "words", tmp_path / "out"
    write_image_folder(data, "validation", ["one", "two  words", "Drei", "ſix"])
    (data / "validation" / "2.png").write_bytes(b"no image")
    (tmp_path / "policy.json").write_text('{"long_s": "s"}')
    done = run_script(
        "evaluate.py", "--model", model_folder, "--data", data, "--split", "validation", "--output", out,
        "--text-policy", tmp_path / "policy.json", "--device", "cpu", "--picture", tmp_path / "read.png",
    )  # fmt: skip
    assert Image.open(tmp_path / "read.png").size == (1200, 360)  # three of four lines could be opened
    assert "long s: s" in done.stdout
    assert "read as nothing" in done.stderr
    assert "2.png" in done.stderr
    read = {line.name.split("/")[-1]: line for line in read_predictions(out)}
    assert {name: line.reference for name, line in read.items()} == {
        "0.png": "one", "1.png": "two words", "2.png": "Drei", "3.png": "six"
    }  # fmt: skip
    assert (read["2.png"].text, read["2.png"].score) == ("", 0)
    report = json.loads((out / "report.json").read_text())
    numbers = report["sets"]["words"]
    assert report["policy"]["long_s"] == "s"
    assert (numbers["lines"], numbers["unreadable"], numbers["characters"]) == (4, 1, 19)
    assert numbers["outside_charset"]["counts"] == {"D": 1}
    assert numbers["cer"] == pytest.approx(
        error_rates([line.reference for line in read.values()], [line.text for line in read.values()]).cer
    )
    assert check_page((out / "report.html").read_text(encoding="utf-8")).tags.count("img") == 3

    (tmp_path / "again").mkdir()
    for name in ("predictions.jsonl", "report.json"):
        (tmp_path / "again" / name).write_bytes((out / name).read_bytes())
    done = run_script("evaluate.py", "--compare", out, tmp_path / "again", "--output", tmp_path / "compared")
    assert "+0.00  [+0.00, +0.00]  unclear" in done.stdout
    assert (tmp_path / "compared" / "compare.html").exists()

    done = run_script("evaluate.py", "--model", model_folder, "--data", data, "--device", "cpu", expect=1)
    assert "words has no lines in a test split" in done.stderr
    assert "Traceback" not in done.stderr
