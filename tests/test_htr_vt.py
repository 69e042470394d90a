"""The HTR-VT network: the size of the published one, lines of any width, training."""

import json
import shutil

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file

from htr_convtext.errors import InputError
from htr_convtext.families import FAMILIES, family_named
from htr_convtext.families.htr_vt import HTRVTFamily
from modeling_htr_vt import HTRVTConfig, HTRVTForCTC, HTRVTModel
from modeling_htr_vt.modeling_htr_vt import draw_span_mask
from tests.helpers import (
    NANO_HTR_VT,
    WORDS,
    build_htr_vt,
    build_trainer,
    call_script,
    draw_line,
    write_image_folder,
)


def test_the_size_of_the_published_network():
    """The published 53.5 M parameters have a mask token and a table of 128 positions, with 80 classes 53.49 M."""
    with torch.device("meta"):
        model = HTRVTForCTC(HTRVTConfig(vocab_size=80, masking="span"))
    assert model.num_parameters() == 53_387_792
    assert round((model.num_parameters() + 128 * 768) / 1e6, 2) == 53.49
    assert model(torch.empty(1, 1, 64, 512, device="meta")).logits.shape == (1, 128, 80)


# --- any width, any batch ---


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("height", [32, 64])
@torch.no_grad()
def test_a_line_reads_the_same_alone_and_in_a_batch(height, attention):
    widths = [1, 8, 37, 63, 64, 129, 203]
    model = build_htr_vt(attn_implementation=attention)
    images = torch.rand(len(widths), 1, height, 224)  # the padding too: it must not matter
    mask = (torch.arange(224)[None] < torch.tensor(widths)[:, None]).long()
    batched = model(images, pixel_mask=mask)
    for index, width in enumerate(widths):
        alone = model(images[index : index + 1, :, :, :width]).logits[0]
        assert batched.attention_mask[index].sum() == len(alone) == model.config.frames(width)
        torch.testing.assert_close(batched.logits[index, : len(alone)], alone, atol=1e-4, rtol=0)
        assert (model(images[index : index + 1]).logits[0, : len(alone)] - alone).abs().max() > 1e-2
    assert (model.read_ids(batched)[0, 1:] == 0).all()


