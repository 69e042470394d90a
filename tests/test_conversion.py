"""Published checkpoints: conversion and refusal."""

import argparse
import json
import pickle
import random

import numpy as np
import pytest
import torch

from htr_convtext.checkpoint_files import CheckpointError, load_checkpoint
from htr_convtext.families.htr_convtext_checkpoints import convert_checkpoint
from modeling_htr_convtext import HTRConvTextForCTC
from processing import HTRConvTextProcessor
from tests.helpers import ROOT, call_script
from tests.parity.standin_weights import state_dict


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    """Stand-in weights under the published names (see tests/parity)."""
    manifest = json.loads((ROOT / "tests/parity/manifest.json").read_text())
    return {
        part: {name: torch.from_numpy(tensor) for name, tensor in state_dict(shapes, 7).items()}
        for part, shapes in manifest.items()
    }


@pytest.fixture(scope="module")
def checkpoint_file(weights, tmp_path_factory):
    """A file as the first release writes it: `module.` prefixes, a mask token, arguments, scalars and RNG states."""
    model = {f"module.{name}": tensor for name, tensor in weights["model"].items()}
    checkpoint = {
        "model": {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in model.items()},
        "state_dict_ema": {**model, "module.mask_token": torch.zeros(1, 1, 512)},
        "tcm_head": weights["tcm_head"],
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99)}]},
        "nb_iter": 100_000,
        "best_cer": np.float64(0.04),
        "best_wer": np.float32(0.129),
        "args": argparse.Namespace(nb_cls=80, data_path="./data/iam/", use_masking=False),
        "random_state": random.getstate(),
        "numpy_state": np.random.get_state(),
        "torch_state": torch.get_rng_state(),
    }
    path = tmp_path_factory.mktemp("published") / "best_CER.pth"
    torch.save(checkpoint, path)
    return path


def test_script_writes_a_folder_that_loads(checkpoint_file, weights, tmp_path):
    done = call_script(
        "convert_checkpoint.py", "--checkpoint", checkpoint_file, "--charset", "iam", "--output", tmp_path / "iam"
    )
    assert "65.9 M parameters, 79 characters" in done.stderr
    model = HTRConvTextForCTC.from_pretrained(tmp_path / "iam")
    torch.testing.assert_close(model.ctc_head.weight.data, weights["model"]["head.weight"])
    assert model.tcm_head is None
    processor = HTRConvTextProcessor.from_pretrained(tmp_path / "iam")
    assert processor.tokenizer.vocab_size == 80
    assert processor.image_processor.pad_to_max_width


def test_last_weights_and_context_module(checkpoint_file, weights):
    checkpoint = load_checkpoint(checkpoint_file)
    model = convert_checkpoint(checkpoint, 80, weights="model", keep_tcm=True)
    torch.testing.assert_close(model.ctc_head.weight.data, weights["model"]["head.weight"] + 1)
    torch.testing.assert_close(model.tcm_head.direction_embed.data[1], weights["tcm_head"]["dir_right"][0, 0])


def test_wrong_charset(checkpoint_file, tmp_path):
    done = call_script(
        "convert_checkpoint.py",
        "--checkpoint",
        checkpoint_file,
        "--charset",
        "lam",
        "--output",
        tmp_path / "lam",
        expect=1,
    )
    assert "80 classes, the charset 91" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lam").exists()


def test_missing_and_unexpected_tensors_are_listed(weights):
    model = dict(weights["model"])
    del model["norm.weight"]
    model["patch_embed.extra"] = torch.zeros(1)
    model["blocks.0.ls_attn.gamma"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as error:
        convert_checkpoint({"state_dict_ema": model}, 80)
    for part in ("1 missing: model.norm.weight", "patch_embed.extra", "residuals.0.scale (3,) instead of (512,)"):
        assert part in str(error.value)


def test_weights_that_are_not_there(weights):
    with pytest.raises(CheckpointError, match="state_dict_ema"):
        convert_checkpoint({"model": weights["model"]}, 80)
    with pytest.raises(CheckpointError, match="keep-tcm"):
        convert_checkpoint({"model": weights["model"]}, 80, weights="model", keep_tcm=True)


class Payload:
    """What a malicious file would do on loading."""

    def __reduce__(self):
        return (pytest.fail, ("the file ran code",))


def test_files_that_would_run_code_are_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"model": {}, "args": Payload()}, path)
    with pytest.raises(CheckpointError, match=r"evil\.pth: refused.*_Fail"):
        load_checkpoint(path)
    with open(tmp_path / "legacy.pth", "wb") as stream:
        pickle.dump({"args": Payload()}, stream)
    with pytest.raises(CheckpointError, match=r"legacy\.pth"):
        load_checkpoint(tmp_path / "legacy.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", None])
def test_files_that_are_no_checkpoints(tmp_path, content):
    path = tmp_path / "file.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"file\.pth"):
        load_checkpoint(path)
