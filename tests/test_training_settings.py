"""The settings of a training run: the help, and options that could silently do nothing."""

import dataclasses
import logging
import re

import pytest

from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from htr_convtext.families import DEFAULT_FAMILY
from htr_convtext.loading import load_model
from htr_convtext.training import LineTrainingArguments, ModelArguments, build_model, parse_arguments
from htr_convtext.training.build import load_checkpoint, refuse_other_count
from tests.helpers import CHARSET, WORDS, call_script, write_image_folder


# --- help ---


def entries(text: str) -> dict[str, str]:
    """The options of a help text with all that is said of them; each may be there once only."""
    found = re.findall(r"^  (--\S+)(.*(?:\n {4,}.*)*)", text, flags=re.MULTILINE)
    assert len({name for name, _ in found}) == len(found)
    return {name: " ".join(said.split()) for name, said in found}


def test_help_is_short_and_ours_comes_first():
    text = call_script("train.py", "--help").stdout
    assert text.count("\n") <= 130
    assert max(map(len, text.splitlines())) <= 120
    titles = re.findall(r"^(\S.*):$", text, flags=re.MULTILINE)
    assert titles[:4] == ["Examples", "data", "network", "images"]
    shown = entries(text)
    assert "hub_token" not in text
    for name in [field.name for field in dataclasses.fields(ModelArguments)]:
        assert f"--{name}" in shown
    inherited = {field.name for field in dataclasses.fields(LineTrainingArguments.__base__)}
    for name in {field.name for field in dataclasses.fields(LineTrainingArguments)} - inherited:
        assert f"--{name}" in shown
    assert {"--learning_rate", "--bf16", "--seed", "--output_dir", "--resume_from_checkpoint"} <= set(shown)
    assert not re.search(r"--\w+-\w+", text.replace("--help-all", ""))  # one spelling
    assert shown["--no_use_tcm"] == "train without the Textual Context Module"
    assert shown["--use_tcm"].endswith("train with the Textual Context Module (default: True)")


def test_help_all_has_all_settings_once_and_says_true_defaults():
    text = call_script("train.py", "--help-all").stdout
    shown = entries(text)
    for field in dataclasses.fields(LineTrainingArguments):
        assert not field.init or f"--{field.name}" in shown
    assert "the same as --load_best_model_at_end False" in shown["--no_load_best_model_at_end"]
    assert "(default: None)" not in text
    for name, said in shown.items():
        assert said.count("(default") <= 1, name
    assert "(default: 0.99)" in shown["--adam_beta2"]
    assert "(default: 1000)" in shown["--eval_steps"]
    assert "(default: cer)" in shown["--metric_for_best_model"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--use_tcm"], True), (["--no_use_tcm"], False), (["--no-use-tcm"], False), (["--use-tcm", "False"], False),
     ([], None)],
)  # fmt: skip
def test_spellings(words, expected, tmp_path):
    arguments, training = parse_arguments(["--data", "a", "--output-dir", str(tmp_path), "--max-steps", "7", *words])
    assert arguments.use_tcm is expected
    assert training.max_steps == 7


# --- options that could silently do nothing ---


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--augmentation", "none", "--augmentation_strength", "0.5"], "--augmentation_strength has no effect"),
        (["--charset", "iam", "--min_character_count", "2"], "--min_character_count has no effect"),
        (["--learning_rat", "1"], "unknown settings: --learning_rat 1"),
        (["--lr_scheduler_type", "constant"], "lr_scheduler_type has no effect"),
        (["--size", "huge"], "--size"),
        (["--max_characters", "0"], "--max_characters 0"),
        (["--unknown_characters", "error"], "--unknown_characters"),
        (["--source_batches", "True"], "source_batches has no effect without source_weights"),
    ],
)
def test_settings_without_effect_are_named(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as raised:
        parse_arguments(["--data", "a", "--output_dir", str(tmp_path), *words], prog="htr train")
    assert raised.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("htr train: error: ")
    assert message in error


def arguments_for(model_folder, **settings) -> ModelArguments:
    return ModelArguments(data=["a"], model=str(model_folder), **settings)


def test_a_saved_model_takes_what_it_can(model_folder):
    """The folder has lines of 32 × 512 pixels."""
    settings = {"height": 48, "horizontal_scale": 1.5, "hidden_dropout": 0.3, "masking": "span", "ctc_loss_weight": 0.4}
    model, processor = build_model(arguments_for(model_folder, **settings), ["abc"])
    image_processor = processor.image_processor
    assert image_processor.size == {"height": 48, "width": 768}  # as many heights wide as before
    assert image_processor.horizontal_scale == 1.5
    config = model.config
    assert (config.hidden_dropout, config.masking, config.ctc_loss_weight) == (0.3, "span", 0.4)
    _, processor = build_model(arguments_for(model_folder, image_preparation="published"), ["abc"])
    assert processor.image_processor.size == {"height": 64, "width": 512}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "base"}, r"cannot be given --size base \(it has another\)"),
        ({"image_preparation": "published", "height": 32}, "has its own height"),
        ({"height": 65}, "--height 65"),
        ({"use_tcm": False, "tcm_loss_weight": 0.5}, "--tcm_loss_weight has no effect"),
    ],
)
def test_what_a_saved_model_cannot_take_is_named(settings, message, model_folder):
    with pytest.raises(InputError, match=message):
        build_model(arguments_for(model_folder, **settings), ["abc"])


