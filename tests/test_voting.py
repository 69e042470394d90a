"""Several models that vote: the readings of a line, and all that takes one recogniser taking several."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from htr_convtext import Recognizer, VotingRecognizer, load_recognizer
from htr_convtext.evaluation import read_predictions
from htr_convtext.reading import Character, LineReading
from htr_convtext.transcription import TranscriptionJob, open_documents, transcribe
from htr_convtext.voting import vote
from tests.helpers import (
    EXAMPLE_PAGE,
    EXAMPLE_TEXT,
    ROOT,
    build_attention_htr,
    call_script,
    draw_line,
    write_image_folder,
)


def reading(text: str, scores: float | list[float] = 0.5, starts: list[float] | None = None) -> LineReading:
    """A reading with a character every ten columns."""
    scores = [scores] * len(text) if isinstance(scores, float) else scores
    starts = starts or [10.0 * index for index in range(len(text))]
    characters = [Character(*each, each[2] + 8) for each in zip(text, scores, starts, strict=True)]
    return LineReading(text, sum(scores) / max(1, len(scores)), tuple(characters))


def unplaced(text: str, score: float) -> LineReading:
    """A reading of a model that does not tell where it saw what, as TrOCR."""
    return LineReading(text, score)


def test_most_voices_win():
    found = vote([reading("a cat sut"), reading("a cats sat"), reading("e cat sat")])
    assert found.text == "a cat sat"
    assert [each.char for each in found.characters] == list("a cat sat")
    assert found.confidence is None


def test_the_surer_reading_wins_and_its_score_is_told():
    first, second = reading("hat", [0.9, 0.4, 0.9]), reading("hot", [0.7, 0.8, 0.9])
    found = vote([first, second])
    assert found.text == "hot"
    assert [each.score for each in found.characters] == pytest.approx([0.8, 0.8, 0.9])
    assert found.score == pytest.approx(2.5 / 3)
    assert vote([first, second], votes=1.0).text == "hat"  # one voice each: the first decides


def test_votes_and_scores_are_weighed():
    sure, others = reading("at", [0.9, 0.9]), [reading("ot", [0.4, 0.9])] * 2
    assert vote([sure, *others], votes=0.0).text == "at"
    assert vote([sure, *others], votes=0.2).text == "ot"


def test_nothing_has_a_score():
    readings = [reading("fall", [0.9, 0.9, 0.9, 0.6]), reading("fal", 0.9)]
    assert vote(readings, votes=0.0, nothing=0.5).text == "fall"
    assert vote(readings, votes=0.0, nothing=0.7).text == "fal"
    empty = vote([reading("x", 0.2), LineReading("", 0.7)], nothing=0.5)
    assert (empty.text, empty.characters, empty.score) == ("", (), pytest.approx(0.45))


def test_accents_apart_and_composed_are_one():
    apart = reading("e\u0301te\u0301", [0.9, 0.5, 0.8, 0.9, 0.7], [0.0, 4.0, 20.0, 40.0, 44.0])
    found = vote([apart, reading("été", 0.5, [2.0, 20.0, 42.0]), reading("ete", 0.9, [2.0, 20.0, 42.0])])
    assert found.text == "été"
    assert found.characters[0] == Character("é", 0.5, 1.0, 11.0)  # the means of 0 to 12 and 2 to 10


def test_a_doubled_letter_meets_the_one_at_its_place():
    """Both alignments have one edit; the l that is left alone is outvoted by nothing."""
    for start in (11.0, 19.0):
        found = vote([reading("all", 0.9), reading("al", 0.9, [0.0, start])], votes=0.0, nothing=0.95)
        assert found.text == "al"
        assert found.characters[-1].start == (start + round(start, -1)) / 2


def test_readings_without_columns():
    placed = reading("ab ef", 0.5, [0.0, 10.0, 20.0, 60.0, 70.0])
    found = vote([placed, unplaced("abcd ef.", 0.9), unplaced("xbcd ef.", 0.9)])
    assert found.text == "abcd ef."
    spans = {each.char: (each.start, each.end) for each in found.characters}
    assert spans["a"] == (0.0, 8.0)
    assert spans["c"] == (18.0, 19.0)
    assert spans["d"] == (19.0, 20.0)
    assert spans["."] == (78.0, 78.0)
    assert vote([unplaced("ab", 0.9), unplaced("ab", 0.7)]) == LineReading("ab", 0.8)


def test_a_model_that_fails_has_no_voice():
    failed = LineReading("", 0.0, error="gone.png: there is no such file")
    assert vote([failed, reading("ab")]) == vote([reading("ab")]) == reading("ab")
    assert vote([failed, replace(failed, error="other")]) == failed
    with pytest.raises(ValueError, match="no readings"):
        vote([])


@pytest.fixture(scope="module")
def words_folder(tmp_path_factory) -> Path:
    """A saved model of another family and charset."""
    folder = tmp_path_factory.mktemp("saved") / "words"
    Recognizer(*build_attention_htr(), "cpu").save_pretrained(folder)
    return folder


def test_families_vote_together(model_folder, words_folder, tmp_path):
    models = [load_recognizer(folder, "cpu") for folder in (model_folder, words_folder)]
    voting = VotingRecognizer(models)
    assert voting.source == f"{model_folder} + {words_folder}"
    assert voting.decoder_name == "greedy"
    assert voting.text_policy == models[0].text_policy
    assert set(voting.charset) == set(models[0].charset) | set(models[1].charset)
    images = [draw_line("some words"), str(tmp_path / "gone.png"), draw_line("more")]
    found = list(voting.read(iter(images), batch_size=2, pages=iter("aab")))
    expected = [vote(pair) for pair in zip(*(model.read(images) for model in models), strict=True)]
    assert [each.text for each in found] == [each.text for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], rel=1e-4)
    assert all(found[0] != next(model.read(images)) for model in models)
    assert "gone.png" in found[1].error
    with pytest.raises(ValueError, match="no models"):
        VotingRecognizer([])


def test_programs_take_several_models(model_folder, words_folder, tmp_path):
    write_image_folder(tmp_path / "data", "test", ["some words", "more"])
    models = ["--model", model_folder, "--model", words_folder, "--device", "cpu"]
    done = call_script("recognize.py", tmp_path / "data" / "test" / "0.png", "--format", "jsonl", *models)
    voting = VotingRecognizer([load_recognizer(folder, "cpu") for folder in (model_folder, words_folder)])
    (expected,) = voting.read([tmp_path / "data" / "test" / "0.png"])
    assert json.loads(done.stdout)["text"] == expected.text
    call_script("evaluate.py", "--data", tmp_path / "data", "--output", tmp_path / "results", *models)
    assert read_predictions(tmp_path / "results")[0].score == pytest.approx(expected.score)
    report = json.loads((tmp_path / "results" / "report.json").read_text())
    assert report["model"] == f"{model_folder} + {words_folder}"
    done = call_script("recognize.py", "x.png", "--model", model_folder, "--model", model_folder, expect=1)
    assert done.stderr == f"recognize.py: {model_folder} is given twice; a vote needs different models.\n"


def test_pages_are_read_by_two_widths(recognizer, tmp_path):
    """The bundled model and a copy that sees wider lines: words keep their places, and jobs know who read."""
    other = load_recognizer(device="cpu")
    other.processor.image_processor.horizontal_scale *= 1.1
    voting = VotingRecognizer([recognizer, other])
    line = ROOT / "examples" / "fr_1.jpg"
    assert next(other.read([line])).score != next(recognizer.read([line])).score
    page, alone = transcribe(EXAMPLE_PAGE, voting), transcribe(EXAMPLE_PAGE, recognizer)
    assert sum(a.text == b for a, b in zip(page.lines, EXAMPLE_TEXT, strict=True)) >= 8
    pairs = [
        (ours.polygon[0][0], theirs.polygon[0][0])
        for a, b in zip(page.lines, alone.lines, strict=True)
        if len(a.words) == len(b.words)
        for ours, theirs in zip(a.words, b.words, strict=True)
    ]
    assert len(pairs) > 50
    assert max(abs(left - right) for left, right in pairs) < 25
    plan = open_documents([EXAMPLE_PAGE], "page", tmp_path / "out")
    assert TranscriptionJob(plan, voting).run().lines == len(EXAMPLE_TEXT)
