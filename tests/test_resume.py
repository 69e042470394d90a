"""Runs that are stopped, killed or spread over processes end with the weights of one that was not."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from htr_convtext.training import last_checkpoint
from htr_convtext.training.checkpoints import find_checkpoint
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from tests.helpers import CHARSET, ROOT, build_model, run_script, write_image_folder


WORDS = ["abc", "a cab and a back", "bac", "a cab", "ab", "bca", "c ab", "cba abc cab", "b", "ca", "cc ba", "ac"]


def settings(data, output, **changes) -> list[str]:
    values = {
        "data": data / "words", "model": data / "model", "output_dir": output, "max_steps": 8, "eval_steps": 3,
        "save_steps": 3, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4, "logging_steps": 1,
        "sam_rho": 0.05, "save_total_limit": 20, "warmup_steps": 0, "use_cpu": True, "disable_tqdm": True,
        "report_to": "none", "dataloader_num_workers": 2, **changes,
    }  # fmt: skip
    return [str(word) for name, value in values.items() for word in (f"--{name}", value)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation"):
        write_image_folder(folder / "words", split, WORDS)
    build_model(use_tcm=True).save_pretrained(folder / "model")
    image_processor = HTRConvTextImageProcessor(size={"height": 32, "width": 512})
    processor = HTRConvTextProcessor(image_processor, HTRConvTextTokenizer.from_charset(CHARSET))
    processor.save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    run_script("train.py", *settings(data, output))
    return output


def run_until(step: int, number: int, arguments: list[str]) -> int:
    """Starts train.py, sends it and its workers a signal once it has logged `step` steps, and returns its exit code."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        seen = 0
        for line in process.stdout:
            seen += " loss " in line
            if seen == step:
                os.killpg(process.pid, number)
                break
        process.communicate(timeout=300)
        return process.returncode


def assert_same_checkpoint(one, other) -> None:
    for name in ("model.safetensors", "ema.safetensors"):
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        assert any(key.startswith("tcm_head") for key in ours)
        for key, value in ours.items():
            assert torch.equal(value, theirs[key]), f"{name}: {key}"
    states = [torch.load(path / "optimizer.pt", weights_only=True)["state"] for path in (one, other)]
    for index, state in states[0].items():
        for key, value in state.items():
            assert torch.equal(value, states[1][index][key]), f"optimizer: {index} {key}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_goes_on_to_the_same_weights(data, whole_run, tmp_path, number, code):
    """Five steps: inside the second epoch, between two checkpoints. Dropout, augmentation, SAM and EMA are on."""
    arguments = settings(data, tmp_path)
    assert run_until(5, number, arguments) == code
    stopped_at = int(re.search(r"\d+$", last_checkpoint(tmp_path))[0])
    assert stopped_at == 3 if number == signal.SIGKILL else stopped_at in (5, 6, 7)
    done = run_script("train.py", *arguments, expect=1)
    assert "--resume_from_checkpoint True" in done.stderr
    (tmp_path / "best").mkdir(exist_ok=True)
    for _ in range(2):  # the second time there is nothing left to do but to write the best model
        shutil.rmtree(tmp_path / "best")
        run_script("train.py", *arguments, "--resume_from_checkpoint", "True")
    assert sorted(tmp_path.glob("checkpoint-*"))[-1].name == "checkpoint-8"
    assert_same_checkpoint(tmp_path / "checkpoint-8", whole_run / "checkpoint-8")
    ours, theirs = (load_file(path / "best" / "model.safetensors") for path in (tmp_path, whole_run))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def write_checkpoint(path):
    path.mkdir(parents=True)
    for name in ("trainer_state.json", "config.json"):
        (path / name).write_text("{}")
    save_file({"weight": torch.ones(8)}, path / "model.safetensors")
    torch.save({"state": torch.ones(8)}, path / "optimizer.pt")


def test_half_written_checkpoints_are_passed_over(tmp_path, caplog):
    for step in (2, 10, 12):
        write_checkpoint(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-12" / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert "checkpoint-12" in caplog.text
    assert last_checkpoint(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("trainer_state.json", b"", "its trainer_state.json is damaged"),
        ("trainer_state.json", b'{"global_step": 1', "its trainer_state.json is damaged"),
        ("trainer_state.json", b"[1]", "its trainer_state.json is damaged"),
        ("trainer_state.json", b'{"other": 1}', "its trainer_state.json is damaged"),
        ("config.json", b"\0\0", "its config.json is damaged"),
        ("model.safetensors", None, "it has no model.safetensors"),
        ("model.safetensors", -1, "its model.safetensors is damaged"),
        ("optimizer.pt", -20, "its optimizer.pt is damaged"),
    ],
)
def test_damaged_checkpoints_fall_back_to_the_one_before(tmp_path, caplog, name, content, reason):
    for step in (9, 10):
        write_checkpoint(tmp_path / f"checkpoint-{step}")
    file = tmp_path / "checkpoint-10" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:content] if isinstance(content, int) else content)
    assert find_checkpoint(tmp_path, "True") == str(tmp_path / "checkpoint-9")
    assert caplog.messages == [f"{tmp_path / 'checkpoint-10'} is not whole and is passed over: {reason}."]
    with pytest.raises(ValueError, match=f"checkpoint-10 is no whole checkpoint: {reason}"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-10"))
    shutil.rmtree(tmp_path / "checkpoint-9")
    assert find_checkpoint(tmp_path, "True") is None
    with pytest.raises(ValueError, match="holds a run already"):  # it may be mended
        find_checkpoint(tmp_path, None)


def test_a_run_is_not_written_over(tmp_path):
    for name in ("one", "two"):
        write_checkpoint(tmp_path / name / "checkpoint-2")
    other = str(tmp_path / "two" / "checkpoint-2")
    assert find_checkpoint(tmp_path / "two", other) == other
    assert find_checkpoint(tmp_path / "new", other) == other
    for resume in (other, None):
        with pytest.raises(ValueError, match="choose another --output_dir"):
            find_checkpoint(tmp_path / "one", resume)


def run_trainer(*arguments, processes: int) -> None:
    """Runs `run_trainer.py` in one or more processes."""
    launch = []
    if processes > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    done = subprocess.run(
        [sys.executable, *launch, ROOT / "tests" / "run_trainer.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_are_one(data, tmp_path):
    """
    2 × 2 × 2 lines of unequal widths a step, and 1 × 2 × 4: SAM, EMA, TCM and batch norm over all of them.

    The two processes stop after three of five steps, in the second epoch, and go on.
    """
    run_trainer(data / "words", tmp_path / "one", 4, 5, processes=1)
    for stop_at in (3, 5):
        run_trainer(data / "words", tmp_path / "two", 2, stop_at, processes=2)
    assert (tmp_path / "two" / "checkpoint-3").exists()
    start = build_model(use_tcm=True).state_dict()
    for name in ("model.safetensors", "ema.safetensors"):
        one, two = (load_file(tmp_path / run / "checkpoint-5" / name) for run in ("one", "two"))
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, atol=1e-6, rtol=1e-6, msg=f"{name}: {key}")
        assert max((value - start[key]).abs().max() for key, value in one.items()) > 1e-2
