"""`htr tune`: the settings of a search with language models, and calibrations, found on lines with ground truth."""

import json

import pytest

from htr_convtext import load_recognizer
from htr_convtext.decoding import BeamSearch, LanguageModels, SearchSettings, decode_greedily
from htr_convtext.decoding.parallel import DecodingPool
from htr_convtext.evaluation.tuning import SeenPage, mean_cer, tune_search
from htr_convtext.language_model import Vocabulary, train_ngrams, write_model
from tests.helpers import ROOT, call_script
from tests.test_language_model import TEXT, frames_of


CHARACTERS = "".join(sorted(set("".join(TEXT))))


def text_of(hypothesis) -> str:
    return "".join(CHARACTERS[index - 1] for index in hypothesis.ids)


@pytest.fixture
def models(tmp_path) -> LanguageModels:
    write_model(train_ngrams(TEXT, Vocabulary(CHARACTERS)), tmp_path / "en.klm")
    return LanguageModels({"en": tmp_path / "en.klm"}, SearchSettings(weight=0.02, space=0.0, blank=0.0))


@pytest.fixture
def pages() -> list[SeenPage]:
    """Lines whose vowels look a little more like another letter."""
    lines = [frames_of(text.replace("a", "e"), CHARACTERS, text) for text in TEXT[:4]]
    return [SeenPage(lines[:2], TEXT[:2], "a", "1"), SeenPage(lines[2:], TEXT[2:4], "b", "1")]


def test_tuning_counts_on_the_language_model_as_much_as_helps(pages, models):
    tried = []
    with DecodingPool(1) as pool:
        before = mean_cer(pages, models.decoder(CHARACTERS), text_of, pool)
        assert mean_cer(pages, decode_greedily, text_of, pool) > before
        best, cer = tune_search(
            pages, models, CHARACTERS, text_of, pool, lambda settings, cer: tried.append((settings, cer))
        )
    assert best.weight > 0.02
    assert cer < before
    assert cer == min(cer for _, cer in tried)
    assert len({settings for settings, _ in tried}) == len(tried)  # nothing is measured twice


def test_processes_decode_as_one_does(pages, models):
    lines = [page.lines for page in pages] * 3
    with DecodingPool(1) as one, DecodingPool(2) as two:
        for decoder in (models.decoder(CHARACTERS), BeamSearch(), decode_greedily):
            found, expected = (
                [line[0] for page in pool.decode(decoder, lines) for line in page] for pool in (two, one)
            )
            assert [best.ids for best in found] == [best.ids for best in expected]
            scores = [best.log_probability for best in expected]
            # Which of equally good prefixes are given up is not settled, nor are the last digits of the sums.
            assert [best.log_probability for best in found] == pytest.approx(scores, rel=1e-3)


def test_the_program_saves_a_model_that_reads_with_confidence(tmp_path):
    output = tmp_path / "tuned"
    done = call_script(
        "tune.py", "--data", "examples", "--split", "train", "--output", output, "--processes", "1", "--device", "cpu"
    )
    assert "lm: mean CER" in done.stdout
    stored = json.loads((output / "decoding.json").read_text())
    assert set(stored["calibrations"]) == {"greedy", "lm"}
    recognizer = load_recognizer(output, "cpu")
    assert recognizer.processor.language_models.settings == SearchSettings(**stored["settings"])
    image = ROOT / "examples" / "en_1.jpg"
    (line,) = recognizer.read([image])
    assert line.text == "The letters were tied with a blue ribbon."
    assert line.confidence.characters == tuple(character.score for character in line.characters)
    assert len(line.confidence.words) == 8
    (other,) = load_recognizer(output, "cpu", "beam").read([image])
    assert other.confidence is None  # for that decoder there is no calibration
    (own,) = load_recognizer(output, "cpu", language_model=output / "language_models" / "en.klm").read([image])
    assert own.confidence is None
    refused = call_script(
        "tune.py", "--data", "examples", "--split", "test", "--output", output, "--device", "cpu", expect=1
    )
    assert "There is no line to tune on" in refused.stderr
