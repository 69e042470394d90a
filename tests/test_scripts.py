"""The programs in `scripts/`, run as a user does: train, evaluate, export, recognise."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from htr_convtext.data import TextPolicy
from htr_convtext.training import ModelArguments, find_text_policy, parse_arguments, parse_weights
from htr_convtext.training import build_model as build_from_arguments
from modeling_htr_convtext import HTRConvTextForCTC
from processing import HTRConvTextProcessor, HTRConvTextTokenizer, UnknownCharacterError
from tests.helpers import CHARSET, ROOT, WORDS, call_script, run_script, write_image_folder


def test_scripts_from_training_to_reading(tmp_path):
    """Learns eight words by heart on the way; the loop of a user with an own archive."""
    data, out = tmp_path / "words", tmp_path / "run"
    write_image_folder(data, "train", WORDS)
    write_image_folder(data, "validation", WORDS)
    (tmp_path / "settings.yaml").write_text(
        f"data: [{data}]\noutput_dir: {out}\nheight: 32\naugmentation: none\nhidden_dropout: 0\nattention_dropout: 0\n"
        "drop_path_rate: 0\nper_device_train_batch_size: 8\nlearning_rate: 2e-3\nwarmup_steps: 10\nlogging_steps: 20\n"
        "eval_steps: 60\nmax_steps: 9999\nuse_cpu: true\ndisable_tqdm: true\n"
    )
    done = run_script("train.py", tmp_path / "settings.yaml", "--max_steps", 60)
    assert "charset: 4 characters" in done.stderr
    assert "train: 8 of 8 lines" in done.stderr
    for name in ("curves.png", "samples.png"):
        assert Image.open(out / name).width > 1000
    events = EventAccumulator(str(next((out / "runs").glob("*"))), {"images": 0}).Reload().Tags()
    assert {"train/ctc_loss", "train/tcm_loss", "train/learning_rate", "eval/cer"} <= set(events["scalars"])
    assert "samples" in events["images"]
    run_script("train.py", tmp_path / "settings.yaml", "--max_steps", 120, "--resume_from_checkpoint", "True")
    state = json.loads((out / "checkpoint-120" / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "eval_cer" in entry] == [60, 120]

    done = call_script("export.py", "--model", out / "best", "--output", tmp_path / "model")
    exported = HTRConvTextForCTC.from_pretrained(tmp_path / "model")
    assert exported.tcm_head is None
    assert exported.dtype == torch.float32
    with pytest.raises(UnknownCharacterError):
        HTRConvTextProcessor.from_pretrained(tmp_path / "model").tokenizer("xyz")
    assert (tmp_path / "model" / "pipeline_lines.py").exists()

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

    done = call_script(
        "evaluate.py", "--model", tmp_path / "model", "--data", data, "--split", "validation",
        "--output", tmp_path / "report", "--device", "cpu",
    )  # fmt: skip
    report = json.loads((tmp_path / "report" / "report.json").read_text())["sets"]["words"]
    assert report["lines"] == 8
    assert report["cer"] < 0.1, report
    assert f"{100 * report['cer']:.2f}" in done.stdout
    predictions = (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["reference"] for line in predictions) == sorted(WORDS)

    done = call_script("recognize.py", data / "validation" / "3.png", "--model", tmp_path / "model", "--device", "cpu")
    assert done.stdout == f"{data / 'validation' / '3.png'}\ta cab\n"


def test_lines_are_learned_by_heart(tmp_path):
    write_image_folder(tmp_path / "words", "train", WORDS)
    done = run_script("overfit.py", "--data", tmp_path / "words", "--max-steps", 600, "--learning-rate", 2e-3)
    assert "All 8 lines are read without an error" in done.stdout
    done = call_script("overfit.py", "--data", tmp_path / "words", "--max-steps", 2, expect=1)
    assert "after 2 steps the CER is still" in done.stderr


def test_text_policy_of_the_data_or_the_model(tmp_path, model_folder):
    policy = TextPolicy(long_s="s")
    (tmp_path / "a").mkdir()
    arguments = ModelArguments(data=[str(tmp_path / "a")])
    assert find_text_policy(arguments) == TextPolicy()
    policy.to_file(tmp_path / "a" / "text_policy.json")
    assert find_text_policy(arguments) == policy
    arguments.model = str(model_folder)
    assert find_text_policy(arguments) == policy
    shutil.copytree(model_folder, tmp_path / "model")
    tokenizer = HTRConvTextTokenizer.from_pretrained(tmp_path / "model")
    TextPolicy(whitespace="keep").store_in(tokenizer)
    tokenizer.save_pretrained(tmp_path / "model")
    arguments.model = str(tmp_path / "model")
    assert find_text_policy(arguments) == policy  # that of the data
    assert find_text_policy(ModelArguments(data=["b"], model=arguments.model)) == TextPolicy(whitespace="keep")
    (tmp_path / "b").mkdir()
    TextPolicy(whitespace="keep").to_file(tmp_path / "b" / "text_policy.json")
    arguments.data.append(str(tmp_path / "b"))
    with pytest.raises(ValueError, match="--text_policy"):
        find_text_policy(arguments)
    arguments.text_policy = str(tmp_path / "a" / "text_policy.json")
    assert find_text_policy(arguments) == policy
    assert TextPolicy.of(build_from_arguments(arguments, ["abc"], policy)[1].tokenizer) == policy


def test_preview_of_augmentation(tmp_path):
    write_image_folder(tmp_path / "words", "train", WORDS)
    (tmp_path / "words" / "train" / "3.png").write_bytes(b"no image")
    write_image_folder(tmp_path / "words", "validation", WORDS)
    picture = tmp_path / "augmentations.png"
    call_script("train.py", "--data", tmp_path / "words", "--output_dir", tmp_path / "run", "--preview", picture)
    assert Image.open(picture).height > 500
    assert not (tmp_path / "run").exists()


def test_a_weight_without_its_data_set_is_named(tmp_path):
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, WORDS)
    done = call_script(
        "train.py", "--data", tmp_path / "words", "--output_dir", tmp_path, "--source_weights", "wrods=2", expect=1
    )
    assert "no data set 'wrods' to weigh; there are words" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_weight_of_a_data_set_of_which_no_line_can_be_used_is_named(tmp_path):
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, WORDS)
    write_image_folder(tmp_path / "broken", "train", WORDS)
    for image in (tmp_path / "broken" / "train").glob("*.png"):
        image.write_bytes(b"no image")
    done = call_script(
        "train.py", "--data", tmp_path / "words", tmp_path / "broken", "--output_dir", tmp_path,
        "--source_weights", "broken=2", expect=1,
    )  # fmt: skip
    assert "no data set 'broken' to weigh; there are words" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a", "must map"), ("a: {b: c}", "value of a"), ("a: [", "not YAML"), ("learning_rat: 1", "learning_rat"),
     ("data: [x]\nema_decay: 2", "ema_decay"), ("data: [x]\nsource_weights: [x=a]", "'x=a' is not")],
)  # fmt: skip
def test_wrong_settings_files_are_named(content, message, tmp_path, capsys):
    (tmp_path / "settings.yaml").write_text(content)
    with pytest.raises((SystemExit, ValueError)) as raised:
        parse_arguments([str(tmp_path / "settings.yaml"), "--output_dir", str(tmp_path)])
    assert message in capsys.readouterr().err + str(raised.value)


def test_command_line_wins_over_the_settings_file(tmp_path):
    (tmp_path / "settings.yaml").write_text("data: [a, b]\nlearning_rate: 1e-4\nbf16: true\nseed: 7\n")
    arguments, training = parse_arguments(
        [str(tmp_path / "settings.yaml"), "--data", "c", "--seed", "8", "--output_dir", str(tmp_path)]
    )
    assert (arguments.data, training.learning_rate, training.bf16, training.seed) == (["c"], 1e-4, True, 8)


@pytest.mark.parametrize("name", ["iam", "read2016", "lam", "vnondb"])
def test_published_recipes(name):
    """The recipe of arXiv 2512.05021."""
    arguments, training = parse_arguments([str(ROOT / "scripts" / "configs" / f"{name}.yaml")])
    model, processor = build_from_arguments(arguments, [])
    assert 65e6 < model.num_parameters() - sum(p.numel() for p in model.tcm_head.parameters()) < 67e6
    assert len(processor.tokenizer) == {"iam": 80, "read2016": 90, "lam": 91, "vnondb": 162}[name]
    assert not processor.image_processor.return_pixel_mask
    assert (training.sam_rho, training.ema_decay, training.max_grad_norm) == (0.05, 0.9999, 0)
    assert (training.max_steps, training.warmup_steps, training.learning_rate) == (100_000, 1000, 1e-3)
    assert (training.adam_beta1, training.adam_beta2, training.weight_decay) == (0.9, 0.99, 0.05)
    assert training.per_device_train_batch_size == 64


@pytest.mark.parametrize(("name", "size"), [("tiny", 3.54e6), ("base", 66.5e6)])
def test_recipes_of_the_released_weights(name, size, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments, training = parse_arguments([f"scripts/configs/{name}.yaml"])
    policy = TextPolicy.from_file(arguments.text_policy)
    model, processor = build_from_arguments(arguments, [], policy)
    assert model.num_parameters() == pytest.approx(size, rel=0.01)
    assert {Path(source).name for source in arguments.data} >= set(parse_weights(training.source_weights))
    charset = processor.tokenizer.charset
    assert set("Œuvre 1½ Größe perché Nguyễn Ứng") <= set(charset)
    assert len(charset) == 263
    assert policy(charset) == charset.strip()
    for text in policy.abbreviations.values():
        assert set(text) <= set(charset)
    assert policy("ꝑſona ⁊ op\u0303a”") == 'persona & opa"'


def test_a_charset_replaces_that_of_a_model(model_folder, tmp_path):
    (tmp_path / "charset.txt").write_text("zcßa")
    arguments, _ = parse_arguments(
        ["--data", "x", "--model", str(model_folder), "--charset", str(tmp_path / "charset.txt"), "--output_dir", "y"]
    )
    model, processor = build_from_arguments(arguments, ["abc"])
    old = HTRConvTextForCTC.from_pretrained(model_folder)
    assert processor.tokenizer.charset == "zcßa"
    assert model.config.vocab_size == 5
    for new_id, old_id in ((0, 0), (2, CHARSET.index("c") + 1), (4, CHARSET.index("a") + 1)):
        torch.testing.assert_close(model.ctc_head.weight[new_id], old.ctc_head.weight[old_id])


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_help_has_examples(script):
    assert "Examples:" in call_script(script, "--help").stdout


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.py", ["--data", "nowhere", "--output_dir", "out"], "nowhere"),
        ("export.py", ["--model", "nowhere", "--output", "out"], "nowhere"),
    ],
)
def test_missing_things_are_named_in_one_line(script, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call_script(script, *arguments, expect=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
