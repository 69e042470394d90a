"""A stop or a full disk leaves nothing half-written under a final name, and is one line of a program."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import contextmanager

import pytest
from datasets import Dataset
from datasets.exceptions import DatasetGenerationError
from safetensors import SafetensorError

from htr_convtext.cli.recognize import formatted
from htr_convtext.data import load_lines, prepare_lines
from htr_convtext.errors import InputError
from htr_convtext.evaluation import evaluate
from htr_convtext.export import write_folder
from htr_convtext.reading import LineReading, Provenance
from htr_convtext.recognizer import Recognizer
from htr_convtext.whole_files import disk_error, disk_errors, whole_file, whole_folder, write_whole
from tests.helpers import ROOT, build_trainer, call_script, draw_line, write_image_folder


@contextmanager
def small_disk(size: int):
    """No file can be larger than `size` bytes: as on a full disk, whatever language writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- the mechanism ---


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_whole(path, "old \ud800")
    assert path.read_text() == "old \\ud800"

    def stop(keep: bool) -> None:
        with whole_file(path, keep) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    for keep in (False, True):
        with pytest.raises(KeyboardInterrupt):
            stop(keep)
        assert path.read_text() == "old \\ud800"
        assert (tmp_path / "new" / "a.txt.part").exists() == keep
    with small_disk(10), pytest.raises(OSError, match="File too large") as caught:
        write_whole(path, b"0123456789abc")
    assert caught.value.filename == str(path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.txt"]


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "a")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "a"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", "a")
    assert os.read(reader, 9) == b"a"
    os.close(reader)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "a")


def test_a_folder_changes_as_a_whole(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "left").write_text("of a killed run")

    def stop() -> None:
        with whole_folder(tmp_path) as folder:
            assert not list(folder.iterdir())
            (folder / "a").write_text("new")
            raise InputError

    with pytest.raises(InputError):
        stop()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "stays").write_text("")
    (tmp_path / "sub" / "goes.klm").write_text("")
    (tmp_path / "stale").write_text("")
    with whole_folder(tmp_path, last=".txt", stale=["stale", "a", "none", "sub/*.klm"]) as folder:
        (folder / "a").write_text("new")
        (folder / "b.txt").write_text("")
        (folder / "sub").mkdir()
        (folder / "sub" / "new.klm").write_text("")
    assert (tmp_path / "a").read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.txt", "new.klm", "stays", "sub"]


def generation_error() -> DatasetGenerationError:
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "x"), "[Errno 28] No space left on device: 'f'"),
        (FileNotFoundError(errno.ENOENT, "x", "g"), "[Errno 2] x: 'g'"),
        (OSError(errno.ENOSPC, "x", "read", None, "g"), "[Errno 28] No space left on device: 'g'"),
        (SafetensorError("I/O error: No space left on device (os error 28)"),
         "[Errno 28] No space left on device: 'f'"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
         "[Errno 5] it cannot be written; is the disk full?: 'f'"),
        (generation_error(), "[Errno 28] No space left on device: 'f'"),
    ],
)  # fmt: skip
def test_errors_of_the_disk(error, text):
    assert str(disk_error(error, "f")) == text
    with pytest.raises(OSError, match=r"[fg]"), disk_errors("f"):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("of a network"), KeyError("a"), ValueError("b")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, disk_errors("f"):
        raise error
    assert caught.value is error


# --- programs ---


def one_line(stderr: str) -> str:
    (line,) = [line for line in stderr.splitlines() if line]
    return line


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text("some words to write by hand\n" * 20)
    return tmp_path / "text.txt"


