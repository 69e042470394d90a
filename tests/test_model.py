"""Properties of the network beyond its published numbers."""

import re

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC, HTRConvTextModel
from modeling_htr_convtext.backbone_htr_convtext import HTRConvTextResidualBlock
from modeling_htr_convtext.masking_htr_convtext import draw_frame_mask
from tests.helpers import ROOT, build_model


def batch_of(widths: list[int], height: int = 32, padded_to: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Random lines and their mask. The padding is random too: it must not matter."""
    size = padded_to or max(widths)
    images = torch.rand(len(widths), 1, height, size, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(size)[None] < torch.tensor(widths)[:, None]).long()
    return images, mask


# --- any width, any batch ---


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("height", [32, 48, 64])
@torch.no_grad()
def test_a_line_reads_the_same_alone_and_in_a_batch(height, attention):
    widths = [1, 8, 37, 50, 63, 64, 129, 200, 203]
    model = build_model(attn_implementation=attention)
    assert all((layer.residuals[0].scale.abs() > 0.5).any() for layer in model.model.layers)
    images, mask = batch_of(widths, height, padded_to=224)
    batched = model(images, pixel_mask=mask)
    for index, width in enumerate(widths):
        alone = model(images[index : index + 1, :, :, :width]).logits[0]
        assert batched.attention_mask[index].sum() == len(alone)
        torch.testing.assert_close(batched.logits[index, : len(alone)], alone, atol=1e-4, rtol=0)


@torch.no_grad()
def test_padding_matters_without_a_mask():
    """What the mask is for; would fail if the test above could not."""
    model = build_model()
    images, _ = batch_of([100], padded_to=160)
    alone = model(images[..., :100]).logits[0]
    assert (model(images).logits[0, : len(alone)] - alone).abs().max() > 1e-2


@torch.no_grad()
def test_losses_do_not_depend_on_padding():
    model = build_model(use_tcm=True)
    images, mask = batch_of([120, 77], padded_to=160)
    labels = torch.tensor([[3, 4, 5, 5], [6, 7, -100, -100]])
    together = model(images, pixel_mask=mask, labels=labels)
    apart = [
        model(images[i : i + 1, :, :, :width], labels=labels[i : i + 1, :length])
        for i, (width, length) in enumerate([(120, 4), (77, 2)])
    ]
    torch.testing.assert_close(together.ctc_loss, sum(line.ctc_loss for line in apart) / 2, atol=1e-4, rtol=1e-5)
    weighted = (4 * apart[0].tcm_loss + 2 * apart[1].tcm_loss) / 6  # a mean over characters
    torch.testing.assert_close(together.tcm_loss, weighted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "flex_attention"])
@torch.no_grad()
def test_attention_implementations_agree(attention):
    # flex attention wants heads of at least 16
    model = build_model(hidden_size=64, num_attention_heads=4, mobilevit_head_dim=16, attn_implementation="eager")
    images, mask = batch_of([96, 64])
    eager = model(images, pixel_mask=mask).logits, model(images).logits
    model.set_attn_implementation(attention)
    assert model.config._attn_implementation == attention
    # Flex attention uncompiled: PyTorch 2.13 generates wrong C++ for it on a CPU (undeclared `cur_qSplitSize5`).
    with torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(model(images, pixel_mask=mask).logits, eager[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(model(images).logits, eager[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_compiles_as_one_graph_for_any_width(masked):
    model = build_model()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    for widths in ([96, 64], [101, 37], [64, 64]):
        images, mask = batch_of(widths)
        feed = {"pixel_mask": mask} if masked else {}
        torch.testing.assert_close(compiled(images, **feed).logits, model(images, **feed).logits, atol=1e-4, rtol=0)


def test_too_high_lines_are_refused():
    with pytest.raises(ValueError, match="64 pixels high"):
        build_model()(torch.rand(1, 1, 80, 64))


# --- configurations ---


@pytest.mark.parametrize(("size", "parameters"), [("tiny", 3_438_904), ("small", 16_551_440), ("base", 65_920_016)])
def test_sizes(size, parameters):
    """The first digits are in the README; `base` has as many as the published network."""
    with torch.device("meta"):
        model = HTRConvTextForCTC(HTRConvTextConfig.from_size(size, vocab_size=80))
    assert model.num_parameters() == parameters
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{size}`.* \| {parameters / 1e6:.1f} M \|", readme, re.MULTILINE)


@pytest.mark.parametrize("changes", [{}, {"downsample_after": None, "upsample_after": None}, {"upsample_after": 3}])
@torch.no_grad()
def test_frames_of_a_width_are_those_of_the_network(changes):
    model = build_model(**changes)
    widths = [*range(1, 71), 127, 128, 129, 501, 1000]
    frames = [model.config.frames(width) for width in widths]
    for width, expected in zip(widths, frames, strict=True):
        assert model(torch.rand(1, 1, 8, width)).logits.shape[1] == expected, width
    mask = (torch.arange(max(widths)) < torch.tensor(widths)[:, None]).long()
    outputs = model(torch.rand(len(widths), 1, 8, max(widths)), pixel_mask=mask)
    assert outputs.logits.shape[1] == max(frames)
    assert outputs.attention_mask.sum(-1).tolist() == frames
    assert model.config.frames(torch.tensor(widths)).tolist() == frames


def test_unknown_size_lists_the_known_ones():
    with pytest.raises(ValueError, match="tiny, small, base"):
        HTRConvTextConfig.from_size("huge")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads"),
        ({"backbone_hidden_sizes": [8, 16]}, "three widths"),
        ({"conv_kernel_size": 4}, "odd"),
        ({"upsample_after": None}, "both"),
        ({"downsample_after": 3, "upsample_after": 3}, "0 < down < up"),
        ({"masking": "spans"}, "masking"),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        HTRConvTextConfig(
            **{"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "downsample_after": 1,
               "upsample_after": 2, **wrong}
        )  # fmt: skip


def test_backbone_widths_do_not_force_head_sizes():
    model = build_model(
        hidden_size=36, num_attention_heads=3, backbone_hidden_sizes=[12, 20, 36], mobilevit_head_dim=10
    )
    assert model(torch.rand(1, 1, 32, 40)).logits.shape == (1, 10, model.config.vocab_size)


@torch.no_grad()
def test_without_the_unet():
    model = build_model(downsample_after=None, upsample_after=None)
    images, mask = batch_of([50, 37])
    batched = model(images, pixel_mask=mask).logits
    torch.testing.assert_close(batched[1, :10], model(images[1:, ..., :37]).logits[0], atol=1e-4, rtol=0)


def test_unet_may_end_with_the_encoder():
    assert build_model(upsample_after=3)(torch.rand(1, 1, 32, 44)).logits.shape[1] == 11


# --- training ---


def test_loss_is_the_weighted_sum_of_its_parts():
    model = build_model(use_tcm=True, ctc_loss_weight=0.3, tcm_loss_weight=2.0)
    outputs = model(torch.rand(2, 1, 32, 64), labels=torch.tensor([[1, 2], [3, 0]]))
    torch.testing.assert_close(outputs.loss, 0.3 * outputs.ctc_loss + 2.0 * outputs.tcm_loss)


def test_more_characters_than_frames_give_no_nan():
    model = build_model(use_tcm=True)
    outputs = model(torch.rand(2, 1, 32, 16), labels=torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, -100, -100, -100, -100]]))
    outputs.loss.backward()
    assert outputs.loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_labels_outside_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="28 classes"):
        build_model(vocab_size=28)(torch.rand(1, 1, 32, 64), labels=torch.tensor([[28]]))


def test_gradient_checkpointing_changes_nothing():
    gradients = []
    for checkpointing in (False, True):
        model = build_model().train()
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        assert all(layer.gradient_checkpointing == checkpointing for layer in model.model.layers)
        images, mask = batch_of([60, 33])
        model(images, pixel_mask=mask, labels=torch.tensor([[1, 2], [3, 4]])).loss.backward()
        gradients.append(model.model.layers[0].feed_forward1.up_proj.weight.grad.clone())
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("masking", ["span", "block", "single"])
def test_masked_training_hides_its_share(masking):
    torch.manual_seed(0)
    config = HTRConvTextConfig(masking=masking, mask_ratio=0.4)
    line = torch.arange(2000)[None] < torch.tensor([2000, 300])[:, None]
    masked = draw_frame_mask(config, (2, 2000), line, torch.device("cpu"))
    assert masked[0].float().mean().item() == pytest.approx(0.4, abs=0.06)
    assert not masked[1, 300:].any()
    runs = torch.diff(torch.cat([torch.zeros(1), masked[0].float(), torch.zeros(1)])).eq(1).sum()
    mean_run = masked[0].sum() / runs
    assert {"span": mean_run > 8, "block": 2 < mean_run < 8, "single": mean_run < 2.2}[masking]


def test_mixed_masking_draws_one_of_the_three_for_each_batch():
    config, device = HTRConvTextConfig(masking="mixed", mask_ratio=0.4), torch.device("cpu")
    torch.manual_seed(0)
    runs = []
    for _ in range(60):
        masked = draw_frame_mask(config, (1, 20_000), None, device)[0].float()
        assert masked.mean().item() == pytest.approx(0.4, abs=0.04)
        starts = torch.diff(torch.cat([torch.zeros(1), masked])).eq(1).sum()
        runs.append((masked.sum() / starts).item())
    counts = [sum(low < run < high for run in runs) for low, high in ((0, 2.2), (2.2, 8), (8, 99))]
    assert sum(counts) == 60
    assert min(counts) >= 10


def test_masked_training_is_for_training_only():
    torch.manual_seed(0)
    model = build_model(masking="span", use_tcm=True)
    images = torch.rand(2, 1, 32, 128)
    labels = torch.tensor([[1, 2, 3], [4, 5, -100]])
    plain = model(images).logits
    torch.testing.assert_close(plain, model(images).logits)
    model.train()
    outputs = model.model(images)
    assert 0 < outputs.masked_frames.sum() < outputs.masked_frames.numel()
    loss = model(images, labels=labels).loss
    loss.backward()
    assert model.model.mask_token.grad.abs().sum() > 0


def test_tcm_weighs_masked_characters_double():
    """The weight of a character is read where it would stand if the characters were spread evenly."""
    tcm = build_model(use_tcm=True).tcm_head
    frames = torch.rand(1, 9, 32)
    labels = torch.tensor([[1, 2, 3]])  # stand at frames 0, 4 and 8
    everywhere = torch.zeros(1, 9, dtype=torch.bool)
    losses = []
    for place in (0, 4, 8):
        masked = everywhere.clone()
        masked[0, place] = True
        losses.append(tcm.loss(frames, labels, masked_frames=masked))
    plain = tcm.loss(frames, labels)
    # Each doubles one of the three characters: (a + b + c + a) / 4 and so on, which add up to a + b + c.
    torch.testing.assert_close(sum(losses), 3 * plain, atol=1e-5, rtol=0)
    assert len({round(loss.item(), 5) for loss in losses}) == 3


def test_masked_training_of_lines_shorter_than_a_run():
    torch.manual_seed(0)
    config = HTRConvTextConfig(masking="span", mask_span_length=8)
    assert draw_frame_mask(config, (500, 3), None, torch.device("cpu")).float().mean() < 0.5


@pytest.mark.parametrize("use_tcm", [False, True])
def test_empty_texts(use_tcm):
    """A batch of empty texts trains towards blanks; its labels have no columns, and a tokenizer makes them floats."""
    model = build_model(use_tcm=use_tcm)
    outputs = model(torch.rand(2, 1, 32, 64), labels=torch.zeros(2, 0))
    assert outputs.ctc_loss > 0
    assert outputs.loss.isfinite()
    outputs.loss.backward()


# --- growing ---


@torch.no_grad()
def test_growing_the_vocabulary_keeps_what_was_learned():
    model = build_model(vocab_size=10, use_tcm=True)
    images, labels = torch.rand(2, 1, 32, 64), torch.tensor([[1, 2, 9], [3, 3, 0]])
    features = model.model(images).last_hidden_state
    left, _, _ = model.tcm_head.contexts(labels)
    logits, context_logits = model(images).logits, model.tcm_head(features, left, 0, None)

    model.resize_vocabulary(13)
    assert model.config.vocab_size == 13
    grown = model(images).logits
    torch.testing.assert_close(grown[..., :10], logits)
    assert (grown[..., 10:].mean() < logits.mean()).item()
    new_left, _, _ = model.tcm_head.contexts(labels)
    assert (new_left == 13).sum() == (left == 10).sum() > 0  # the padding id moved
    grown_context = model.tcm_head(features, new_left, 0, None)
    torch.testing.assert_close(grown_context[..., :10], context_logits[..., :10], atol=1e-3, rtol=0)
    torch.testing.assert_close(grown_context[..., 13], context_logits[..., 10], atol=1e-3, rtol=0)


@torch.no_grad()
def test_another_vocabulary_keeps_what_both_have():
    model = build_model(vocab_size=6, use_tcm=True)
    images, labels = torch.rand(2, 1, 32, 64), torch.tensor([[1, 4, 5], [5, 5, 0]])
    features = model.model(images).last_hidden_state
    left, _, _ = model.tcm_head.contexts(labels)
    logits, context_logits = model(images).logits, model.tcm_head(features, left, 0, None)

    model.replace_vocabulary([0, 5, None, 1, 4])
    assert model.config.vocab_size == 5
    torch.testing.assert_close(model(images).logits[..., [0, 1, 3, 4]], logits[..., [0, 5, 1, 4]])
    new_left, _, _ = model.tcm_head.contexts(torch.tensor([[3, 4, 1], [1, 1, 0]]))
    new_context_logits = model.tcm_head(features, new_left, 0, None)
    torch.testing.assert_close(
        new_context_logits[..., [0, 1, 3, 4, 5]], context_logits[..., [0, 5, 1, 4, 6]], atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(("old_ids", "message"), [([1, 0], "must be the blank"), ([0, 10], "Id 10 is outside")])
def test_wrong_vocabularies(old_ids, message):
    with pytest.raises(ValueError, match=message):
        build_model(vocab_size=10).replace_vocabulary(old_ids)


def test_the_vocabulary_cannot_shrink():
    with pytest.raises(ValueError, match="only grow"):
        build_model(vocab_size=10).resize_vocabulary(9)


def test_a_grown_model_saves_and_loads(tmp_path):
    model = build_model(vocab_size=10, use_tcm=True)
    model.resize_vocabulary(12)
    model.save_pretrained(tmp_path)
    loaded = HTRConvTextForCTC.from_pretrained(tmp_path)
    image = torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image).logits, model(image).logits)


# --- saving and loading ---


def test_weights_without_the_context_module(tmp_path):
    """A model trained with the module loads without it, and as a bare `HTRConvTextModel`, without complaint."""
    model = build_model(use_tcm=True, masking="span")
    model.save_pretrained(tmp_path)
    config = HTRConvTextConfig.from_pretrained(tmp_path, use_tcm=False, masking=None)
    loaded, info = HTRConvTextForCTC.from_pretrained(tmp_path, config=config, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    image = torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image).logits, model(image).logits)
        bare, info = HTRConvTextModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        torch.testing.assert_close(bare(image)[0], model.model(image)[0])


def test_loading_fills_every_tensor(tmp_path):
    """`from_pretrained` builds on the meta device: nothing may be left there, and nothing may keep a start value."""
    model = build_model(use_tcm=True, masking="block")
    model.save_pretrained(tmp_path)
    loaded = HTRConvTextForCTC.from_pretrained(tmp_path)
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], msg=name)


def test_start_values():
    model = HTRConvTextForCTC(HTRConvTextConfig.from_size("tiny", use_tcm=True, masking="span"))
    state = model.state_dict()
    assert (state["model.layers.0.residuals.0.scale"] == 0.5).all()
    assert (state["model.layers.0.attention.relative_position_bias.weight"] == 0).all()
    assert (state["model.downsample.depthwise_conv.weight"] == torch.tensor(1 / 3)).all()
    assert (state["tcm_head.embed.weight"][-1] == 0).all()
    assert (state["model.layers.0.feed_forward1.up_proj.bias"] == 0).all()
    bound = 0.5 * (6 / (128 + 512)) ** 0.5  # Xavier, times the gain of `tiny`
    assert state["model.layers.0.feed_forward1.up_proj.weight"].abs().max().item() == pytest.approx(bound, rel=0.01)


@torch.no_grad()
def test_bfloat16(tmp_path):
    build_model().save_pretrained(tmp_path)
    exact = HTRConvTextForCTC.from_pretrained(tmp_path, dtype=torch.float32).eval()
    model = HTRConvTextForCTC.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert model.ctc_head.weight.dtype == torch.bfloat16
    images, mask = batch_of([64, 40])
    logits = model(images, pixel_mask=mask).logits
    assert logits.dtype == torch.bfloat16
    expected = exact(images, pixel_mask=mask).logits
    assert (logits.float() - expected).norm() < 0.05 * expected.norm()
    loss = model(images, pixel_mask=mask, labels=torch.tensor([[1, 2], [3, 4]])).ctc_loss
    assert loss.dtype == torch.float32


def test_gradients_of_a_narrow_network_on_a_cpu():
    """The strided shortcut of a stage of 8 channels, which oneDNN alone computes wrongly or crashes on."""
    torch.manual_seed(0)
    block = HTRConvTextResidualBlock(8, 8, stride=(2, 1))
    images = torch.randn(4, 8, 8, 192).to(memory_format=torch.channels_last)
    gradients = []
    for enabled in (True, False):
        with torch.backends.mkldnn.flags(enabled=enabled, allow_tf32=False):
            gradients.append(torch.autograd.grad(block(images, None).square().sum(), block.shortcut.parameters()))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)
