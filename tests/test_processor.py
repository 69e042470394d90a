"""Processor and pipeline."""

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_htr_convtext.modeling_htr_convtext import HTRConvTextForCTCOutput
from processing import HTRConvTextProcessor
from processing.ctc import LineFrames, decode_greedily
from tests.helpers import draw_line, load_pipeline


def test_images_and_text(processor):
    batch = processor(images=[draw_line("abc"), draw_line("a longer line")], text=["abc", "a longer line"])
    assert batch["pixel_values"].shape[:3] == (2, 1, 32)
    assert batch["pixel_mask"].shape == (2, batch["pixel_values"].shape[3])
    assert batch["labels"].shape == (2, 13)
    assert processor.tokenizer.decode(batch["labels"][0], group_tokens=False) == "abc"


def test_text_alone_and_nothing(processor):
    assert list(processor(text="abc")) == ["labels"]
    with pytest.raises(ValueError, match="images"):
        processor()


def test_saved_processor_comes_back(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = HTRConvTextProcessor.from_pretrained(tmp_path)
    image = draw_line("abc")
    torch.testing.assert_close(loaded(images=image)["pixel_values"], processor(images=image)["pixel_values"])
    assert loaded.tokenizer.charset == processor.tokenizer.charset


def test_post_processing(processor):
    """Text, score and offsets of two lines; frames beyond a line's length are not read."""
    a, b = processor.tokenizer("ab").input_ids
    logits = torch.full((2, 5, 29), -20.0)
    for row, ids in enumerate(([0, a, a, 0, b], [0, 0, b, a, a])):
        for frame, index in enumerate(ids):
            logits[row, frame, index] = 0.0
    logits[0, 2, a] = -19.0  # an uncertain frame: the other frame of the run gives the score
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    lines = processor.post_process_text_recognition(
        HTRConvTextForCTCOutput(logits=logits, attention_mask=mask), output_char_offsets=True
    )
    assert [line["text"] for line in lines] == ["ab", "b"]
    assert lines[0]["score"] == pytest.approx(1, abs=1e-5)
    assert [(c["start_offset"], c["end_offset"]) for c in lines[0]["char_offsets"]] == [(1, 3), (4, 5)]
    without = processor.post_process_text_recognition(HTRConvTextForCTCOutput(logits=logits))
    assert [line["text"] for line in without] == ["ab", "ba"]
    assert set(without[0]) == {"text", "score"}


def test_score_of_an_empty_reading(processor):
    logits = torch.zeros(1, 3, 29)
    logits[..., 0] = 5
    (line,) = processor.post_process_text_recognition(HTRConvTextForCTCOutput(logits=logits))
    assert line["text"] == ""
    assert line["score"] == 0  # the blanks are sure, but not that nothing is written there


def test_an_empty_line_is_never_certain(processor, calibration):
    blank = np.zeros((80, 29), np.float32)
    blank[:, 0] = 1
    frames, found = LineFrames(blank, 4.0, 320), decode_greedily(blank)
    line = processor.read_frames(frames, found, decode_greedily)
    assert (line["text"], line["score"], "confidence" in line) == ("", 0, False)
    processor.calibrations["greedy"] = calibration
    line = processor.read_frames(frames, found, decode_greedily)
    assert (line["score"], line["confidence"].line) == (0, calibration.empty_right)
    assert 0 < calibration.empty_right < 0.99


# --- pipeline ---


@pytest.fixture(scope="module")
def pipe(model_folder):
    return load_pipeline(model_folder)


def test_inputs_of_every_kind(pipe, tmp_path):
    image = draw_line("some text")
    image.save(tmp_path / "line.png")
    read = pipe(image)
    assert set(read) == {"text", "score"}
    assert read["text"]
    assert 0 < read["score"] <= 1
    assert pipe(str(tmp_path / "line.png")) == read
    assert pipe([image]) == [read]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batches_of_unequal_widths_read_as_single_lines(pipe, batch_size):
    images = [draw_line(text) for text in ("a", "a longer line of text", "some words", "b", "the last one")]
    single = [pipe(image) for image in images]
    batched = pipe(images, batch_size=batch_size)
    assert [line["text"] for line in batched] == [line["text"] for line in single]
    assert [line["score"] for line in batched] == pytest.approx([line["score"] for line in single], abs=1e-4)
    streamed = list(pipe((image for image in images), batch_size=batch_size))
    assert [line["text"] for line in streamed] == [line["text"] for line in single]


def test_character_positions_in_pixels(pipe):
    image = draw_line("some text to read", height=80)  # read at height 32: positions are scaled back
    line = pipe(image, return_characters=True)
    characters = line["characters"]
    assert "".join(character["char"] for character in characters) == line["text"]
    frame = 4 * image.width / pipe.processor.image_processor.resized_width(image.height, image.width)
    for character in characters:
        assert 0 <= character["start"] < character["end"] <= image.width
        assert character["start"] / frame == pytest.approx(round(character["start"] / frame), abs=1e-6)
    starts = [character["start"] for character in characters]
    assert starts == sorted(starts)
    assert starts[-1] > image.width / 2


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_narrow_lines(pipe, width):
    """A handful of columns are columns, not channels."""
    array = np.zeros((40, width), np.uint8)
    assert pipe(Image.fromarray(array)) == pipe(array)
    assert pipe.preprocess(array)["image"].size == (width, 40)


def test_positions_stay_in_the_image(pipe, monkeypatch):
    """A model without a mask may read something in the padding."""
    monkeypatch.setattr(pipe.processor.image_processor, "return_pixel_mask", False)
    image = draw_line("a")
    characters = pipe([image, draw_line("a very long line of text")], batch_size=2, return_characters=True)[0]
    assert characters["characters"]
    for character in characters["characters"]:
        assert 0 <= character["start"] <= character["end"] <= image.width


def test_unknown_arguments_are_refused(pipe):
    with pytest.raises(TypeError, match="return_chars"):
        pipe(Image.new("L", (50, 32)), return_chars=True)
