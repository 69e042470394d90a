"""AttentionHTR, CRNN and their kin: the published numbers, conversion, reading, and what training asks."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from PIL import Image
from safetensors.torch import load_file

from htr_convtext.checkpoint_files import CheckpointError
from htr_convtext.errors import InputError
from htr_convtext.families import FAMILIES
from htr_convtext.families.attention_htr_checkpoints import convert_checkpoint
from htr_convtext.recognizer import Recognizer, load_recognizer
from modeling_attention_htr import AttentionHTRConfig, AttentionHTRForTextRecognition, AttentionHTRModel
from modeling_attention_htr.configuration_attention_htr import NETWORKS
from modeling_attention_htr.transformation_attention_htr import AttentionHTRControlPoints
from processing import AttentionHTRImageProcessor, AttentionHTRProcessor, AttentionHTRTokenizer, UnknownCharacterError
from tests.helpers import NANO_ATTENTION_HTR, ROOT, build_attention_htr, call_script, draw_line, write_image_folder
from tests.parity.standin_weights import state_dict


MANIFESTS = json.loads((ROOT / "tests/parity/attention_htr_manifests.json").read_text())
WITH_ATTENTION = ("attention_htr", "attention_htr_insensitive")


def stand_in_weights(name: str) -> dict[str, torch.Tensor]:
    """A checkpoint under the published names (tests/parity/README.md)."""
    tensors = {key: torch.from_numpy(value) for key, value in state_dict(MANIFESTS[name], 7).items()}
    head = "Transformation.LocalizationNetwork.localization_fc2"
    if f"{head}.weight" in tensors:
        tensors[f"{head}.weight"] *= 0.02
        start = AttentionHTRControlPoints(1, len(tensors[f"{head}.bias"])).start()
        tensors[f"{head}.bias"] = start + 0.02 * tensors[f"{head}.bias"]
    return {f"module.{key}": value for key, value in tensors.items()}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(ROOT / "tests/parity/attention_htr_golden.npz"))


@pytest.fixture(scope="module", params=MANIFESTS)
def published(request) -> tuple[str, AttentionHTRForTextRecognition]:
    return request.param, convert_checkpoint(stand_in_weights(request.param))


# --- the published numbers ---


@torch.no_grad()
def test_logits_and_loss(published, golden):
    """Without labels each step sees what the one before it wrote, with them what is written there."""
    name, model = published
    images = torch.from_numpy(golden["pixel_values"])
    np.testing.assert_allclose(model(images).logits.numpy(), golden[f"{name}_logits"], atol=1e-4, rtol=0)
    if name in WITH_ATTENTION:
        outputs = model(images, labels=torch.from_numpy(golden[f"{name}_text"])[:, 1:])
        np.testing.assert_allclose(outputs.logits.numpy(), golden[f"{name}_teacher_forced"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(outputs.loss.item(), golden[f"{name}_loss"], rtol=1e-5)


@torch.no_grad()
def test_rectified_images(published, golden):
    """
    The images are noise: from one pixel to the next the value changes by half the range. So the last bit of the control
    points, which is another on other processors, moves a few samples by some 1e-4.
    """
    name, model = published
    assert (model.model.transformation is not None) == (f"{name}_rectified" in golden)
    if model.model.transformation is not None:
        found = model.model.transformation(torch.from_numpy(golden["pixel_values"])).numpy()
        difference = np.abs(found - golden[f"{name}_rectified"])
        assert np.quantile(difference, 0.98) < 1e-4
        assert difference.max() < 1e-3


def test_frames(published, golden):
    name, model = published
    assert model.config.prediction == "attention" or golden[f"{name}_logits"].shape[1] == model.config.frames(100)
    for width in (12, 100, 101, 203):
        if model.model.transformation is None:
            frames = model.model(torch.zeros(1, 1, 32, width)).last_hidden_state.shape[1]
            assert frames == model.config.frames(width)


# --- conversion ---


@pytest.mark.parametrize(
    ("stand_in", "file", "characters"),
    [
        ("attention_htr", "AttentionHTR-General-sensitive.pth", 94),
        ("attention_htr_insensitive", "AttentionHTR-IAM.pth", 36),
        ("crnn", "crnn.pth", 36),
    ],
)
def test_conversion_writes_a_folder_that_reads(stand_in, file, characters, tmp_path):
    torch.save(stand_in_weights(stand_in), tmp_path / file)
    done = call_script("convert_checkpoint.py", "--checkpoint", tmp_path / file, "--output", tmp_path / "out")
    assert f"{characters} characters" in done.stderr
    recognizer = load_recognizer(tmp_path / "out", device="cpu")
    assert len(recognizer.processor.tokenizer.charset) == characters
    assert recognizer.processor.tokenizer.do_lower_case == (characters == 36)
    assert (recognizer.processor.tokenizer.eos_token is None) == (stand_in == "crnn")
    (reading,) = recognizer.read([draw_line("Word")])
    assert reading.text
    assert all(0 <= each.start < each.end <= draw_line("Word").width for each in reading.characters)
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("IAM words" in card) == ("AttentionHTR" in file)
    assert ("Imgur5K" in card) == ("General" in file)


def test_checkpoints_that_do_not_fit_are_refused():
    family = FAMILIES["attention_htr"]
    weights = stand_in_weights("crnn")
    assert family.recognizes(weights)
    assert not family.recognizes({"model": {}, "state_dict_ema": {}})
    with pytest.raises(InputError, match="weights"):
        family.convert(weights, {"weights": "ema"})
    with pytest.raises(CheckpointError, match=r"another shape: ctc_head\.weight"):
        family.convert({**weights, "module.Prediction.bias": torch.zeros(30)}, {"charset": "insensitive"})
    some = {name: tensor[:30] if "Prediction." in name else tensor for name, tensor in weights.items()}
    with pytest.raises(InputError, match=r"29 characters.*--charset"):
        family.convert(some, {})
    with pytest.raises(CheckpointError, match=r"29 characters.*36"):
        family.convert(some, {"charset": "insensitive"})
    del weights["module.FeatureExtraction.ConvNet.3.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing: model\.features\.network\.2\.convolution\.weight"):
        family.convert(weights, {})


# --- texts and images ---


def test_texts_end_and_are_folded():
    tokenizer = AttentionHTRTokenizer.from_published("insensitive")
    ids = tokenizer("Aal").input_ids
    assert ids == [12, 12, 23, 1]  # 0 pads, 1 ends, 10 digits come before the letters
    assert tokenizer.decode(ids) == "aal"
    assert tokenizer.decode([12, 12, 23, 1, 14, 0]) == "aal"
    assert tokenizer.decode([12, 1], group_tokens=False) == "a"
    assert tokenizer.charset == "0123456789abcdefghijklmnopqrstuvwxyz"
    with pytest.raises(UnknownCharacterError):
        tokenizer("a b")
    sensitive = AttentionHTRTokenizer.from_published("sensitive")
    assert len(sensitive) == 96
    assert sensitive.decode(sensitive("A</s>l").input_ids) == "A</s>l"  # the name of the end symbol is text


def test_folding_survives_saving(tmp_path):
    for eos_token in ("</s>", None):
        tokenizer = AttentionHTRTokenizer.from_published("insensitive", eos_token=eos_token)
        tokenizer.save_pretrained(tmp_path)
        again = AttentionHTRTokenizer.from_pretrained(tmp_path)
        assert (again.do_lower_case, again.eos_token, again("Ab").input_ids) == (
            True, eos_token, tokenizer("Ab").input_ids,
        )  # fmt: skip


def test_images_are_squeezed_or_their_last_column_repeated():
    image = Image.fromarray(np.tile(np.arange(60, dtype=np.uint8), (64, 1)))
    squeezed = AttentionHTRImageProcessor()(image, return_tensors="pt").pixel_values
    assert squeezed.shape == (1, 1, 32, 100)
    assert -1 <= squeezed.min() < squeezed.max() < 0
    kept = AttentionHTRImageProcessor(keep_aspect_ratio=True)(image, return_tensors="pt").pixel_values
    assert kept.shape == (1, 1, 32, 100)
    torch.testing.assert_close(kept[..., 30:], kept[..., 29:30].expand(-1, -1, -1, 70))
    assert not torch.equal(kept[..., 29], kept[..., 28])


# --- reading ---


@pytest.mark.parametrize("network", NETWORKS)
def test_a_word_reads_the_same_alone_and_in_a_batch(network):
    recognizer = Recognizer(*build_attention_htr(network), device="cpu")
    images = [draw_line(word) for word in ("Wort", "a", "Umschlag")]
    together, alone = list(recognizer.read(images)), [next(recognizer.read([image])) for image in images]
    assert [line.text for line in together] == [line.text for line in alone]
    for image, line in zip(images, together, strict=True):
        assert all(0 <= each.start < each.end <= image.width for each in line.characters)


@torch.no_grad()
def test_generation():
    """Greedy generation writes what free running writes; a beam search finds nothing less probable."""
    model = build_attention_htr()[0]
    images = torch.randn(3, 1, 32, 100, generator=torch.Generator().manual_seed(1))

    def log_probability(sequences: torch.Tensor) -> torch.Tensor:
        logits = model(images, decoder_input_ids=sequences[:, :-1]).logits.log_softmax(-1)
        chosen = logits.gather(-1, sequences[:, 1:, None])[..., 0]
        after_the_end = (sequences[:, 1:] == 1).int().cumsum(-1).cumsum(-1) > 1
        return chosen.masked_fill(after_the_end, 0).sum(-1)

    greedy, free = model.generate(images)[:, 1:], model.read_ids(model(images))
    assert torch.equal(greedy.masked_fill(greedy == 1, 0), free[:, : greedy.shape[1]])
    beam = model.generate(images, num_beams=5)
    gain = log_probability(beam) - log_probability(model.generate(images))
    assert gain.min() > -1e-3
    assert gain.max() > 1e-2
    with pytest.raises(ValueError, match="CTC does not generate"):
        build_attention_htr("crnn")[0].generate(images)


# --- training ---


def test_evaluation_reads_without_being_told():
    """With labels the logits are those of teacher forcing; what is read must not be."""
    model = build_attention_htr()[0]
    images = torch.randn(2, 1, 32, 100)
    labels = torch.tensor([[5, 6, 7, 1], [8, 1, 0, 0]])
    outputs = model(images, labels=labels)
    free = model(images).logits.argmax(-1)
    ended = (free == 1).int().cumsum(-1) > 0
    assert torch.equal(model.read_ids(outputs), free.masked_fill(ended, 0))
    assert outputs.logits.shape[1] == 4
    padded = model(images, labels=torch.tensor([[5, 6, 7, 1], [8, 1, -100, -100]]))
    torch.testing.assert_close(padded.loss, outputs.loss)


@pytest.mark.parametrize("network", ["attention-htr", "crnn"])
def test_gradients_reach_everything_but_what_is_frozen(network):
    model = build_attention_htr(network)[0].train()
    model.freeze_backbone()
    model.train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.randn(2, 1, 32, 100), labels=torch.tensor([[5, 6, 1], [8, 1, 0]])).loss.backward()
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("model.transformation.", "model.features."))
        assert (parameter.grad is None) == frozen, name
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


@pytest.mark.parametrize("network", ["attention-htr", "crnn"])
@torch.no_grad()
def test_another_alphabet_keeps_what_was_learned(network):
    model = build_attention_htr(network)[0]
    images = torch.randn(2, 1, 32, 100)
    special = 2 if network == "attention-htr" else 1
    before = model(images, decoder_input_ids=torch.tensor([[0, 7, 8], [0, 5, 9]]) if special == 2 else None).logits
    order = [*range(special), 7, None, 8, 5, 9]
    model.replace_vocabulary(order)
    ids = {old: new for new, old in enumerate(order)}
    inputs = torch.tensor([[0, ids[7], ids[8]], [0, ids[5], ids[9]]]) if special == 2 else None
    after = model(images, decoder_input_ids=inputs).logits
    kept = [new for new, old in enumerate(order) if old is not None]
    torch.testing.assert_close(after[..., kept], before[..., [order[new] for new in kept]])
    assert model.config.vocab_size == len(order)
    with pytest.raises(ValueError, match="first classes"):
        model.replace_vocabulary([1, 0, 2])


@pytest.mark.parametrize("network", ["attention-htr", "crnn"])
def test_words_are_learned_by_heart(network):
    """With teacher forcing or CTC; then they are read without being told, greedily and by a beam search."""
    words = ["Wort", "bei", "Tal", "er", "Rad", "um"]
    torch.manual_seed(0)
    config = AttentionHTRConfig.from_name(network, feature_size=64, hidden_size=48)
    end = {} if network == "attention-htr" else {"eos_token": None}
    tokenizer = AttentionHTRTokenizer.from_corpus(words, **end)
    config.vocab_size = len(tokenizer)
    model = AttentionHTRForTextRecognition(config).train()
    processor = AttentionHTRProcessor(AttentionHTRImageProcessor(), tokenizer)
    batch = processor([{"image": draw_line(word), "text": word} for word in words])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(100):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
    for decoder in ("greedy", "beam"):
        recognizer = Recognizer(model, processor, device="cpu", decoder=decoder)
        assert [line.text for line in recognizer.read([draw_line(word) for word in words])] == words


def test_wrong_images_and_configurations_are_named():
    with pytest.raises(ValueError, match=r"32 × 100 pixels.*32 × 64"):
        AttentionHTRModel(AttentionHTRConfig(**NANO_ATTENTION_HTR))(torch.zeros(1, 1, 32, 64))
    for values in ({"features": "vit"}, {"image_size": [64, 100]}, {"num_control_points": 5}, {"pad_token_id": 3}):
        with pytest.raises(StrictDataclassClassValidationError, match=next(iter(values))):
            AttentionHTRConfig(**values)


# --- through the programs ---


def test_train_resume_evaluate_and_export(tmp_path, caplog):
    """From another alphabet, with the best model told by the loss and the first stages frozen."""
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, ["Wort", "a", "Umschlag", "x" * 30, "Rad", "bei", "Tal", "er"])
    model, processor = build_attention_htr()
    model.save_pretrained(tmp_path / "start")
    processor.save_pretrained(tmp_path / "start")
    (tmp_path / "letters.txt").write_text("abcdefghijklmnopqrstuvwxyzRTUW")

    def train(output, *more) -> None:
        call_script(
            "train.py", "--data", tmp_path / "words", "--output_dir", output, "--model", tmp_path / "start",
            "--charset", tmp_path / "letters.txt", "--freeze_backbone", "True", "--metric_for_best_model", "loss",
            "--early_stopping_patience", 5, "--max_steps", 4, "--save_steps", 2, "--eval_steps", 2,
            "--per_device_train_batch_size", 4, "--use_cpu", "True", "--report_to", "none", *more,
        )  # fmt: skip

    with caplog.at_level("INFO"):
        train(tmp_path / "whole")
    assert "train: 7 of 8 lines; left out: 1 × more than 25 characters" in caplog.text
    assert "charset: 30 characters" in caplog.text
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "stopped" / "checkpoint-2")
    train(tmp_path / "stopped", "--resume_from_checkpoint", "True")
    whole, resumed = (load_file(tmp_path / run / "checkpoint-4" / "ema.safetensors") for run in ("whole", "stopped"))
    assert len(whole["decoder.classifier.bias"]) == 32
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    start = load_file(tmp_path / "start" / "model.safetensors")
    for name, value in whole.items():
        frozen = name.startswith(("model.transformation.", "model.features."))
        assert (value.shape == start[name].shape and torch.equal(value, start[name])) == frozen, name

    call_script("export.py", "--model", tmp_path / "whole" / "best", "--output", tmp_path / "shared")
    assert "AttentionHTR](https://arxiv.org/abs/2201.09390)" in (tmp_path / "shared" / "README.md").read_text()
    data = ["--data", tmp_path / "words", "--split", "validation", "--output", tmp_path / "report"]
    call_script("evaluate.py", "--model", tmp_path / "shared", *data)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["all"]["lines"] == 8
    assert report["all"]["outside_charset"]["counts"] == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_tcm": True}, "no setting use_tcm"),
        ({"height": 64}, "--height 64"),
        ({"max_width": 8}, "--max_width 8"),
    ],
)
def test_settings_that_it_has_not_are_refused(settings, message):
    tokenizer = AttentionHTRTokenizer.from_published("sensitive")
    with pytest.raises(InputError, match=message):
        FAMILIES["attention_htr"].new_model(tokenizer, {"size": "crnn", **settings})


def test_new_models_have_the_charset_and_the_images_of_their_network():
    family = FAMILIES["attention_htr"]
    tokenizer = AttentionHTRTokenizer.from_corpus(["Ab"], do_lower_case=True, unknown="drop")
    assert tokenizer.charset == "ab"
    model, processor = family.new_model(tokenizer, {"size": "crnn", "image_preparation": "aspect", "max_width": 400})
    assert (len(processor.tokenizer), model.config.vocab_size) == (3, 3)
    assert (processor.tokenizer.unknown, processor.tokenizer.do_lower_case) == ("drop", True)
    assert processor(images=draw_line("Ab")).pixel_values.shape == (1, 1, 32, 400)
    assert family.settings_of(model, processor) == {
        "size": "crnn", "image_preparation": "aspect", "height": 32, "max_width": 400,
    }  # fmt: skip
    family.add_characters(model, processor, "ABC")
    assert processor.tokenizer.charset == "abc"
    assert model.config.vocab_size == 4


def test_an_empty_word_is_never_certain():
    _, processor = build_attention_htr()
    logits = torch.zeros(1, 3, len(processor.tokenizer))
    logits[..., processor.tokenizer.eos_token_id] = 9
    outputs = SimpleNamespace(
        logits=logits, alignments=torch.ones(1, 3, 5), encoder_last_hidden_state=torch.zeros(1, 5, 8)
    )
    assert processor.post_process_text_recognition(outputs) == [{"text": "", "score": 0}]
