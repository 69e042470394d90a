"""The page of a report, runs against each other, and the script that makes them."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from htr_convtext.evaluation import (
    Prediction,
    alignment,
    compare,
    comparison_table,
    error_rates,
    evaluate,
    load_runs,
    load_sets,
    measure,
    read_predictions,
    write_comparison,
    write_report,
)
from htr_convtext.evaluation.metrics import RATES
from htr_convtext.recognizer import load_recognizer
from tests.helpers import CHARSET, call_script, predictions, write_image_folder


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
            raise InputError("torn")
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


def test_report_page_has_greedy_figures_beside_the_others(tmp_path):
    lines = predictions(("abcd", "abcd"), ("abcd", "abxd"), greedy=["xxcd", "abxd"])
    lines += predictions(("ab", "ab"), source="b", greedy=["ab"])
    report = {"model": "m, lm", "split": "test", **measure(lines, TextPolicy(), CHARSET)}
    write_report(report, lines, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    check_page(text)
    cells = re.findall(r"<td>([\d.+-]+)", text[text.index("Beside greedy decoding") : text.index('id="errors"')])
    assert cells[:3] == ["37.50", "12.50", "-25.00"]
    assert cells[-6:-3] == ["18.75", "6.25", "-12.50"]  # the mean of the sets
    assert "<br>greedy 30.00" in text  # of all lines
    assert "xxcd" not in text  # pictures and worst lines are of the decoder in use


def test_reports_tell_what_was_to_be_expected_of_a_calibrated_model(calibrated_folder, model_folder, tmp_path):
    write_image_folder(tmp_path / "data", "test", ["some words", "more", "a third"])
    calibrated, other = (load_recognizer(folder, "cpu", "greedy") for folder in (calibrated_folder, model_folder))
    sets = load_sets([tmp_path / "data"], "test")
    (found,) = evaluate(calibrated, sets, output=tmp_path / "out").report["sets"].values()
    lines = [reading.confidence for reading in calibrated.read(line["image"] for line in sets["data"])]
    expected = calibrated.calibration.expected_cer(lines, range(3))  # each line a page
    assert found["expected_cer"]["cer"] == pytest.approx(expected.cer, rel=1e-4)
    assert found["expected_cer"]["high"] == pytest.approx(expected.high, rel=1e-4)
    kept = read_predictions(tmp_path / "out")
    assert [line.confidence.errors for line in kept] == pytest.approx([line.errors for line in lines], rel=1e-4)
    assert f"<td>{100 * expected.cer:.2f}<small" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")

    (found,) = evaluate(other, sets, output=tmp_path / "out").report["sets"].values()
    assert "expected_cer" not in found
    assert "without ground truth" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


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
    assert other["difference"]["ned"] == pytest.approx(0.125)
    assert (other["verdict"]["ned"], other["verdict"]["line_accuracy_caseless"]) == ("better", "better")
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


def test_predictions_from_before_greedy_readings_stood_beside_them(lines, tmp_path):
    write_run(tmp_path / "now", [replace(line, greedy="abcd") for line in lines])
    write_run(tmp_path / "old", lines)
    rows = [json.loads(line.to_json()) for line in lines]
    assert all(row.pop("greedy", "") is None for row in rows)
    (tmp_path / "old" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = compare(load_runs([tmp_path / "old", tmp_path / "now"]))
    assert set(found["all"]["runs"]["now"]["difference"].values()) == {0}


def test_runs_that_cannot_be_compared(lines, tmp_path):
    write_run(tmp_path / "first", lines)
    write_run(tmp_path / "fewer", lines[:15])
    write_run(tmp_path / "other", [replace(lines[0], reference="other"), *lines[1:]])
    write_run(tmp_path / "policy", lines, TextPolicy(long_s="s"))
    for name, message in [
        ("fewer", "same lines: 5 are only in the first, 0 only"), ("other", r"ground truth \(1 lines differ"),
        ("policy", "--text-policy"), ("gone", "predictions.jsonl: No such file"), ("first", "given twice"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            load_runs([tmp_path / "first", tmp_path / name])
    with (tmp_path / "first" / "predictions.jsonl").open("a") as stream:
        stream.write('{"source": "a", "ind')
    with pytest.raises(InputError, match="interrupted"):
        read_predictions(tmp_path / "first")
    (tmp_path / "other" / "report.json").unlink()
    with pytest.raises(InputError, match=r"report\.json"):
        load_runs([tmp_path / "other"])


def test_a_line_is_aligned_once_for_a_report_and_its_page(lines, tmp_path, monkeypatch):
    aligned, align = [], alignment.align

    def counted(references, *arguments):
        aligned.extend(references)
        return align(references, *arguments)

    monkeypatch.setattr(alignment, "align", counted)
    report = {"model": "m", "split": "test", **measure(lines, TextPolicy(), CHARSET)}
    write_report(report, lines, tmp_path / "report.html")
    assert len(aligned) == len(lines)


# --- scripts/evaluate.py and compare.py ---


def test_script(model_folder, tmp_path):
    data, out = tmp_path / "words", tmp_path / "out"
    write_image_folder(data, "validation", ["one", "two  words", "Drei", "ſix"])
    (data / "validation" / "2.png").write_bytes(b"no image")
    (tmp_path / "policy.json").write_text('{"long_s": "s"}')
    done = call_script(
        "evaluate.py", "--model", model_folder, "--data", data, "--split", "validation", "--output", out,
        "--text-policy", tmp_path / "policy.json", "--device", "cpu", "--picture", tmp_path / "read.png",
    )  # fmt: skip
    # three of four lines could be opened; matplotlib's versions round differently
    assert Image.open(tmp_path / "read.png").size == pytest.approx((1200, 360), abs=1)
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
    done = call_script("compare.py", out, tmp_path / "again", "--output", tmp_path / "compared")
    assert "+0.00  [+0.00, +0.00]  unclear" in done.stdout
    assert (tmp_path / "compared" / "compare.html").exists()

    done = call_script(
        "evaluate.py", "--model", model_folder, "--data", data, "--split", "validation", "--output", tmp_path / "beam",
        "--decoder", "beam", "--device", "cpu", "--text-policy", tmp_path / "policy.json",
    )  # fmt: skip
    beam = json.loads((tmp_path / "beam" / "report.json").read_text())
    assert beam["model"] == f"{model_folder}, beam"
    assert "greedy CER %" in done.stdout
    assert "greedy" not in numbers
    assert beam["sets"]["words"]["greedy"] == {name: numbers[name] for name in (*RATES, "intervals")}
    assert {line.name.split("/")[-1]: line.greedy or "" for line in read_predictions(tmp_path / "beam")} == {
        name: line.text for name, line in read.items()
    }

    done = call_script("evaluate.py", "--model", model_folder, "--data", data, "--device", "cpu", expect=1)
    assert "words has no lines in a test split" in done.stderr
    assert "Traceback" not in done.stderr
