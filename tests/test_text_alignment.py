"""Texts that are known: where they are in a line, and whether they fit it."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from htr_convtext import InputError
from htr_convtext.data import load_splits
from htr_convtext.decoding.alignment import ALLOWANCE, align, worst_stretch
from htr_convtext.evaluation import audit
from htr_convtext.evaluation.audit import reason_of
from htr_convtext.loading import load_model
from htr_convtext.recognizer import Recognizer
from htr_convtext.text_alignment import TOO_LONG, UNREADABLE, align_lines, align_text
from tests.helpers import ROOT, build_attention_htr, call_script, draw_line, write_image_folder
from tests.test_reports import check_page


EXAMPLE = ROOT / "examples" / "fr_1.jpg"
TEXT = "Le marché ouvre à sept heures précises."
LINES = ["Der Mann geht heute", "in die Stadt hinein", "und sucht den Brief", "den er gestern verlor"]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(*load_model(), device="cpu")


# --- where ---


def test_the_worst_stretch_is_where_the_path_is_least_probable():
    probabilities = np.full((6, 3), 0.05)
    for frame, index in enumerate((0, 1, 0, 1, 0, 0)):
        probabilities[frame, index] = 0.9
    loss, stretch = worst_stretch(probabilities, align(probabilities, [1, 2]))
    assert stretch == (3, 4)
    np.testing.assert_allclose(loss, np.log(0.9 / 0.05) - ALLOWANCE)
    assert worst_stretch(probabilities, align(probabilities, [1, 1])) == (0.0, (0, 0))
    probabilities[:, 2] = 0.0  # that the model rules a character out is no reason to stop
    assert 80 < worst_stretch(probabilities, align(probabilities, [1, 2]))[0] < 100


def test_words_and_characters_have_their_columns(recognizer, monkeypatch):
    monkeypatch.setattr(recognizer.processor, "calibrations", {})  # scores of alignments are not calibrated
    line = align_text(recognizer, EXAMPLE, f"  {TEXT}\n")
    (reading,) = recognizer.read([EXAMPLE])
    assert line.text == "".join(each.char for each in line.characters) == TEXT
    assert [word.char for word in line.words] == TEXT.split()
    assert line.reading == reading.text
    assert line.reading_score == pytest.approx(reading.score)
    width = Image.open(EXAMPLE).width
    ends = [place for word in line.words for place in (word.start, word.end)]
    assert ends == sorted(ends)
    assert width / 50 < ends[0] < width / 10
    assert width * 0.9 < ends[-1] < width
    if line.reading == TEXT:  # then the best path of the text is the best of all, or as good
        for found, read in zip(line.characters, reading.characters, strict=True):
            assert (found.start, found.end) == pytest.approx((read.start, read.end), abs=width / 50)
    letters = [each.score for each in line.characters[:2]]
    assert line.words[0].score == pytest.approx(sum(letters) / 2)


def test_what_does_not_fit_is_found_where_it_is(recognizer):
    right, wrong = align_lines(recognizer, [(EXAMPLE, TEXT), (EXAMPLE, TEXT.replace("ouvre", "chien"))])
    assert right.misfit < 0.1 < 0.4 < wrong.misfit
    ouvre = right.words[2]
    middle = sum(wrong.stretch) / 2
    assert ouvre.start - 20 < middle < ouvre.end + 20
    assert wrong.score < right.score


def test_texts_that_cannot_be_aligned_are_named(recognizer, tmp_path):
    for text, message in (("Le 一 marché", "一.*U\\+4E00"), (" ", "empty"), ("x" * 400, "400 characters, more than")):
        with pytest.raises(InputError, match=message):
            align_text(recognizer, EXAMPLE, text)
    with pytest.raises(InputError, match="no such file"):
        align_text(recognizer, tmp_path / "none.png", TEXT)
    with pytest.raises(InputError, match="by CTC"):
        next(align_lines(Recognizer(*build_attention_htr(), device="cpu"), [(EXAMPLE, TEXT)]))


def test_lines_come_in_their_order_whatever_their_shape(recognizer):
    """Two of them cannot be aligned; the characters that the model does not know are named and left out."""
    counted = Counter(recognizer.processor.tokenizer.unknown_counts)
    images = [draw_line(LINES[0]), b"", draw_line("Stadt"), draw_line("a"), draw_line(LINES[1])]
    images[1] = {"bytes": b"no image", "path": "torn.png"}
    texts = [f"{LINES[0]}一", "torn", "Stadt", "x" * 100, LINES[1]]
    lines = list(align_lines(recognizer, zip(images, texts, strict=True), batch_size=2))
    assert [line.error for line in lines] == [None, UNREADABLE, None, TOO_LONG, None]
    assert [line.unknown for line in lines] == ["一", "", "", "", ""]
    assert ["".join(each.char for each in line.characters) for line in lines] == [LINES[0], "", "Stadt", "", LINES[1]]
    assert lines[3].reading
    assert recognizer.processor.tokenizer.unknown == "error"
    assert recognizer.processor.tokenizer.unknown_counts == counted


def test_the_program_shows_words_and_characters(tmp_path):
    done = call_script("align.py", EXAMPLE, TEXT)
    rows = [row.split(maxsplit=3) for row in done.stdout.splitlines()]
    texts = [row[24:] for row in done.stdout.splitlines()[1:-1]]
    assert [text for text in texts if not text.startswith("  ")] == TEXT.split()
    assert len(rows) == 2 + len(TEXT.replace(" ", "")) + len(TEXT.split())
    found = json.loads(call_script("align.py", EXAMPLE, TEXT, "--json").stdout)
    assert found["words"][0] == {"text": "Le", **{key: pytest.approx(float(value), abs=0.06) for key, value in zip(
        ("start", "end", "score"), rows[1], strict=False
    )}}  # fmt: skip
    done = call_script("align.py", EXAMPLE, "一", expect=1)
    assert done.stderr.startswith("align.py: The model does not know '一'")
    assert len(done.stderr.splitlines()) == 1
    for arguments in ([], [EXAMPLE], [EXAMPLE, TEXT, "--data", "x"]):
        assert "give an image and its text" in call_script("align.py", *arguments, expect=2).stderr


def test_a_data_set_is_aligned_line_by_line(tmp_path):
    write_image_folder(tmp_path / "lines", "train", [*LINES[:2], "一"])
    output = tmp_path / "positions.jsonl"
    done = call_script("align.py", "--data", tmp_path / "lines", "--output", output, expect=1)
    rows = [json.loads(row) for row in output.read_text(encoding="utf-8").splitlines()]
    assert "1 lines could not be aligned: unknown character" in done.stderr
    assert [row["text"] for row in rows] == [*LINES[:2], "一"]
    assert [word["text"] for word in rows[1]["words"]] == LINES[1].split()
    assert (rows[2]["error"], rows[2]["index"]) == ("unknown character", 2)


# --- whether it fits ---


@pytest.mark.parametrize(
    ("transcription", "reading", "reason"),
    [
        ("abc", "abc", "agrees"),
        ("", "abc", "no transcription"),
        ("abc", "", "nothing read"),
        ("in die Stadt", "den er gestern", "another text"),
        ("in die Stadt", "in die Stadt hinein", "text is not transcribed"),
        ("in", "in die Stadt", "text is not transcribed"),
        ("in die die Stadt", "in die Stadt", "text is not in the image"),
        ("in die Stadt", "in dic Stadt", "differs"),
    ],
)
def test_differences_have_names(transcription, reading, reason):
    assert reason_of(transcription, reading) == reason


def test_faults_come_first(recognizer):
    """Each fault among the same lines as they are: another text, words missing, doubled and cut off."""
    for fault in ("in die Stadt hinein", "Der geht heute", "Der Mann Mann geht heute", "Der Mann"):
        texts = [fault, *LINES]
        images = [draw_line(text) for text in (LINES[0], *LINES)]
        found = list(align_lines(recognizer, zip(images, texts, strict=True)))
        assert found[0].misfit > 2 * max(line.misfit for line in found[1:]), fault


def test_every_line_is_ranked_and_the_worst_are_shown(tmp_path):
    texts = [*LINES, "<b>", "", "x" * 400, f"{LINES[3]} 一"]
    write_image_folder(tmp_path / "lines", "train", texts)
    write_image_folder(tmp_path / "lines", "test", LINES[:1])
    folder = tmp_path / "lines" / "train"
    draw_line(LINES[2]).save(folder / "0.png")
    draw_line(LINES[1]).save(folder / "5.png")  # has no text
    draw_line("a").save(folder / "6.png")
    (folder / "1.png").write_bytes(b"torn")
    done = call_script("audit.py", tmp_path / "lines", "--output", tmp_path / "audit", "--worst", 6)
    rows = [json.loads(row) for row in (tmp_path / "audit" / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["rank"] for row in rows] == list(range(1, 10))
    assert sorted((row["split"], row["index"]) for row in rows) == [("test", 0), *(("train", n) for n in range(8))]
    reasons = {(row["split"], row["index"]): row["reason"] for row in rows}
    assert (rows[0]["index"], rows[0]["reason"], rows[0]["misfit"]) == (6, "more characters than frames", None)
    assert {(row["index"], row["reason"]) for row in rows[1:3]} == {(0, "another text"), (5, "no transcription")}
    assert (rows[-1]["index"], rows[-1]["reason"]) == (1, "unreadable image")
    assert reasons["test", 0] in ("agrees", "differs")
    assert [row["unknown"] for row in rows if row["unknown"]] == ["一"]
    assert all(0 <= row["stretch"][0] < row["stretch"][1] <= row["width"] for row in rows if row["stretch"])

    text = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    page = check_page(text)
    assert page.tags.count("img") == 6
    assert "Images that cannot be read" in text
    assert "Audit of 9 lines" in text
    assert "another text" in done.stdout
    assert f"{tmp_path / 'audit' / 'audit.html'}: 6 of 9 lines" in done.stdout


def test_sources_that_cannot_be_audited_are_named(tmp_path):
    write_image_folder(tmp_path / "lines", "train", LINES[:1])
    done = call_script("audit.py", tmp_path / "lines", "--split", "test", "--output", tmp_path / "out", expect=1)
    assert "none of the data sets has lines in a test split" in done.stderr
    done = call_script("audit.py", *[tmp_path / "lines"] * 2, "--output", tmp_path / "out", expect=1)
    assert "given twice" in done.stderr
    assert not (tmp_path / "out").exists()
    sets = load_splits([tmp_path / "lines"], "train")
    assert [key[1] for key in sets] == ["train"]
    with pytest.raises(InputError, match="by CTC"):
        audit(Recognizer(*build_attention_htr(), device="cpu"), sets)
