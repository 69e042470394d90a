"""The trainer, and the scripts around a model's life: train, evaluate, export, recognise."""

import numpy as np
import pytest
from transformers import EvalPrediction

from htr_convtext.training import character_metrics
from tests.helpers import build_model, build_trainer, use_saved_statistics


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
    assert rates == {"cer": pytest.approx(2 / 5), "wer": pytest.approx(1 / 2)}
