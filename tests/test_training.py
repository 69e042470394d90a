"""The trainer: its losses, its metrics, what it changes of transformers' and what it shows."""

import functools
import re
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import EvalPrediction, Trainer, set_seed

from htr_convtext.data import LineAugmentation, TextPolicy
from htr_convtext.evaluation import measure
from htr_convtext.training import LineTrainer, LineTrainingArguments, character_metrics
from htr_convtext.training.scores import score_lines
from tests.helpers import build_model, build_trainer, predictions, use_saved_statistics


def test_loss_parts_are_logged_and_add_up(tmp_path, processor):
    trainer = build_trainer(tmp_path, processor, logging_steps=2)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2
    for entry in logged:
        expected = 0.1 * entry["ctc_loss"] + entry["tcm_loss"]
        assert float(entry["loss"]) == pytest.approx(expected, rel=1e-3)


def test_accumulation_does_not_scale_gradients(tmp_path, processor):
    """Two micro-batches of four are the mean of their losses, not the sum (`accepts_loss_kwargs`)."""
    norms = []
    for batch_size, accumulation in ((8, 1), (4, 2)):
        trainer = build_trainer(
            tmp_path, processor, model=build_model(use_tcm=False), max_steps=1, logging_steps=1,
            per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulation, max_grad_norm=1e9,
        )  # fmt: skip
        use_saved_statistics(trainer.model)
        trainer.train()
        norms.append(float(trainer.state.log_history[0]["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_predictions_leave_out_padding(tmp_path, processor):
    """Evaluation in one padded batch and line by line give the same metrics."""
    rates = []
    for batch_size in (1, 8):
        trainer = build_trainer(tmp_path, processor, per_device_eval_batch_size=batch_size)
        rates.append(trainer.evaluate())
    assert rates[0]["eval_cer"] == pytest.approx(rates[1]["eval_cer"])
    assert rates[0]["eval_cer"] > 0


def test_character_metrics(tokenizer):
    a, b = tokenizer("ab").input_ids
    predictions = np.array([[a, a, 0, b], [0, b, -100, -100]])
    labels = np.array([[a, b, -100], [a, b, b]])
    rates = character_metrics(tokenizer)(EvalPrediction(predictions=predictions, label_ids=labels))
    assert rates == {
        "cer": pytest.approx(2 / 5), "wer": pytest.approx(1 / 2), "accuracy": 1 / 2, "accuracy_caseless": 1 / 2,
        "ned": pytest.approx((1 + 1 / 3) / 2),
    }  # fmt: skip


# --- what is changed of transformers' trainer ---


def overridden_names() -> set[str]:
    """What `LineTrainer` defines, but for what it adds."""
    added = {
        "augmentation", "average", "best_checkpoint", "leave_process_group", "load_finished", "stopped_by",
        "_gradients_are_finite", "_skip_step", "_take_gradients_nearby", "_with_own_workers",
    }  # fmt: skip
    return {name for name in vars(LineTrainer) if not name.startswith("__")} - added


def test_what_is_overridden_is_there_and_called(tmp_path, processor, monkeypatch):
    """A method that transformers renames would silently be called no more: the averaged weights would be lost."""
    names = overridden_names()
    assert {"save_model", "evaluation_loop", "_get_train_sampler", "create_scheduler"} <= names
    assert names <= set(dir(Trainer))
    called = set()

    def watch(name: str):
        method = getattr(LineTrainer, name)

        @functools.wraps(method)
        def watched(self, *args, **kwargs):
            called.add(name)
            return method(self, *args, **kwargs)

        return watched

    for name in names:
        monkeypatch.setattr(LineTrainer, name, watch(name))
    settings = {
        "ema_decay": 0.9, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps",
        "load_best_model_at_end": True,
    }  # fmt: skip
    build_trainer(tmp_path, processor, max_steps=1, **settings).train()
    assert called == names
    called.clear()
    trainer = build_trainer(tmp_path, processor, max_steps=2, **settings)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    assert called == names
    assert trainer.state.global_step == 2
    best = load_file(f"{trainer.best_checkpoint}/ema.safetensors")
    assert all(torch.equal(value, best[name]) for name, value in trainer.model.state_dict().items())


def test_without_evaluations_training_ends_with_the_last_average(tmp_path, processor):
    trainer = build_trainer(tmp_path, processor, ema_decay=0.9, save_strategy="steps", save_steps=4)
    trainer.train()
    last = load_file(tmp_path / "run" / "checkpoint-4" / "ema.safetensors")
    assert all(torch.equal(value, last[name]) for name, value in trainer.model.state_dict().items())


def test_an_evaluation_before_training_changes_nothing(tmp_path, processor):
    """With dropout and augmentation, which draw from the generators that an evaluation could have moved on."""
    results = []
    for eval_on_start in (False, True):
        trainer = build_trainer(
            tmp_path, processor, model=build_model(use_tcm=True, hidden_dropout=0.2), eval_on_start=eval_on_start,
            augmentation=LineAugmentation.from_preset("default"), ema_decay=0.9, seed=7,
        )  # fmt: skip
        set_seed(7)
        trainer.train()
        results.append((trainer.model.state_dict(), [entry["step"] for entry in trainer.state.log_history]))
    (without, steps), (with_it, more_steps) = results
    assert more_steps == [0, *steps]
    assert all(torch.equal(value, without[name]) for name, value in with_it.items())


# --- what a run shows ---


def test_losses_are_shown_against_the_clock(tmp_path, processor, capsys, clock):
    settings = {"max_minutes": 1.0, "logging_steps": 10**6, "eval_on_start": True, "callbacks": [clock]}
    build_trainer(tmp_path, processor, **settings).train()
    before, *losses = capsys.readouterr().out.splitlines()
    assert re.match(r"before training: CER \d+\.\d\d %, WER \d+\.\d\d %, eval_loss \d", before)
    assert [line.partition(": loss ")[0] for line in losses] == ["step 4, 0.7 of 1 min", "step 7, 1.2 of 1 min"]
    build_trainer(tmp_path, processor, **settings | {"logging_strategy": "no", "eval_on_start": False}).train()
    assert not capsys.readouterr().out


def test_lines_and_bars(tmp_path, processor, capsys):
    build_trainer(tmp_path, processor, max_steps=2).train()
    shown = capsys.readouterr()
    assert re.match(r"step 1 of 2: loss \d", shown.out)
    assert "|" not in shown.err
    build_trainer(tmp_path, processor, max_steps=2, disable_tqdm=False).train()
    assert "2/2" in capsys.readouterr().err
    build_trainer(tmp_path, processor, max_minutes=1 / 60, disable_tqdm=False).train()
    shown = capsys.readouterr()
    assert re.search(r"100%.*\| \d\.\d of 0\.02 min, step \d", shown.err)
    assert re.search(r"^step 1, .* min: loss \d", shown.out)


def test_bars_are_for_terminals(tmp_path, monkeypatch):
    for terminal in (True, False):
        monkeypatch.setattr("sys.stderr", Mock(isatty=lambda terminal=terminal: terminal))
        assert LineTrainingArguments(output_dir=str(tmp_path)).disable_tqdm != terminal


def test_scores_are_those_of_the_evaluation():
    references, readings = ["ab cd", "ef", "gh"], ["ab cd", "ex", "gh"]
    scores = score_lines(references, readings)
    assert (scores.cer, scores.wer, scores.lines) == (pytest.approx(1 / 9), pytest.approx(1 / 4), 3)
    assert scores.cer_interval[0] == 0
    assert scores.cer < scores.cer_interval[1] <= 1 / 2
    assert str(scores).startswith("CER 11.11 % [0.00, ")
    lines = predictions(*zip(references, readings, strict=True))
    report = measure(lines, TextPolicy(), "abcdefghx ")["all"]["intervals"]
    assert report["cer"] == pytest.approx(scores.cer_interval)
    assert report["wer_space"] == pytest.approx(scores.wer_interval)
