"""Reading lines: the recogniser, and `scripts/recognize.py`, which reads files with it."""

import argparse
import json
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest
import torch

from htr_convtext import Character, LineReading, Recognizer, load_recognizer, recognizer
from htr_convtext.cli.arguments import add_reading, decoding_processes
from htr_convtext.reading import Provenance, certain
from processing.confidence import LineConfidence
from tests.helpers import call_script, draw_line


def test_lines_are_read_together_and_given_in_their_order(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(recognizer, "BATCHES_AHEAD", 2)
    texts = ["a long line of text", "b", "another long one", "c", "bad", "of medium size", "end"]
    files = [str(tmp_path / f"{number}.png") for number in range(len(texts))]
    for text, file in zip(texts, files, strict=True):
        draw_line(text).save(file)
    Path(files[4]).write_bytes(b"")
    reader = load_recognizer(model_folder, "cpu")
    widths, see = [], reader._see

    def watched(images: list) -> list:
        widths.append([image.width for image in images])
        return see(images)

    monkeypatch.setattr(reader, "_see", watched)
    together = list(reader.read(files, batch_size=2))
    assert [reading.error is None for reading in together] == [True] * 4 + [False] + [True] * 2
    assert "4.png" in together[4].error
    assert widths == [sorted(batch) for batch in widths]
    assert [len(batch) for batch in widths] == [2, 2, 2]
    assert max(widths[0]) < min(widths[1])  # b and c, then the long ones
    for file, reading in zip(files, together, strict=True):
        if reading.error is None:
            (alone,) = reader.read([file])
            assert (alone.text, alone.score) == (reading.text, pytest.approx(reading.score, abs=1e-5))


def test_readings_can_be_pickled(model_folder, tmp_path):
    reader = load_recognizer(model_folder, "cpu")
    readings = list(reader.read([draw_line("some text"), str(tmp_path / "gone.png")]))
    assert readings[0].characters
    assert readings[1].error
    assert pickle.loads(pickle.dumps(readings)) == readings


def test_no_images_no_readings(model_folder):
    assert list(load_recognizer(model_folder, "cpu").read([])) == []


def test_one_bad_file_does_not_stop_the_others(model_folder, tmp_path):
    folder = tmp_path / "lines"
    (folder / "below").mkdir(parents=True)
    draw_line("good").save(folder / "a.png")
    (folder / "b.jpg").write_bytes(b"not a picture")
    draw_line("good too").save(folder / "below" / "c.tif")
    (folder / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    output = tmp_path / "lines.jsonl"
    done = call_script(
        "recognize.py", folder, tmp_path / "gone.png", tmp_path / "empty", "--model", model_folder, "--format", "jsonl",
        "--output", output, "--batch-size", 2, "--device", "cpu", expect=1,
    )  # fmt: skip
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [os.path.basename(row["file"]) for row in rows] == ["a.png", "b.jpg", "c.tif", "gone.png", "empty"]
    assert ["error" in row for row in rows] == [False, True, False, True, True]
    assert set(rows[0]) == {"file", "text", "score"}
    assert "b.jpg" in done.stderr
    assert "no such file" in done.stderr
    assert "3 of 5 files could not be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_file_names_that_are_no_text(model_folder, tmp_path):
    """Archives have names in old encodings."""
    draw_line("good").save(tmp_path / "line.png")
    os.rename(tmp_path / "line.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    done = call_script("recognize.py", tmp_path, "--model", model_folder, "--device", "cpu")
    assert "caf\\udce9.png\t" in done.stdout


def test_it_says_what_it_is(recognizer, model_folder, model, processor):
    assert (recognizer.source, recognizer.decoder_name) == ("bundled", "lm")
    assert load_recognizer(device="cpu", language="fr").decoder_name == "lm: fr"
    assert load_recognizer(model_folder, "cpu").decoder_name == "greedy"  # it has no language model
    saved = load_recognizer(model_folder, "cpu", "beam")
    assert (saved.source, saved.decoder_name) == (str(model_folder), "beam")
    assert Recognizer(saved.model, saved.processor, "cpu", saved.decoder).source == str(model_folder)
    own = Recognizer(model, processor, "cpu", saved.decoder)
    assert (own.source, own.decoder_name) == (None, type(saved.decoder).__name__)


def test_the_decoder_can_be_chosen(model_folder, tmp_path):
    draw_line("some text").save(tmp_path / "line.png")
    scores = {}
    for decoder in ("greedy", "beam"):
        done = call_script(
            "recognize.py", tmp_path, "--model", model_folder, "--decoder", decoder, "--device", "cpu",
            "--format", "jsonl",
        )  # fmt: skip
        scores[decoder] = json.loads(done.stdout)
        (reading,) = load_recognizer(model_folder, "cpu", decoder).read([tmp_path / "line.png"])
        assert (reading.text, reading.score) == (scores[decoder]["text"], scores[decoder]["score"])
    assert scores["greedy"] != scores["beam"]


def test_what_greedy_decoding_gives_is_known_beside_another_decoder(model_folder):
    images = [draw_line(text) for text in ("some text", "no", "lines of writing")]
    greedy, beam = (list(load_recognizer(model_folder, "cpu", decoder).read(images)) for decoder in ("greedy", "beam"))
    assert [reading.greedy for reading in greedy] == [None] * 3
    assert [reading.greedy for reading in beam] == [reading.text for reading in greedy]
    assert [reading.text for reading in beam] != [reading.text for reading in greedy]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("recognize.py", ["--model", "nowhere", "x.png"], "nowhere"),
        ("recognize.py", ["--device", "cuda:9", "x.png"], "cuda:9"),
        ("evaluate.py", ["--model", "nowhere", "--data", "x"], "nowhere"),
        ("evaluate.py", ["--device", "cpu", "--data", "elsewhere"], "elsewhere"),
    ],
)
def test_missing_things_are_named_in_one_line(script, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call_script(script, *arguments, expect=1)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"{script}: ")


# --- how sure it is ---


def test_a_calibrated_model_gives_probabilities(calibrated_folder, calibration):
    reader, other = (load_recognizer(calibrated_folder, "cpu", decoder) for decoder in ("greedy", "beam"))
    assert reader.calibration == calibration
    assert reader.provenance == Provenance(str(calibrated_folder), "greedy", calibration.id)
    assert other.calibration is None
    assert other.provenance == Provenance(str(calibrated_folder), "beam", None)
    (reading,), (plain,) = (each.read([draw_line("some words of text")]) for each in (reader, other))
    assert tuple(word.score for word in reading.words) == reading.confidence.words
    assert reading.certainty == reading.confidence.line != reading.score
    assert plain.certainty == plain.score
    assert [word.char for word in reading.words] == reading.text.split()


def test_words_of_a_reading():
    characters = tuple(Character(char, 0.5 + n / 20, 10 * n, 10 * n + 5) for n, char in enumerate("e\u0301 b\u00a0cd"))
    plain = LineReading("é b\u00a0cd", 0.6, characters)
    assert [(word.char, word.start, word.end) for word in plain.words] == [
        ("é", 0, 15),
        ("b", 30, 35),
        ("cd", 50, 65),
    ]
    assert [word.score for word in plain.words] == pytest.approx([0.525, 0.65, 0.775])
    # To the calibration, words are what spaces part.
    confidence = LineConfidence((0.5,) * 7, (0.9, 0.2), 0.15, 1, 1, 7)
    calibrated = LineReading("é b\u00a0cd", 0.6, characters, confidence)
    assert [word.score for word in calibrated.words] == [0.9, 0.2, 0.2]
    assert calibrated.doubtful_parts(0.5) == [(2, 3), (4, 6)]
    assert LineReading("", 0.0).words == ()
    assert LineReading("", 0.0).doubtful_parts(0.1) == [(0, 0)]


def test_what_a_person_wrote_is_certain():
    assert certain("a bc") == LineConfidence((1.0,) * 4, (1.0,) * 2, 1.0, 0.0, 0.0, 4.0)
    assert certain("a bc").cer == certain("").cer == 0


def test_alternatives(model_folder):
    readings = {
        name: next(load_recognizer(model_folder, "cpu", name).read([draw_line("text")])) for name in ("greedy", "beam")
    }
    assert [text for text, _ in readings["greedy"].alternatives] == [readings["greedy"].text]
    texts, logs = zip(*readings["beam"].alternatives, strict=True)
    assert texts[0] == readings["beam"].text
    assert len(set(texts)) == len(texts) > 3
    assert list(logs) == sorted(logs, reverse=True)


def rows_of(folder, *arguments) -> tuple[list[dict], str]:
    done = call_script("recognize.py", *arguments, "--model", folder, "--format", "jsonl", "--device", "cpu")
    return [json.loads(row) for row in done.stdout.splitlines()], done.stderr


def test_the_program_tells_how_sure_it_is(calibrated_folder, calibration, model_folder, tmp_path):
    draw_line("some words").save(tmp_path / "line.png")
    (row,), _ = rows_of(calibrated_folder, tmp_path / "line.png")
    assert (row["decoder"], row["calibration"]) == ("greedy", calibration.id)
    assert set(row) == {"file", "text", "score", "confidence", "expected_cer", "decoder", "calibration"}
    (row,), errors = rows_of(calibrated_folder, tmp_path / "line.png", "--min-confidence", 1)
    assert all(word["doubtful"] for word in row["words"])
    assert [word["text"] for word in row["words"]] == row["text"].split()
    assert "not calibrated" not in errors
    (row,), errors = rows_of(model_folder, tmp_path / "line.png", "--min-confidence", 0)
    assert not any(word["doubtful"] for word in row["words"])
    assert "calibration" not in row
    assert "not calibrated for the decoder greedy" in errors
    done = call_script("recognize.py", tmp_path, "--model", calibrated_folder, "--device", "cpu", "--min-confidence", 1)
    shown = done.stdout.rstrip("\n").partition("\t")[2]
    assert shown.count("[?]") == len(row["words"])
    assert shown.replace("[?]", "") == row["text"]
    for wrong in ("2", "-0.1", "much"):
        assert "--min-confidence" in call_script("recognize.py", "x", "--min-confidence", wrong, expect=2).stderr


def test_the_program_gives_alternatives(model_folder, tmp_path):
    draw_line("some words").save(tmp_path / "line.png")
    (row,), _ = rows_of(model_folder, tmp_path / "line.png", "--decoder", "beam", "--alternatives", 3)
    assert len(row["alternatives"]) == 3
    assert row["alternatives"][0]["text"] == row["text"]
    assert set(row["alternatives"][1]) == {"text", "log_probability"}
    assert "needs --format jsonl" in call_script("recognize.py", "x", "--alternatives", 3, expect=2).stderr


def test_processes_decode_the_same(calibrated_folder):
    images = [draw_line(text) for text in ("some words", "more", "a third")]
    alone, together = (load_recognizer(calibrated_folder, "cpu", "beam", processes=count) for count in (1, 2))
    pages = ["a", "a", "b"]
    assert list(together.read(images, 2, pages)) == list(alone.read(images, 2, pages))
    assert multiprocessing.active_children()
    together.close()
    assert not multiprocessing.active_children()
    assert next(load_recognizer(calibrated_folder, "cpu", "greedy", processes=2).read(images)).text
    assert not multiprocessing.active_children()  # what is greedy needs none


@pytest.mark.parametrize(
    ("words", "available", "expected"),
    [("", False, 1), ("", True, 7), ("--device cpu", True, 1), ("--device cuda", True, 7), ("--processes 3", True, 3)],
)
def test_as_many_processes_as_fit_where_the_network_runs(monkeypatch, words, available, expected):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    parser = argparse.ArgumentParser()
    add_reading(parser)
    assert decoding_processes(parser.parse_args(words.split())) == expected