@pytest.mark.parametrize("attention", ["sdpa", "flex_attention"])
@torch.no_grad()
def test_attention_implementations_agree(attention):
    model = build_htr_vt(attn_implementation="eager")
    images, mask = torch.rand(2, 1, 32, 96), torch.tensor([[1] * 96, [1] * 64 + [0] * 32])
    eager = model(images, pixel_mask=mask).logits
    model.set_attn_implementation(attention)
    with torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(model(images, pixel_mask=mask).logits[:, :16], eager[:, :16], atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_order_of_frames_matters():
    """Attention alone would not see it: at one pixel row all that tells frames apart is their position."""
    model = build_htr_vt()
    frames = torch.rand(1, 10, 32)
    model.model.backbone.forward = lambda pixel_values, lengths: frames.transpose(1, 2)[:, :, None]
    image = torch.rand(1, 1, 32, 40)
    there = model(image).logits
    frames = frames.flip(1)
    assert (model(image).logits.flip(1) - there).abs().max() > 1e-2


@torch.no_grad()
def test_compiles_as_one_graph_for_any_width():
    model = build_htr_vt()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    for width in (96, 101):
        images, mask = torch.rand(2, 1, 32, width), torch.tensor([[1] * width, [1] * 37 + [0] * (width - 37)])
        expected = model(images, pixel_mask=mask).logits
        torch.testing.assert_close(compiled(images, pixel_mask=mask).logits, expected, atol=1e-4, rtol=0)


def test_too_high_lines_are_refused():
    with pytest.raises(ValueError, match="64 pixels high"):
        build_htr_vt()(torch.rand(1, 1, 80, 64))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads"),
        ({"hidden_size": 33, "num_attention_heads": 3, "backbone_hidden_sizes": [8, 16, 33]}, "even"),
        ({"backbone_hidden_sizes": [8, 16]}, "three widths"),
        ({"masking": "block"}, "masking"),
        ({"mask_ratio": 1.0}, "mask_ratio"),
        ({"pad_token_id": 1}, "blank"),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        HTRVTConfig(**{**NANO_HTR_VT, **wrong})


# --- training ---


def test_spans_hide_their_share():
    torch.manual_seed(0)
    masked = draw_span_mask((4, 3000), ratio=0.4, span_length=8)
    assert masked.float().mean().item() == pytest.approx(0.4, abs=0.03)
    runs = torch.diff(masked.float(), prepend=torch.zeros(4, 1), append=torch.zeros(4, 1)).eq(1).sum()
    assert masked.sum() / runs > 8
    assert draw_span_mask((2, 3), ratio=0.4, span_length=8).shape == (2, 3)


def test_masked_training_is_for_training_only():
    torch.manual_seed(0)
    model, images = build_htr_vt(masking="span"), torch.rand(2, 1, 32, 128)
    torch.testing.assert_close(model(images).logits, model(images).logits)
    model.train()
    assert (model(images).logits - model(images).logits).abs().max() > 1e-2
    model(images, labels=torch.tensor([[1, 2, 3], [4, 5, -100]])).loss.backward()
    assert model.model.mask_token.grad.abs().sum() > 0


def test_the_loss_counts_real_frames_and_characters():
    model = build_htr_vt()
    images, mask = torch.rand(2, 1, 32, 96), torch.tensor([[1] * 96, [1] * 50 + [0] * 46])
    labels = torch.tensor([[3, 4, 5], [6, 7, -100]])
    together = model(images, pixel_mask=mask, labels=labels)
    apart = [model(images[i : i + 1, ..., :w], labels=labels[i : i + 1, :n]) for i, w, n in [(0, 96, 3), (1, 50, 2)]]
    torch.testing.assert_close(together.loss, (apart[0].loss + apart[1].loss) / 2)
    assert together.ctc_loss == together.loss
    with pytest.raises(ValueError, match="29 classes"):
        model(images, labels=torch.tensor([[29], [1]]))
    too_long = model(images[..., :8], labels=labels)
    too_long.loss.backward()
    assert too_long.loss.isfinite()


def test_training_lowers_the_loss(processor):
    torch.manual_seed(0)
    model = HTRVTForCTC(HTRVTConfig(**NANO_HTR_VT, masking="span")).train()
    batch = processor(images=[draw_line(word) for word in WORDS], text=WORDS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[5:10])


def test_the_trainer_trains_it(tmp_path, processor):
    model = build_htr_vt(masking="span")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = build_trainer(
        tmp_path, processor, model, sam_rho=0.05, ema_decay=0.9, freeze_backbone=True, gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
    )  # fmt: skip
    trainer.train()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("model.backbone") for name in moved)
    (logged,) = [entry for entry in trainer.state.log_history if entry.get("step") == 4 and "ctc_loss" in entry]
    assert logged["ctc_loss"] == pytest.approx(logged["loss"], rel=1e-3)


def test_gradient_checkpointing_changes_nothing():
    gradients = []
    for checkpointing in (False, True):
        model = build_htr_vt().train()
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        assert all(layer.gradient_checkpointing == checkpointing for layer in model.model.layers)
        torch.manual_seed(1)
        model(torch.rand(2, 1, 32, 60), labels=torch.tensor([[1, 2], [3, 4]])).loss.backward()
        gradients.append(model.model.layers[0].mlp.fc1.weight.grad.clone())
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_vocabulary_grows_and_is_replaced():
    model, image = build_htr_vt(), torch.rand(1, 1, 32, 64)
    before = model(image).logits
    model.resize_vocabulary(31)
    after = model(image).logits
    torch.testing.assert_close(after[..., :29], before)
    assert model.config.vocab_size == after.shape[-1] == 31
    model.replace_vocabulary([0, 5, None])
    torch.testing.assert_close(model(image).logits[..., :2], before[..., [0, 5]])
    for wrong in ([1, 0], [0, 3], []):
        with pytest.raises(ValueError, match=r"blank|outside"):
            model.replace_vocabulary(wrong)
    with pytest.raises(ValueError, match="only grow"):
        model.resize_vocabulary(2)


