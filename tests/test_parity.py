"""The published network's numbers, from stand-in weights (tests/parity/README.md)."""

import json

import numpy as np
import pytest
import torch

from htr_convtext.families.htr_convtext_checkpoints import convert_checkpoint
from processing import HTRConvTextTokenizer
from tests.helpers import ROOT
from tests.parity.standin_weights import state_dict


WIDTHS = (512, 256, 608, 500)
KEPT = {
    "backbone_512": np.s_[:, ::8, :, ::4],
    "features_512": np.s_[:, ::4, ::8],
    "logits_256": np.s_[:, ::2],
    "logits_608": np.s_[:, ::2],
}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(ROOT / "tests/parity/golden.npz"))


@pytest.fixture(scope="module")
def images() -> dict[int, torch.Tensor]:
    generator = np.random.Generator(np.random.PCG64(1007))
    return {width: torch.from_numpy(generator.uniform(0, 1, (2, 1, 64, width)).astype(np.float32)) for width in WIDTHS}


@pytest.fixture(scope="module")
def model():
    manifest = json.loads((ROOT / "tests/parity/manifest.json").read_text())
    weights = {
        part: {name: torch.from_numpy(tensor) for name, tensor in state_dict(shapes, 7).items()}
        for part, shapes in manifest.items()
    }
    weights["tcm_head"]["emb.weight"][-1] = 0  # the row of the padding id: the published program holds it at zero
    checkpoint = {"state_dict_ema": weights["model"], "tcm_head": weights["tcm_head"]}
    return convert_checkpoint(checkpoint, vocab_size=80, keep_tcm=True)


@pytest.fixture(scope="module")
def labels(golden):
    tokenizer = HTRConvTextTokenizer.from_published("iam")
    assert tokenizer.charset == str(golden["charset"])
    return tokenizer([str(text) for text in golden["texts"]], padding=True, return_tensors="pt").input_ids


def assert_golden(actual: torch.Tensor, golden: dict, name: str) -> None:
    expected = golden[name]
    np.testing.assert_allclose(actual.numpy()[KEPT.get(name, ...)], expected, atol=1e-4, rtol=0)


def test_has_the_published_size(model):
    counted = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("tcm_head"))
    assert round(counted / 1e6, 1) == 65.9


@torch.no_grad()
def test_backbone_and_features(model, images, golden):
    assert_golden(model.model.backbone(images[512], None), golden, "backbone_512")
    assert_golden(model.model(images[512]).last_hidden_state, golden, "features_512")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_logits(model, images, golden, width, masked):
    """A mask that hides nothing changes nothing."""
    mask = torch.ones(2, width) if masked else None
    assert_golden(model(images[width], pixel_mask=mask).logits, golden, f"logits_{width}")


@torch.no_grad()
def test_textual_contexts(model, images, golden, labels):
    left, right, mask = model.tcm_head.contexts(labels)
    np.testing.assert_array_equal(left.numpy(), golden["tcm_left"])
    np.testing.assert_array_equal(right.numpy(), golden["tcm_right"])
    np.testing.assert_array_equal(mask.numpy(), golden["tcm_mask"])
    features = model.model(images[512]).last_hidden_state
    assert_golden(model.tcm_head(features, left, 0, None), golden, "tcm_logits_left")


@torch.no_grad()
def test_losses(model, images, golden, labels):
    outputs = model(images[512], labels=labels)
    np.testing.assert_allclose(outputs.ctc_loss.item(), golden["ctc_loss"].mean(), rtol=1e-5)
    np.testing.assert_allclose(outputs.tcm_loss.item(), golden["tcm_loss"], rtol=1e-5)
    np.testing.assert_allclose(outputs.loss.item(), golden["total_loss"], rtol=1e-5)


@torch.no_grad()
def test_greedy_text(model, images, golden):
    token_ids = model(images[512]).logits.argmax(-1)
    assert HTRConvTextTokenizer.from_published("iam").batch_decode(token_ids) == golden["greedy"].tolist()
