"""TrOCR through transformers' own classes: read and measured with, never trained or changed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    TrOCRConfig,
    TrOCRProcessor,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from htr_convtext import load_recognizer
from htr_convtext.errors import InputError
from htr_convtext.export import export_model
from htr_convtext.families import FAMILIES
from htr_convtext.loading import load_model
from htr_convtext.transcription import transcribe
from tests.helpers import EXAMPLE_PAGE, WORDS, call_script, write_image_folder


START, PAD, END = 2, 1, 2  # TrOCR starts with the token that ends


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random network of some thousand parameters whose tokens are bytes, saved without a pooler, as TrOCR's are."""
    folder = tmp_path_factory.mktemp("saved") / "trocr"
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_alone = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_alone, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    TrOCRProcessor(ViTImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    encoder = ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    decoder = TrOCRConfig(
        vocab_size=len(tokens), d_model=32, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32,
        max_position_embeddings=40, is_decoder=True, add_cross_attention=True,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = START, PAD, END
    torch.manual_seed(0)
    model = VisionEncoderDecoderModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.encoder.pooler = None
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def lines(tmp_path):
    write_image_folder(tmp_path / "words", "test", WORDS)
    return tmp_path / "words"


def step_by_step(model, pixel_values) -> tuple[list[int], float]:
    """Greedy decoding and the mean probability of its tokens, written plainly."""
    tokens, probabilities = [START], []
    while len(tokens) < 40 and (len(tokens) == 1 or tokens[-1] != END):
        logits = model(pixel_values=pixel_values, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
        tokens.append(int(logits.argmax()))
        probabilities.append(float(logits.softmax(-1).max()))
    return tokens[1:], sum(probabilities) / len(probabilities)


@torch.no_grad()
def test_it_reads_what_the_network_says(folder, lines):
    recognizer = load_recognizer(folder, "cpu")
    files = [lines / "test" / f"{index}.png" for index in range(len(WORDS))]
    readings = list(recognizer.read(files, batch_size=3))
    for file, reading in zip(files, readings, strict=True):
        pixel_values = recognizer.processor(images=Image.open(file).convert("RGB"), return_tensors="pt").pixel_values
        tokens, score = step_by_step(recognizer.model, pixel_values)
        assert reading.text == recognizer.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        assert reading.score == pytest.approx(score, abs=1e-4)
        assert reading.characters == ()
        assert reading.error is None
    assert len({reading.text for reading in readings}) > 1


@torch.no_grad()
def test_the_score_is_of_the_tokens_before_the_padding(folder, lines):
    """Some lines of a batch end before others."""
    recognizer = load_recognizer(folder, "cpu")
    bias = torch.zeros(recognizer.model.config.decoder.vocab_size)
    head = recognizer.model.decoder.output_projection
    ended = []
    for strength in range(0, 60, 2):
        bias[END] = strength
        hook = head.register_forward_hook(lambda module, inputs, logits: logits + bias)
        readings = list(recognizer.read(sorted((lines / "test").glob("*.png"))))
        images = [recognizer.family.open_image(recognizer.processor, file) for file in sorted(lines.glob("test/*.png"))]
        expected = [
            step_by_step(recognizer.model, recognizer.processor(images=image, return_tensors="pt").pixel_values)
            for image in images
        ]
        hook.remove()
        ended.append({len(tokens) for tokens, _ in expected})
        for reading, (_, score) in zip(readings, expected, strict=True):
            assert reading.score == pytest.approx(score, abs=1e-4)
        if len(ended[-1]) > 1:
            return
    pytest.fail(f"all lines ended together: {ended}")


def test_an_empty_line_is_never_certain(folder, lines, monkeypatch):
    recognizer = load_recognizer(folder, "cpu")
    monkeypatch.setattr(recognizer.processor.tokenizer, "batch_decode", lambda ids, **_: [""] * len(ids))
    (reading,) = recognizer.read([lines / "test" / "0.png"])
    assert (reading.text, reading.score, recognizer.calibration) == ("", 0, None)


def test_a_beam_search(folder, lines, monkeypatch):
    files, beams, generate = sorted((lines / "test").glob("*.png")), [], VisionEncoderDecoderModel.generate
    monkeypatch.setattr(
        VisionEncoderDecoderModel,
        "generate",
        lambda self, *inputs, **options: beams.append(options["num_beams"]) or generate(self, *inputs, **options),
    )
    greedy, beam = (list(load_recognizer(folder, "cpu", decoder).read(files)) for decoder in ("greedy", "beam"))
    assert beams == [1, 4]
    assert all(0 < reading.score <= 1 for reading in beam)
    assert [reading.text for reading in beam] != [reading.text for reading in greedy]
    with pytest.raises(InputError, match="no decoder 'best'"):
        load_recognizer(folder, "cpu", "best")


def test_colours_stay(folder):
    family, processor = FAMILIES["vision-encoder-decoder"], load_model(folder)[1]
    red = Image.new("RGB", (40, 20), "red")
    for image in (red, np.asarray(red), torch.from_numpy(np.asarray(red).copy()).permute(2, 0, 1)):
        assert family.open_image(processor, image).getpixel((0, 0)) == (255, 0, 0)
    assert family.open_image(processor, Image.new("RGBA", (4, 4), (255, 0, 0, 0))).getpixel((0, 0)) == (255,) * 3
    assert family.open_image(processor, Image.new("I;16", (4, 4), 32768)).getpixel((0, 0)) == (128,) * 3
    with pytest.raises(InputError, match="empty"):
        family.open_image(processor, np.zeros((0, 4, 3), np.uint8))


def test_a_file_keeps_its_colours(folder, tmp_path):
    family, processor = FAMILIES["vision-encoder-decoder"], load_model(folder)[1]
    Image.new("RGB", (40, 20), "blue").save(tmp_path / "blue.png")
    assert family.open_image(processor, tmp_path / "blue.png").getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(InputError, match=r"none\.png: there is no such file"):
        family.open_image(processor, tmp_path / "none.png")


def test_the_programs_read_and_measure_with_it(folder, lines, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    done = call_script(
        "recognize.py", lines / "test", tmp_path / "broken.png", "--model", folder, "--format", "jsonl", "--device",
        "cpu", expect=1,
    )  # fmt: skip
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert len(rows) == len(WORDS) + 1
    assert "not an image" in rows[-1]["error"]

    output = tmp_path / "report"
    call_script(
        "evaluate.py", "--model", folder, "--data", lines, "--decoder", "beam", "--device", "cpu", "--output", output
    )
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["sets"]["words"]["lines"] == len(WORDS)
    assert report["sets"]["words"]["outside_charset"]["floor"] == 0
    assert (output / "report.html").exists()


def test_it_reads_pages(folder):
    page = transcribe(EXAMPLE_PAGE, load_recognizer(folder, "cpu"))
    assert page.lines
    assert all(line.error is None and line.words == [] for line in page.lines)


def test_all_else_is_refused_with_what_to_do(folder, lines, tmp_path):
    with pytest.raises(InputError, match="with transformers"):
        export_model(folder, tmp_path / "shared")
    with pytest.raises(InputError, match="with transformers"):
        load_recognizer(folder, "cpu").save_pretrained(tmp_path / "saved")
    write_image_folder(tmp_path / "more", "train", WORDS)
    write_image_folder(tmp_path / "more", "validation", WORDS)
    done = call_script(
        "train.py", "--data", tmp_path / "more", "--model", folder, "--output_dir", tmp_path / "run", "--max_steps", 1,
        "--use_cpu", "True", expect=1,
    )  # fmt: skip
    assert "train, change and save it with transformers" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_its_processor_is_an_error(folder, tmp_path):
    VisionEncoderDecoderModel.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="processor"):
        load_recognizer(tmp_path, "cpu")
    load_model(folder)[1].tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(
        (tmp_path / "tokenizer_config.json").read_text().replace('"processor_class": "TrOCRProcessor",', "")
    )
    with pytest.raises(InputError, match="processor"):
        load_recognizer(tmp_path, "cpu")


def test_missing_weights_are_an_error(folder, tmp_path):
    model = VisionEncoderDecoderModel.from_pretrained(folder)
    state_dict = {name: value for name, value in model.state_dict().items() if "layernorm_embedding" not in name}
    model.save_pretrained(tmp_path, state_dict=state_dict)
    with pytest.raises(InputError, match="layernorm_embedding"):
        load_recognizer(tmp_path, "cpu")
