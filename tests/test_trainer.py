"""The trainer: its steps, its time and patience, the best model, signals; and the settings that it refuses."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import TrainerCallback, TrainingArguments

from htr_convtext.errors import InputError
from htr_convtext.training import LineTrainer, LineTrainingArguments, ModelArguments, parse_arguments, train
from htr_convtext.training import build_model as build_from_settings
from htr_convtext.training.checkpoints import is_finished
from htr_convtext.training.sam import frozen_running_statistics
from htr_convtext.training.schedule import warmup_cosine
from tests.helpers import ROOT, StopAt, build_model, build_trainer, use_saved_statistics


def test_bf16_with_sam(tmp_path, processor):
    trainer = build_trainer(tmp_path, processor, bf16=True, sam_rho=0.05, ema_decay=0.9, learning_rate=1e-2)
    start = trainer.model.ctc_head.weight.detach().clone()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert float(losses[-1]) < float(losses[0])
    assert trainer.model.ctc_head.weight.dtype == torch.float32
    assert not torch.equal(trainer.model.ctc_head.weight, start)
    assert trainer.skipped_steps == 0


@pytest.mark.parametrize("accumulation", [1, 2])
def test_sam_in_the_trainer_is_sam_by_hand(tmp_path, processor, accumulation):
    trainer = build_trainer(
        tmp_path, processor, model=build_model(use_tcm=False), max_steps=2, optim="sgd", learning_rate=1e-2,
        warmup_steps=0, max_grad_norm=0.0, sam_rho=0.1, per_device_train_batch_size=8 // accumulation,
        gradient_accumulation_steps=accumulation,
    )  # fmt: skip
    use_saved_statistics(trainer.model)
    trainer.train()

    model = build_model(use_tcm=False)
    use_saved_statistics(model)
    batch = processor(list(trainer.train_dataset))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, weight_decay=0.05)
    for rate in (warmup_cosine(1, 2, 0, 1e-5), warmup_cosine(2, 2, 0, 1e-5)):
        optimizer.param_groups[0]["lr"] = 1e-2 * rate
        optimizer.zero_grad()
        model.train()(**batch).loss.backward()
        norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        moves = [0.1 * p.grad / norm for p in model.parameters()]
        start = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for p, move in zip(model.parameters(), moves, strict=True):
                p.add_(move)
        optimizer.zero_grad()
        model(**batch).loss.backward()
        with torch.no_grad():
            for p, value in zip(model.parameters(), start, strict=True):
                p.copy_(value)
        optimizer.step()
    for (name, ours), by_hand in zip(trainer.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, by_hand, atol=1e-5, rtol=1e-4, msg=name)


def test_second_pass_leaves_batch_statistics_alone():
    model = nn.BatchNorm1d(3)
    with frozen_running_statistics(model):
        model(torch.randn(4, 3))
    assert model.running_mean.abs().max() == 0
    model(torch.randn(4, 3))
    assert model.running_mean.abs().max() > 0


@pytest.mark.parametrize("rho", [0.0, 0.05])
def test_gradients_that_are_not_finite_skip_the_step(tmp_path, processor, rho):
    calls = []

    def poison(pixel_values, pixel_mask, seed):
        calls.append(seed)
        return pixel_values * float("nan") if len(calls) == 2 else pixel_values

    trainer = build_trainer(tmp_path, processor, augmentation=poison, max_steps=3, sam_rho=rho)
    norms = [module for module in trainer.model.modules() if isinstance(module, nn.BatchNorm2d)]
    weights = []

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))

    trainer.add_callback(Watch())
    trainer.train()
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert weights[2].isfinite().all()
    assert all(norm.running_mean.isfinite().all() for norm in norms)
    assert trainer.skipped_steps == 1
    assert [entry.get("skipped_steps") for entry in trainer.state.log_history if "loss" in entry] == [None, 1, 1]


def test_frozen_backbone_stays_as_it_is(tmp_path, processor):
    trainer = build_trainer(tmp_path, processor, freeze_backbone=True, warmup_steps=0, learning_rate=1e-2)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    for name, value in trainer.model.state_dict().items():
        if name.startswith("model.backbone"):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(trainer.model.ctc_head.weight, before["ctc_head.weight"])


def test_everything_decays(tmp_path, processor):
    trainer = build_trainer(tmp_path, processor)
    groups = trainer.create_optimizer().param_groups
    assert sum(len(group["params"]) for group in groups if group["weight_decay"] == 0.05) == len(
        list(trainer.model.parameters())
    )


def test_adadelta_is_that_of_the_word_readers_and_goes_on_the_same(tmp_path, processor):
    settings = {
        "optim": "adadelta", "learning_rate": 1.0, "min_learning_rate": 1.0, "warmup_steps": 0, "weight_decay": 0.0,
        "max_grad_norm": 5.0, "save_strategy": "steps", "save_steps": 2, "max_steps": 4,
    }  # fmt: skip
    results = []
    for stop in (False, True):
        folder = tmp_path / str(stop)
        trainer = build_trainer(folder, processor, **settings)
        if stop:
            trainer.add_callback(StopAt(2))
            trainer.train()
            assert trainer.state.global_step == 2
            trainer = build_trainer(folder, processor, **settings)
        trainer.train(resume_from_checkpoint=str(folder / "run" / "checkpoint-2") if stop else None)
        optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        assert type(optimizer) is torch.optim.Adadelta
        group = optimizer.param_groups[0]
        assert (group["lr"], group["rho"], group["eps"], group["weight_decay"]) == (1.0, 0.95, 1e-8, 0.0)
        rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
        assert rates == [1.0] * 4  # constant
        state = torch.load(folder / "run" / "checkpoint-4" / "optimizer.pt", weights_only=True)["state"]
        results.append((trainer.model.state_dict(), state))
    (whole, whole_state), (resumed, resumed_state) = results
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    for index, state in whole_state.items():
        assert all(torch.equal(value, resumed_state[index][name]) for name, value in state.items())
    start = build_model(use_tcm=True).state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in whole.items())


def test_batches_of_several_sources_go_on_where_they_stopped(tmp_path, processor):
    """Steps of two times two lines, of which three are of one source; the run stops inside its second epoch."""

    class Batches(LineTrainer):
        def training_step(self, model, inputs, *args):
            read.append([processor.tokenizer.decode(ids, group_tokens=False) for ids in inputs["labels"].tolist()])
            return super().training_step(model, inputs, *args)

    lines = build_trainer(tmp_path, processor).train_dataset
    sources = ["one" if index % 2 else "two" for index in range(len(lines))]
    lines = lines.remove_columns("source").add_column("source", sources)
    source_of = dict(zip(lines["text"], sources, strict=True))
    results = []
    for stop in (False, True):
        read = []
        settings = LineTrainingArguments(
            output_dir=str(tmp_path / f"{stop}"), max_steps=5, per_device_train_batch_size=2, use_cpu=True,
            gradient_accumulation_steps=2, source_weights=["one=3"], source_batches=True, report_to="none",
            eval_strategy="no", save_steps=3, load_best_model_at_end=False, disable_tqdm=True,
        )  # fmt: skip
        for resume in (False, True) if stop else (False,):
            trainer = Batches(
                model=build_model(use_tcm=True), args=settings, train_dataset=lines, data_collator=processor,
                processing_class=processor, callbacks=[StopAt(3)] if stop and not resume else [],
            )  # fmt: skip
            trainer.train(resume_from_checkpoint=resume)
        steps = [first + second for first, second in zip(read[::2], read[1::2], strict=True)]
        assert [[source_of[text] for text in step].count("one") for step in steps] == [3] * 5
        results.append((steps, trainer.model.state_dict()))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(value, results[1][1][name]) for name, value in results[0][1].items())


@pytest.mark.parametrize("name", ["iam", "lam", "read2016", "vnondb"])
def test_the_masked_recipe_of_a_settings_file_is_one(name, monkeypatch, tmp_path):
    """The command that the file tells stands in it whole, and gives a network that hides frames."""
    monkeypatch.chdir(ROOT)
    text = Path(f"scripts/configs/{name}.yaml").read_text()
    (command,) = re.findall(r"^#   htr train (.*)$", text, flags=re.MULTILINE)
    arguments, settings = parse_arguments([*command.split(), "--output_dir", str(tmp_path)])
    assert settings.per_device_train_batch_size == 32
    model, _ = build_from_settings(arguments, ["abc"])
    assert model.config.masking == "mixed"
    assert model.model.mask_token is not None
    plain, settings = parse_arguments([command.split()[0], "--output_dir", str(tmp_path)])
    assert (plain.masking, settings.per_device_train_batch_size) == (None, 64)


def test_time_budget_ends_training_and_bends_the_rate(tmp_path, processor, clock):
    trainer = build_trainer(
        tmp_path, processor, max_minutes=2, warmup_steps=2, learning_rate=1e-2, eval_strategy="steps",
        eval_steps=10_000, callbacks=[clock],
    )  # fmt: skip
    trainer.train()
    assert clock.seconds == 120 + 10 + 1000  # the step that finds the time used up is the last
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 13
    rates = [entry["learning_rate"] for entry in logged]
    assert rates[0] == pytest.approx(1e-2 * 2 / 3)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 2e-3
    assert logged[-1]["time_used"] == 1.0
    assert "eval_cer" in trainer.state.log_history[-2]  # evaluated at the end, though it was not the turn


def test_an_evaluation_before_training_takes_no_time(tmp_path, processor, clock):
    trainer = build_trainer(tmp_path, processor, max_minutes=1.0, eval_on_start=True, callbacks=[clock])
    trainer.train()
    assert clock.seconds == 1000 + 70
    used = [entry.get("time_used") for entry in trainer.state.log_history[:4]]
    assert used == [0.0, 0.0, round(1 / 6, 4), round(2 / 6, 4)]
    assert trainer.state.global_step == 7


def test_a_resumed_run_goes_on_counting(tmp_path, processor):
    """Its time and its patience, even if the run before had neither."""
    settings = {"save_strategy": "steps", "eval_strategy": "steps", "save_steps": 2, "eval_steps": 2,
                "load_best_model_at_end": True, "learning_rate": 1e-9, "freeze_backbone": True}  # fmt: skip
    build_trainer(tmp_path, processor, max_steps=2, **settings).train()
    settings |= {"early_stopping_patience": 3, "max_minutes": 10.0}
    trainer = build_trainer(tmp_path, processor, **settings)
    trainer.add_callback(StopAt(6))
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    saved = json.loads((tmp_path / "run" / "checkpoint-6" / "trainer_state.json").read_text())["stateful_callbacks"]
    elapsed = saved["TimeBudget"]["attributes"]["elapsed"]
    assert 0 < elapsed < 100
    assert saved["EarlyStopping"]["attributes"]["early_stopping_patience_counter"] == 2
    trainer = build_trainer(tmp_path, processor, **settings)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert trainer.state.global_step == 8  # the third evaluation without a better one
    assert trainer.time_budget.progress > elapsed / 600


def test_early_stopping(tmp_path, processor):
    trainer = build_trainer(
        tmp_path, processor, early_stopping_patience=2, learning_rate=1e-9, eval_strategy="steps", eval_steps=1,
        save_strategy="steps", save_steps=1, load_best_model_at_end=True, max_steps=20,
        freeze_backbone=True,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 3
    assert is_finished(tmp_path / "run" / "checkpoint-3", trainer.args)
    assert not is_finished(tmp_path / "run" / "checkpoint-1", trainer.args)  # the best


@pytest.mark.parametrize(
    ("metric", "given", "more"),
    [("accuracy", None, True), ("accuracy", True, True), ("ned", None, True), ("eval_loss", None, False)],
)
def test_the_best_model_is_that_of_the_metric(tmp_path, processor, metric, given, more):
    """Evaluations are made up: the second is best by all metrics, the patience of two ends the run at the fourth."""
    found = [{"loss": 2.0, "accuracy": 0.1, "ned": 0.5}, {"loss": 1.0, "accuracy": 0.3, "ned": 0.6}]
    found += 6 * [{"loss": 1.5, "accuracy": 0.2, "ned": 0.55}]
    trainer = build_trainer(
        tmp_path, processor, early_stopping_patience=2, eval_strategy="steps", eval_steps=1, save_strategy="steps",
        save_steps=1, load_best_model_at_end=True, max_steps=8, metric_for_best_model=metric, greater_is_better=given,
    )  # fmt: skip
    assert trainer.args.greater_is_better is more
    evaluate = trainer.evaluation_loop

    def made_up(*arguments, **options):
        output = evaluate(*arguments, **options)
        output.metrics.update({f"eval_{name}": value for name, value in found[trainer.state.global_step - 1].items()})
        return output

    trainer.evaluation_loop = made_up
    trainer.train()
    assert trainer.state.global_step == 4
    assert trainer.state.best_global_step == 2
    assert is_finished(tmp_path / "run" / "checkpoint-4", trainer.args)


def test_a_metric_that_there_is_not_is_named(tmp_path):
    settings = LineTrainingArguments(output_dir=str(tmp_path), metric_for_best_model="f1")
    with pytest.raises(InputError, match="--metric_for_best_model f1: choose one of loss, cer, wer, accuracy"):
        train(ModelArguments(data=[str(tmp_path)]), settings)


def test_a_finished_run_is_loaded_from_where_it_is(tmp_path, processor):
    settings = {"save_strategy": "steps", "eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    trainer = build_trainer(tmp_path, processor, max_steps=2, **settings)
    trainer.train()
    best = trainer.model.state_dict()
    (tmp_path / "run").rename(tmp_path / "moved")
    trainer = build_trainer(tmp_path, processor, max_steps=2, **settings)
    trainer.load_finished(str(tmp_path / "moved" / "checkpoint-2"))
    assert all(torch.equal(value, best[name]) for name, value in trainer.model.state_dict().items())
    shutil.rmtree(trainer.state.best_model_checkpoint)
    with pytest.raises(FileNotFoundError, match="is gone"):
        trainer.load_finished(str(tmp_path / "moved" / "checkpoint-2"))


def test_signals_are_given_back_when_training_fails(tmp_path, processor):
    before = signal.getsignal(signal.SIGINT)

    class Fail(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            raise MemoryError

    trainer = build_trainer(tmp_path, processor)
    trainer.add_callback(Fail())
    with pytest.raises(MemoryError):
        trainer.train()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_ends_training_with_a_checkpoint(tmp_path, processor):
    before = signal.getsignal(signal.SIGTERM)

    class Interrupt(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 1:
                signal.raise_signal(signal.SIGTERM)

    trainer = build_trainer(tmp_path, processor, save_strategy="steps", save_steps=100)
    trainer.add_callback(Interrupt())
    trainer.train()
    assert trainer.stopped_by == signal.SIGTERM
    assert trainer.state.global_step == 2
    assert (tmp_path / "run" / "checkpoint-2" / "trainer_state.json").exists()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ema_decay": 1.0}, r"^ema_decay must be in \[0, 1\), got 1.0"),
        ({"sam_rho": -0.1}, "^sam_rho must not be negative, got -0.1"),
        ({"max_minutes": -1}, "^max_minutes must not be negative, got -1"),
        ({"lr_scheduler_type": "constant"}, "^lr_scheduler_type has no effect: the schedule is"),
        ({"train_sampling_strategy": "sequential"}, "^train_sampling_strategy has no effect: batches are formed"),
        ({"do_predict": True}, "^do_predict has no effect"),
        ({"save_steps": 1000, "eval_steps": 200}, "^save_steps must be eval_steps"),
        ({"max_minutes": 1, "warmup_steps": 0.1}, "^With max_minutes warmup_steps must be a number of steps"),
        ({"eval_strategy": "no"}, "^Without evaluations .* give load_best_model_at_end False"),
        (
            {"eval_strategy": "no", "load_best_model_at_end": False, "early_stopping_patience": 2},
            "^early_stopping_patience has no effect without evaluations",
        ),
        ({"optim": "adadelta", "optim_args": "rho=1"}, "^optim_args has no effect with optim adadelta"),
        ({"source_batches": True}, "^source_batches has no effect without source_weights"),
        ({"source_weights": ["a"]}, "^'a' is not a data set and its weight"),
    ],
)
def test_wrong_settings(settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        LineTrainingArguments(output_dir=str(tmp_path), **settings)


def test_settings_that_follow_others(tmp_path):
    for epochs in (3, 5):
        settings = LineTrainingArguments(output_dir=str(tmp_path), eval_steps=200, num_train_epochs=epochs, bf16=True)
        assert (settings.save_steps, settings.max_steps) == (200, -1)
    settings = LineTrainingArguments(output_dir=str(tmp_path), num_train_epochs=5, max_steps=10_000)
    assert (settings.save_steps, settings.max_steps) == (1000, 10_000)
    assert LineTrainingArguments(output_dir=str(tmp_path)).max_steps == 10_000


@pytest.mark.parametrize(("capability", "warns"), [("AVX2", True), ("AVX512", False)])
def test_bf16_where_it_is_slow(tmp_path, monkeypatch, caplog, capability, warns):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    LineTrainingArguments(output_dir=str(tmp_path), use_cpu=True, bf16=True)
    assert ("--bf16 False" in caplog.text) == warns
    caplog.clear()
    LineTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert "bf16" not in caplog.text


def test_plain_training_arguments_are_refused(tmp_path, processor, model):
    with pytest.raises(TypeError, match="LineTrainingArguments"):
        LineTrainer(model=model, args=TrainingArguments(output_dir=str(tmp_path)), processing_class=processor)
