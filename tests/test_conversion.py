"""Published checkpoints: conversion and refusal."""

import argparse
import json
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from htr_convtext.checkpoint_files import CheckpointError, load_checkpoint
from htr_convtext.families.attention_htr_checkpoints import config_of
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


# --- checkpoints that are damaged or made to harm: one line that names the cause ---


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({1: torch.zeros(1)}, "a key that is no name of a tensor, but of type int"),
        ({("a",): torch.zeros(1)}, "but of type tuple"),
        ({"x.qkv.weight": torch.zeros(())}, "1 unexpected: x.qkv.weight"),
        ({"head.weight": torch.zeros(())}, r"ctc_head.weight \(\) instead of \(80, 512\)"),
        ({"head.weight": torch.zeros(80, 512).to_sparse()}, "head.weight is no plain tensor"),
        ({"head.weight": torch.zeros(1).expand(80, 10**9)}, "head.weight is no plain tensor"),
        ({"head.weight": "text"}, "head.weight is of type str"),
        ({"a\nb" * 1000: torch.zeros(1)}, "1 unexpected: a ba ba"),
        ([torch.zeros(1)], "not a mapping"),
    ],
)
def test_tensors_that_are_none(tmp_path, tensors, message):
    torch.save({"state_dict_ema": tensors}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message) as error:
        convert_checkpoint(load_checkpoint(tmp_path / "a.pth"), 80)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("shape", [(), (0,), (3, 3), (30_000,)])
def test_sizes_of_no_network(shape):
    features = {"FeatureExtraction.ConvNet.0.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"Prediction\.bias has the shape"):
        config_of({**features, "Prediction.bias": torch.zeros(shape)})
    points = {"Transformation.LocalizationNetwork.localization_fc2.bias": torch.zeros(shape)}
    with pytest.raises(CheckpointError, match=r"localization_fc2\.bias has the shape"):
        config_of({**features, "Prediction.bias": torch.zeros(5), **points})


def nested(kind: type, depth: int):
    value = kind()
    for _ in range(depth):
        value = kind([value])
    return value


def doubled(depth: int):
    """2 ** `depth` values in a few bytes: to hash it takes for ever."""
    value = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


class Bytes:
    """A few bytes that ask for a terabyte."""

    def __reduce__(self):
        return bytearray, (10**12,)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nested(list, 300), "nested more than 100 deep"),
        (nested(tuple, 300), "nested more than 100 deep"),
        ([doubled(60)], "many millions"),
        (Bytes(), "makes a bytearray"),
    ],
)
def test_pickles_that_would_take_for_ever(tmp_path, value, message, is_zip):
    torch.save({"model": {}, "args": value}, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match=rf"a\.pth: refused.*{message}"):
        load_checkpoint(tmp_path / "a.pth")


def test_a_key_that_takes_for_ever_to_hash(tmp_path):
    """A pickle written by hand, {tuple of tuples: 1}: nobody could have made such a dict."""
    content = b"\x80\x02}(" + b"K\x01\x85" + b"2\x86" * 60 + b"K\x01u."
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", b"3\n")
    with pytest.raises(CheckpointError, match="many millions"):
        load_checkpoint(path)


def test_compressed_checkpoints_are_refused(tmp_path):
    """A few kilobytes of them may be gigabytes."""
    torch.save({"model": {"a": torch.zeros(100_000)}}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert load_checkpoint(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"b\.pth: refused.*is compressed"):
        load_checkpoint(tmp_path / "b.pth")