def test_a_run_goes_on_with_the_settings_that_it_has(tmp_path):
    arguments = ModelArguments(data=["a"], size="tiny", height=32, masking="span", drop_path_rate=0)
    model, processor = build_model(arguments, ["abca"], TextPolicy(long_s="s"))
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    _, processor, policy = load_checkpoint(arguments, tmp_path)
    assert policy == TextPolicy(long_s="s")
    load_checkpoint(ModelArguments(data=["a"], size="tiny", model="bundled"), tmp_path)
    (tmp_path / "same.txt").write_text("abc")
    (tmp_path / "other.txt").write_text("abd")
    TextPolicy(long_s="keep").to_file(tmp_path / "policy.json")
    load_checkpoint(ModelArguments(data=["a"], charset=str(tmp_path / "same.txt")), tmp_path)
    for settings, message in (
        ({"size": "small"}, r"--size small \(it has tiny\)"),
        ({"height": 48}, r"--height 48 \(it has 32\)"),
        ({"max_width": 99, "use_tcm": False}, r"--max_width 99 .*, --use_tcm False \(it has True\)"),
        ({"masking": "none"}, r"--masking none \(it has span\)"),
        ({"hidden_dropout": 0.5}, "--hidden_dropout 0.5"),
        ({"charset": str(tmp_path / "other.txt")}, "has another charset than --charset"),
        ({"text_policy": str(tmp_path / "policy.json")}, "has another text policy than --text_policy"),
    ):
        with pytest.raises(InputError, match=message):
            load_checkpoint(ModelArguments(data=["a"], **settings), tmp_path)

    refuse_other_count(ModelArguments(data=["a"]), ["xyz"], processor, DEFAULT_FAMILY)
    refuse_other_count(ModelArguments(data=["a"], min_character_count=1), ["abc"], processor, DEFAULT_FAMILY)
    with pytest.raises(InputError, match="--min_character_count 2"):
        refuse_other_count(ModelArguments(data=["a"], min_character_count=2), ["abca"], processor, DEFAULT_FAMILY)


# --- runs ---


def test_a_run_says_what_it_brought(tmp_path, model_folder, capsys, caplog):
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, WORDS)
    caplog.set_level(logging.INFO)
    common = [
        "--data", tmp_path / "words", "--model", model_folder, "--output_dir", tmp_path / "run", "--use_cpu", "True",
        "--per_device_train_batch_size", 2, "--eval_steps", 2, "--report_to", "none",
    ]  # fmt: skip
    done = call_script("train.py", *common, "--max_steps", 2)
    assert re.search(r"^before training: CER \d+\.\d\d %", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^step 2 of 2: CER \d+\.\d\d %", done.stdout, flags=re.MULTILINE)
    assert "2 steps: less than an epoch, 4 of 8 lines" in caplog.text
    assert re.search(r"validation: CER \d+\.\d\d % \[\d+\.\d\d, \d+\.\d\d\], WER .* on 8 lines", caplog.text)
    assert "%|" not in done.stderr  # no bars
    assert load_model(tmp_path / "run" / "best")[1].tokenizer.charset == CHARSET

    resume = ("--resume_from_checkpoint", "True")
    done = call_script("train.py", *common, *resume, "--max_steps", 4, "--height", 48, expect=1)
    assert re.search(r"train.py: The run of .*checkpoint-2 cannot be given --height 48 \(it has 32\)", done.stderr)
    caplog.clear()
    done = call_script("train.py", *common, *resume, "--max_steps", 4, "--height", 32)
    assert "before training" not in done.stdout
    assert "4 steps: 1.0 epochs of 8 lines" in caplog.text
    done = call_script("train.py", *common, *resume, "--preview", tmp_path / "picture.png", expect=1)
    assert "leave --resume_from_checkpoint out" in done.stderr


def test_lines_are_left_out_in_new_and_resumed_runs(tmp_path, model_folder, caplog):
    """In both splits; the saved models drop what they do not know, as after any training."""
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, [*WORDS, "a É", "abc cab bac"])
    (tmp_path / "charset.txt").write_text(CHARSET, encoding="utf-8")
    caplog.set_level(logging.INFO)
    common = [
        "--data", tmp_path / "words", "--charset", tmp_path / "charset.txt", "--use_cpu", "True", "--eval_steps", 1,
        "--per_device_train_batch_size", 2, "--report_to", "none", "--unknown_characters", "leave_out",
        "--max_characters", 8,
    ]  # fmt: skip
    said = "8 of 10 lines; left out: 1 × unknown character, 1 × more than 8 characters"
    for name, start in (("new", ["--height", 16]), ("on", ["--model", model_folder])):
        run = [*common, *start, "--output_dir", tmp_path / name]
        for steps in (1, 2):
            caplog.clear()
            call_script("train.py", *run, "--max_steps", steps, "--resume_from_checkpoint", "True")
            assert f"train: {said}" in caplog.text
            assert f"validation: {said}" in caplog.text
        for saved in ("checkpoint-2", "best"):
            tokenizer = load_model(tmp_path / name / saved)[1].tokenizer
            assert tokenizer.unknown == "drop"
            assert tokenizer.decode(tokenizer("aÉb").input_ids, group_tokens=False) == "ab"


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    for split in ("train", "validation"):
        write_image_folder(tmp_path / "words", split, WORDS)
    monkeypatch.setattr("htr_convtext.data.augmentation.line_augmentation.find_spec", lambda name: None)
    done = call_script("train.py", "--data", tmp_path / "words", "--output_dir", tmp_path / "run", expect=1)
    assert "train.py: Augmentation needs kornia: pip install 'htr-convtext[train]'" in done.stderr