def test_rendering_can_be_killed_and_done_again(tmp_path, text):
    program = [sys.executable, str(ROOT / "scripts" / "render_lines.py"), "--text", str(text)]
    running = subprocess.Popen([*program, "--num-lines", "1000000", "--output", str(tmp_path / "out")])
    while not list(tmp_path.glob("out/.*/*/**/*.arrow")):
        time.sleep(0.05)
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".train.unfinished"]
    call_script("render_lines.py", "--text", text, "--num-lines", 3, "--output", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train-00000-of-00001.parquet"]
    assert len(load_lines(tmp_path / "out", "train")) == 3


def test_rendering_and_preparing_on_a_full_disk(tmp_path, text):
    write_image_folder(tmp_path / "lines", "train", ["some words to read", "and some more"])
    for name, arguments in {
        "render_lines.py": ["--text", text, "--num-lines", 30, "--preview", tmp_path / "out" / "sheet.png"],
        "prepare_dataset.py": [tmp_path / "lines"],
    }.items():
        with small_disk(1000):
            done = call_script(name, *arguments, "--output", tmp_path / "out", expect=1)
        assert one_line(done.stderr).endswith("File too large")
        assert f"{name}: {tmp_path / 'out'}" in done.stderr
        assert not list((tmp_path / "out").iterdir())
    with small_disk(1000), pytest.raises(OSError, match=r"File too large: '.*/out'"):
        call_lines_writer(tmp_path, text)
    prepare_lines([tmp_path / "lines"], tmp_path / "out")


def call_lines_writer(tmp_path, text):
    from htr_convtext.data.synthetic import LineRenderer, LineTexts, write_lines

    write_lines(LineTexts.from_files([text]), 30, 0, LineRenderer(), output=tmp_path / "out")


def test_saving_and_training_on_a_full_disk(tmp_path, processor, model):
    with small_disk(1000), pytest.raises(OSError, match=r"File too large: '.*/saved"):
        write_folder(tmp_path / "saved", model, processor)
    assert not list((tmp_path / "saved").iterdir())
    trainer = build_trainer(tmp_path, processor, save_strategy="steps", save_steps=1)
    with small_disk(20_000), pytest.raises(OSError, match=r"run"):
        trainer.train()


def test_evaluating_on_a_full_disk(tmp_path, processor, model):
    """The report that was there stays, with the predictions that it is of."""
    draw_line("abc").save(tmp_path / "a.png")
    rows = [{"image": {"bytes": None, "path": str(tmp_path / "a.png")}, "text": text} for text in ("abc", "", " ", "b")]
    sets, recognizer = {"set": Dataset.from_list(rows)}, Recognizer(model, processor, device="cpu")
    found = evaluate(recognizer, sets, output=tmp_path / "out")
    assert found.report["without_transcription"] == {"set": 2}
    assert [(line.index, line.reference) for line in found.predictions] == [(0, "abc"), (3, "b")]
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert set(before) == {"predictions.jsonl", "report.json", "report.html"}
    for size in (100, 1000):  # of the predictions, of the report
        with small_disk(size), pytest.raises(OSError, match="File too large"):
            evaluate(recognizer, sets, output=tmp_path / "out")
        assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    with pytest.raises(InputError, match="no lines"):
        evaluate(recognizer, {"set": sets["set"].select([1, 2])})


# --- standard output ---

NOISY = """
import sys, types
import htr_convtext.cli
program = types.ModuleType("htr_convtext.cli.noisy")
program.parse = lambda words, prog: int(words[0])
program.run = lambda count: [print("x" * 80) for _ in range(count)] and 0
sys.modules[program.__name__] = program
sys.exit(sys.modules["htr_convtext.cli.main"].run_command("noisy", sys.argv[1:], "noisy"))
"""


@pytest.mark.parametrize("count", [1, 5000])
def test_who_reads_the_output_may_stop(count):
    program = subprocess.Popen(
        [sys.executable, "-c", NOISY, str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if count > 1:
        program.stdout.readline()
    program.stdout.close()
    assert (program.stderr.read(), program.wait()) == ("", 1)
    program.stderr.close()


@pytest.mark.parametrize("count", [1, 5000])
def test_the_output_goes_to_a_full_disk(count):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", NOISY, str(count)], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "noisy: [Errno 28] No space left on device\n")


def test_names_with_tabs_and_line_breaks_stay_one_column():
    reading = LineReading("a\tb", 0.5)
    settings = Namespace(format="text", min_confidence=None)
    line = formatted("x\ty\nz\u2028é \\.png", reading, Provenance("m"), settings)
    assert line.split("\t") == ["x\\ty\\nz\\u2028é \\.png", "a\\tb"]
    assert len(line.splitlines()) == 1
