"""Words cut out of lines by forced alignment."""

import itertools
import json

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from htr_convtext.decoding.alignment import align
from htr_convtext.errors import InputError
from htr_convtext.loading import load_model
from htr_convtext.reading import Character
from htr_convtext.recognizer import Recognizer
from htr_convtext.word_cutting import cut_words, find_words
from processing.ctc import collapse
from tests.helpers import build_attention_htr, call_script, draw_line, write_image_folder


@pytest.mark.parametrize("ids", [(), (1,), (1, 2), (1, 1), (2, 1, 2), (1, 1, 1)])
def test_the_alignment_is_the_most_probable_path(ids):
    """Against all paths of five frames and three classes."""
    for seed in range(20):
        probabilities = np.random.default_rng(seed).dirichlet([0.5] * 3, size=5)
        paths = [path for path in itertools.product(range(3), repeat=5) if collapse(path)[0] == ids]
        best = max(paths, key=lambda path: np.log(probabilities[range(5), path]).sum())
        found = align(probabilities, ids)
        assert found.ids == ids
        assert found.spans == collapse(best)[1]
        np.testing.assert_allclose(found.log_probability, np.log(probabilities[range(5), best]).sum())


def test_too_few_frames_are_an_error():
    align(np.full((3, 2), 0.5), [1, 1])
    with pytest.raises(ValueError, match="2 characters needs more frames than 2"):
        align(np.full((2, 2), 0.5), [1, 1])
    with pytest.raises(ValueError, match="more frames than 0"):
        align(np.empty((0, 2)), [])


def test_a_text_that_the_model_rules_out_has_a_path_too():
    """In 32 bits the probability of a class may be 0: that is no reason to stop in the middle of a data set."""
    probabilities = np.zeros((5, 3), dtype=np.float32)
    probabilities[:, 0] = 1
    found = align(probabilities, [2, 2])
    assert found.ids == (2, 2)
    assert collapse([0 if not any(a <= f < b for a, b in found.spans) else 2 for f in range(5)])[0] == found.ids
    assert -200 < found.log_probability < -150


def test_the_cut_is_where_there_is_least_ink():
    """Of the columns between the two characters around a space; words keep half a height of margin at the ends."""
    pixels = np.full((10, 100), 255, dtype=np.uint8)
    pixels[:, 20:33], pixels[:, 36:50] = 0, 0  # the model sees the first to end at 30, the second to begin at 40
    characters = [
        Character(char, 1.0, start, end)
        for char, start, end in (("a", 20, 24), ("b", 27, 30), (" ", 33, 34), ("c", 40, 44))
    ]
    assert find_words(Image.fromarray(pixels), characters) == [("ab", 15, 35), ("c", 35, 49)]
    assert find_words(Image.fromarray(pixels), [characters[2]]) == []


def test_words_of_lines_become_a_data_set(tmp_path):
    texts = ["Der Mann geht heute", "in die Stadt"]
    write_image_folder(tmp_path / "lines", "train", [*texts, "一", "x" * 400])
    write_image_folder(tmp_path / "lines", "test", ["der alte Brief"])
    draw_line("quite something else here").save(tmp_path / "lines" / "train" / "1.png")
    done = call_script("cut_words.py", tmp_path / "lines", "--output", tmp_path / "words")
    assert "7 words" in done.stdout
    words = load_dataset("parquet", data_dir=str(tmp_path / "words"))
    assert words["train"]["text"] == texts[0].split()
    assert words["test"]["text"] == ["der", "alte", "Brief"]
    assert set(words["train"]["line"]) == {"0.png"}
    whole = draw_line(texts[0])
    assert all(image.height == whole.height and image.width < whole.width / 2 for image in words["train"]["image"])
    left_out = json.loads((tmp_path / "words" / "report.json").read_text())["left_out"]
    assert left_out == {
        reason: [f"{tmp_path / 'lines'}, train: {name}"]
        for name, reason in (
            ("2.png", "unknown character"), ("1.png", "score below 0.5"), ("3.png", "more characters than frames"),
        )
    }  # fmt: skip
    assert "1 × unknown character" in done.stdout
    read = call_script("evaluate.py", "--data", tmp_path / "words", "--split", "test", "--output", tmp_path / "report")
    assert read.stdout
    assert json.loads((tmp_path / "report" / "report.json").read_text())["all"]["cer"] < 0.3


def test_a_model_that_drops_characters_leaves_the_line_out(tmp_path):
    """As those that `htr train` saves: a word must have every letter of its ground truth."""
    write_image_folder(tmp_path / "lines", "train", ["in die Stadt", "in die 一Stadt"])
    model, processor = load_model()
    processor.tokenizer.set_policy("drop", unicode_form=processor.tokenizer.unicode_form)
    report = cut_words(Recognizer(model, processor, device="cpu"), [tmp_path / "lines"], tmp_path / "words")
    assert processor.tokenizer.unknown == "drop"
    assert report.splits["train"].texts == ["in", "die", "Stadt"]
    assert list(report.left_out) == ["unknown character"]


def test_what_cannot_cut_is_refused(tmp_path):
    write_image_folder(tmp_path / "lines", "train", ["一"])
    with pytest.raises(InputError, match="by CTC"):
        cut_words(Recognizer(*build_attention_htr(), device="cpu"), [tmp_path / "lines"], tmp_path / "words")
    done = call_script("cut_words.py", tmp_path / "lines", "--output", tmp_path / "words", expect=1)
    assert "could be cut" in done.stderr
    assert "unknown character" in done.stderr
    assert not (tmp_path / "words").exists()
