"""The published recipe: golden values, and averaged weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from htr_convtext.export import export_model
from htr_convtext.training.averaging import WeightAverage, average_decay
from htr_convtext.training.sam import perturbed
from htr_convtext.training.schedule import warmup_cosine
from tests.helpers import ROOT, build_trainer


GOLDEN = np.load(ROOT / "tests" / "parity" / "golden.npz")


# --- golden values of the published program ---


def test_sam_with_adamw_takes_the_published_steps():
    a, b = torch.from_numpy(GOLDEN["sam_A"]), torch.from_numpy(GOLDEN["sam_B"])
    p, q = nn.Parameter(torch.linspace(-1, 1, 8)), nn.Parameter(torch.linspace(1, 2, 4))
    optimizer = torch.optim.AdamW([p, q], lr=0.01, betas=(0.9, 0.99), weight_decay=0.05)

    def backward():
        optimizer.zero_grad()
        ((a @ p).tanh() - b @ q).square().mean().backward()

    for expected in GOLDEN["sam_trajectory"]:
        backward()
        with perturbed([p, q], rho=0.05):
            backward()
        optimizer.step()
        torch.testing.assert_close(torch.cat([p, q]).detach(), torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_learning_rates_are_the_published_ones():
    rates = [1e-3 * warmup_cosine(int(step), 100_000, 1000, 1e-7 / 1e-3) for step in GOLDEN["lr_iters"]]
    np.testing.assert_allclose(rates, GOLDEN["lr_values"], rtol=1e-6)


def test_decays_of_the_average_are_the_published_ones():
    decays = [average_decay(update, 0.9999) for update in GOLDEN["ema_decay_updates"]]
    np.testing.assert_allclose(decays, GOLDEN["ema_decay"], rtol=1e-6)


# --- averaged weights ---


def test_average_follows_weights_and_statistics(tmp_path):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    model[0].weight.data.fill_(1.0)
    average = WeightAverage(model, 0.9999)
    model[0].weight.data.fill_(2.0)
    model[1].running_mean.fill_(4.0)
    model[1].num_batches_tracked.fill_(7)
    average.update(model)
    decay = 1.5 / 10.5  # update 1 counts as half
    assert average.average.module[0].weight.item() == pytest.approx(decay * 1 + (1 - decay) * 2)
    with average.swapped_into(model):
        assert model[1].running_mean.item() == pytest.approx((1 - decay) * 4)
        assert model[1].num_batches_tracked.item() == 7
    assert model[0].weight.item() == 2.0
    average.update(model)
    average.save(tmp_path)
    again = WeightAverage(model, 0.9999)
    again.load(tmp_path)
    for one in (average, again):
        one.update(model)
    assert again.average.module[0].weight.item() == average.average.module[0].weight.item()
    with pytest.raises(FileNotFoundError, match="ema_decay 0"):
        again.load(tmp_path / "nothing")


def test_evaluation_and_the_result_have_averaged_weights(tmp_path, processor):
    trainer = build_trainer(
        tmp_path, processor, ema_decay=0.9, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        load_best_model_at_end=True, learning_rate=1e-2, warmup_steps=0,
    )  # fmt: skip
    trainer.train()
    best = trainer.state.best_model_checkpoint
    averaged, raw = load_file(f"{best}/ema.safetensors"), load_file(f"{best}/model.safetensors")
    assert not torch.equal(averaged["ctc_head.weight"], raw["ctc_head.weight"])
    state = trainer.model.state_dict()
    for key, value in averaged.items():
        assert torch.equal(state[key], value), key
    step = int(best.rpartition("-")[2])
    logged = next(entry for entry in trainer.state.log_history if "eval_loss" in entry and entry["step"] == step)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(logged["eval_loss"], rel=1e-5)

    exported = export_model(best, tmp_path / "exported", half=False).state_dict()
    assert not any(key.startswith("tcm_head") for key in exported)
    for key, value in exported.items():
        assert torch.equal(value, averaged[key]), key


def test_checkpoints_without_an_optimizer_hold_the_averaged_weights(tmp_path, processor):
    build_trainer(
        tmp_path, processor, ema_decay=0.9, save_only_model=True, save_strategy="steps", save_steps=2, max_steps=2
    ).train()
    files = {path.name for path in (tmp_path / "run" / "checkpoint-2").iterdir()}
    assert {"model.safetensors", "ema.safetensors"} <= files
    assert "optimizer.pt" not in files