def test_saved_weights_load_with_and_without_head_and_mask_token(tmp_path, caplog):
    model, image = build_htr_vt(masking="span"), torch.rand(1, 1, 32, 64)
    model.save_pretrained(tmp_path)
    config = HTRVTConfig.from_pretrained(tmp_path, masking=None)
    plain, info = HTRVTForCTC.from_pretrained(tmp_path, config=config, output_loading_info=True)
    torch.testing.assert_close(plain(image).logits, model(image).logits)
    assert plain.model.mask_token is None
    assert not info["unexpected_keys"]
    _, info = HTRVTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"] | info["missing_keys"]
    plain.save_pretrained(tmp_path / "plain")
    config = HTRVTConfig.from_pretrained(tmp_path / "plain", masking="span")
    again, info = HTRVTForCTC.from_pretrained(tmp_path / "plain", config=config, output_loading_info=True)
    assert not info["missing_keys"]
    assert 0 < again.model.mask_token.abs().max() < 0.2


# --- through the programs ---


@pytest.fixture
def small_family(monkeypatch):
    """`--size htr-vt` is a network of some thousand parameters."""
    monkeypatch.setattr(
        HTRVTFamily, "new_config", lambda self, size, **values: HTRVTConfig(**{**NANO_HTR_VT, **values})
    )


def test_train_evaluate_resume_and_export(tmp_path, small_family):
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, WORDS)

    def train(output, *more):
        call_script(
            "train.py", "--data", tmp_path / "words", "--output_dir", output, "--size", "htr-vt", "--height", 32,
            "--max_steps", 4, "--save_steps", 2, "--eval_steps", 2, "--per_device_train_batch_size", 4,
            "--logging_steps", 1, "--sam_rho", 0.05, "--use_cpu", "True", "--report_to", "none", *more,
        )  # fmt: skip

    train(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "stopped" / "checkpoint-2")
    train(tmp_path / "stopped", "--resume_from_checkpoint", "True")
    whole, resumed = (load_file(tmp_path / run / "checkpoint-4" / "ema.safetensors") for run in ("whole", "stopped"))
    assert "model.mask_token" in whole
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())

    call_script("export.py", "--model", tmp_path / "whole" / "best", "--output", tmp_path / "shared")
    config = json.loads((tmp_path / "shared" / "config.json").read_text())
    assert config["model_type"] == "htr_vt"
    assert config["masking"] is None
    assert "model.mask_token" not in load_file(tmp_path / "shared" / "model.safetensors")
    assert "[HTR-VT](https://arxiv.org/abs/2409.08573), CTC" in (tmp_path / "shared" / "README.md").read_text()
    call_script("evaluate.py", "--model", tmp_path / "shared", "--data", tmp_path / "words", "--split", "validation")

    train(tmp_path / "further", "--model", tmp_path / "shared", "--masking", "none")
    assert "model.mask_token" not in load_file(tmp_path / "further" / "checkpoint-4" / "model.safetensors")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masking": "block"}, "--masking block: a htr_vt model hides spans, or none"),
        ({"use_tcm": False}, "no setting use_tcm"),
        ({"drop_path_rate": 0.2}, "no setting drop_path_rate"),
    ],
)
def test_settings_that_it_has_not_are_refused(tokenizer, settings, message):
    with pytest.raises(InputError, match=message):
        FAMILIES["htr_vt"].new_model(tokenizer, {"size": "htr-vt", **settings})


def test_the_settings_of_a_saved_model_are_known(processor):
    family = FAMILIES["htr_vt"]
    with torch.device("meta"):
        model = HTRVTForCTC(HTRVTConfig(vocab_size=30, masking="span"))
    settings = family.settings_of(model, processor)
    assert settings["size"] == "htr-vt"
    assert settings["masking"] == "span"
    assert settings["height"] == 32
    assert family.settings_of(build_htr_vt(), processor)["size"] is None
    assert family_named("htr-vt") is family
