"""The trainer, and the scripts around a model's life: train, evaluate, export, recognise."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from transformers import EvalPrediction, TrainingArguments

from htr_convtext import HTRConvTextForCTC, HTRConvTextProcessor, UnknownCharacterError
from htr_convtext.data import LineCollator, load_lines, select_trainable
from htr_convtext.loading import load_model
from htr_convtext.training import HTRConvTextTrainer, character_metrics
from tests.conftest import build_model, draw_line, run_script
from tests.test_data import write_image_folder


WORDS = ["abc", "cab", "bac", "a cab", "ab", "bca", "c ab", "cba"]


@pytest.fixture
def lines(tmp_path):
    write_image_folder(tmp_path / "words", "train", WORDS)
    return load_lines(tmp_path / "words", "train")


def build_trainer(lines, processor, tmp_path, model=None, **kwargs) -> HTRConvTextTrainer:
    model = model or build_model(use_tcm=True)
    lines, _ = select_trainable(lines, processor, model.config)
    arguments = TrainingArguments(
        **{"output_dir": str(tmp_path / "run"), "max_steps": 4, "per_device_train_batch_size": 4, "logging_steps": 2,
           "use_cpu": True, "remove_unused_columns": False, "report_to": "none", "save_strategy": "no",
           "disable_tqdm": True, **kwargs}
    )  # fmt: skip
    return HTRConvTextTrainer(
        model=model, args=arguments, train_dataset=lines, eval_dataset=lines, processing_class=processor,
        data_collator=LineCollator(processor), compute_metrics=character_metrics(processor.tokenizer),
    )  # fmt: skip


def test_loss_parts_are_logged_and_add_up(lines, processor, tmp_path):
    trainer = build_trainer(lines, processor, tmp_path)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2
    for entry in logged:
        expected = 0.1 * entry["ctc_loss"] + entry["tcm_loss"]
        assert float(entry["loss"]) == pytest.approx(expected, rel=1e-3)


def test_accumulation_does_not_scale_gradients(lines, processor, tmp_path):
    """Two micro-batches of four are the mean of their losses, not the sum (`accepts_loss_kwargs`)."""
    norms = []
    for batch_size, accumulation in ((8, 1), (4, 2)):
        trainer = build_trainer(
            lines, processor, tmp_path, model=build_model(use_tcm=False), max_steps=1, logging_steps=1,
            per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulation, max_grad_norm=1e9,
        )  # fmt: skip
        # Batch norm with its saved statistics: with those of the batch, lines would not be independent.
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train = lambda mode=True, module=module: module
                module.training = False
        trainer.train()
        norms.append(float(trainer.state.log_history[0]["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_predictions_leave_out_padding(lines, processor, tmp_path):
    """Evaluation in one padded batch and line by line give the same metrics."""
    rates = []
    for batch_size in (1, 8):
        trainer = build_trainer(lines, processor, tmp_path, per_device_eval_batch_size=batch_size)
        rates.append(trainer.evaluate())
    assert rates[0]["eval_cer"] == pytest.approx(rates[1]["eval_cer"])
    assert rates[0]["eval_cer"] > 0


def test_character_metrics(tokenizer):
    a, b = tokenizer("ab").input_ids
    predictions = np.array([[a, a, 0, b], [0, b, -100, -100]])
    labels = np.array([[a, b, -100], [a, b, b]])
    rates = character_metrics(tokenizer)(EvalPrediction(predictions=predictions, label_ids=labels))
    assert rates == {"cer": pytest.approx(2 / 5), "wer": pytest.approx(1 / 2)}


def test_scripts_from_training_to_reading(tmp_path):
    """Learns eight words by heart on the way; the loop of a user with an own archive."""
    data, out = tmp_path / "words", tmp_path / "run"
    write_image_folder(data, "train", WORDS)
    write_image_folder(data, "validation", WORDS)
    common = ["--data", data, "--output_dir", out, "--height", 32, "--use_cpu", "True", "--disable_tqdm", "True"]
    common += ["--per_device_train_batch_size", 8, "--logging_steps", 20, "--report_to", "none", "--drop_path_rate", 0]
    common += ["--hidden_dropout", 0, "--attention_dropout", 0, "--warmup_steps", 10, "--learning_rate", 2e-3]
    steps = ["--eval_steps", 60, "--save_steps", 60]
    done = run_script("train.py", *common, *steps, "--max_steps", 60)
    assert "charset: 4 characters" in done.stderr
    assert "train: 8 of 8 lines" in done.stderr
    done = run_script("train.py", *common, *steps, "--max_steps", 120, "--resume_from_checkpoint", "True")
    state = json.loads((out / "checkpoint-120" / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "eval_cer" in entry] == [60, 120]

    done = run_script("export.py", "--model", out / "best", "--output", tmp_path / "model")
    exported = HTRConvTextForCTC.from_pretrained(tmp_path / "model")
    assert exported.tcm_head is None
    assert exported.dtype == torch.float32
    with pytest.raises(UnknownCharacterError):
        HTRConvTextProcessor.from_pretrained(tmp_path / "model").tokenizer("xyz")
    assert (tmp_path / "model" / "pipeline_htr_convtext.py").exists()

    write_image_folder(tmp_path / "more", "train", ["xyz", "zab"])
    write_image_folder(tmp_path / "more", "validation", ["xyz"])
    done = run_script(
        "train.py", "--data", tmp_path / "more", "--model", tmp_path / "model", "--max_steps", 1,
        "--output_dir", tmp_path / "tuned", "--use_cpu", "True", "--eval_steps", 1, "--save_steps", 1,
    )  # fmt: skip
    tuned = HTRConvTextForCTC.from_pretrained(tmp_path / "tuned" / "best")
    assert tuned.config.vocab_size == exported.config.vocab_size + 3
    assert tuned.tcm_head is not None
    learned = slice(0, exported.config.vocab_size)
    torch.testing.assert_close(tuned.ctc_head.weight[learned], exported.ctc_head.weight, atol=0.01, rtol=0)

    done = run_script(
        "evaluate.py", "--model", tmp_path / "model", "--data", data, "--split", "validation",
        "--output", tmp_path / "report", "--device", "cpu",
    )  # fmt: skip
    report = json.loads((tmp_path / "report" / "report.json").read_text())["sets"]["words"]
    assert report["lines"] == 8
    assert report["cer"] < 0.1, report
    assert f"{100 * report['cer']:.2f}" in done.stdout
    predictions = (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["reference"] for line in predictions) == sorted(WORDS)

    done = run_script("recognize.py", data / "validation" / "3.png", "--model", tmp_path / "model", "--device", "cpu")
    assert done.stdout == f"{data / 'validation' / '3.png'}\ta cab\n"


# --- scripts/recognize.py ---


def test_one_bad_file_does_not_stop_the_others(model_folder, tmp_path):
    folder = tmp_path / "lines"
    (folder / "below").mkdir(parents=True)
    draw_line("good").save(folder / "a.png")
    (folder / "b.jpg").write_bytes(b"not a picture")
    draw_line("good too").save(folder / "below" / "c.tif")
    (folder / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    output = tmp_path / "lines.jsonl"
    done = run_script(
        "recognize.py", folder, tmp_path / "gone.png", tmp_path / "empty", "--model", model_folder, "--format", "jsonl",
        "--output", output, "--batch-size", 2, "--device", "cpu", expect=1,
    )  # fmt: skip
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [os.path.basename(row["file"]) for row in rows] == ["a.png", "b.jpg", "c.tif", "gone.png", "empty"]
    assert ["error" in row for row in rows] == [False, True, False, True, True]
    assert set(rows[0]) == {"file", "text", "score"}
    assert "b.jpg" in done.stderr
    assert "no such file" in done.stderr
    assert "3 of 5 files could not be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_file_names_that_are_no_text(model_folder, tmp_path):
    """Archives have names in old encodings."""
    draw_line("good").save(tmp_path / "line.png")
    os.rename(tmp_path / "line.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    done = run_script("recognize.py", tmp_path, "--model", model_folder, "--device", "cpu")
    assert "caf\\udce9.png\t" in done.stdout


def test_damaged_weights_are_named(model_folder, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(model_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        load_model(folder)


@pytest.mark.parametrize("script", ["recognize.py", "train.py", "evaluate.py", "export.py", "convert_checkpoint.py"])
def test_help_has_examples(script):
    assert "Examples:" in run_script(script, "--help").stdout


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("recognize.py", ["--model", "nowhere", "x.png"], "nowhere"),
        ("train.py", ["--data", "nowhere", "--output_dir", "out"], "nowhere"),
        ("evaluate.py", ["--model", "nowhere", "--data", "x"], "nowhere"),
        ("export.py", ["--model", "nowhere", "--output", "out"], "nowhere"),
        ("recognize.py", ["--device", "cuda:9", "x.png"], "cuda:9"),
    ],
)
def test_missing_things_are_named_in_one_line(script, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_script(script, *arguments, expect=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
