"""The command `htr`: how soon it answers, what it needs, and what it leaves unsaid."""

import resource
import subprocess
import sys

import pytest

from htr_convtext.cli import COMMANDS
from tests.helpers import ROOT, draw_line, run_script, write_image_folder


SECONDS = 0.7  # of CPU: without PyTorch, transformers and datasets, which take from one to four to import
AT_ONCE = [command for command in COMMANDS if command != "train"]  # its options are those of TrainingArguments


def run_python(*arguments, expect: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == expect, done.stderr[-3000:]
    return done


def cpu_seconds(*arguments) -> float:
    """What a new process takes with these arguments; the second time, for the first compiles modules."""
    run_python(*arguments)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_python(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_process_that_takes_longer_is_noticed():
    assert cpu_seconds("-c", "import time\nwhile time.process_time() < 1: pass") > SECONDS


@pytest.mark.parametrize("command", ["", *AT_ONCE])
def test_help_is_shown_at_once(command):
    assert cpu_seconds("-m", "htr_convtext", *command.split(), "--help") < SECONDS


@pytest.mark.parametrize("packages", ["htr_convtext", "htr_convtext.data, htr_convtext.evaluation"])
def test_packages_are_imported_at_once(packages):
    assert cpu_seconds("-c", f"import {packages}") < SECONDS


def test_a_page_is_read_at_once(tmp_path):
    (tmp_path / "page.xml").write_text(
        '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        '<Page imageFilename="page.jpg" imageWidth="9" imageHeight="9"><TextRegion id="r"><TextLine id="l">'
        '<Coords points="0,0 9,0 9,9"/><TextEquiv><Unicode>some text</Unicode></TextEquiv>'
        "</TextLine></TextRegion></Page></PcGts>"
    )
    code = "import sys; from htr_convtext.documents import read_page; print(read_page(sys.argv[1]).text)"
    assert run_python("-c", code, tmp_path / "page.xml").stdout == "some text\n"
    assert cpu_seconds("-c", code, tmp_path / "page.xml") < SECONDS


# --- what is not installed ---

# Cannot import the modules that its first argument lists.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

hidden, words = sys.argv[1].split(","), sys.argv[2:]

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
COMMAND = WITHOUT + "from htr_convtext.cli import main\nsys.exit(main(words))"
TRAIN = "accelerate,datasets,evaluate,fontTools,jiwer,kornia,lmdb,matplotlib,pandas,pyarrow,scipy,tensorboard"
PAGES = "lxml,onnxruntime,pypdfium2,rapidocr,reportlab,shapely"


def test_lines_are_read_without_the_extras():
    done = run_python("-c", COMMAND, f"{TRAIN},{PAGES}", "recognize", "examples/en_1.jpg", "--device", "cpu")
    assert done.stdout == "examples/en_1.jpg\tThe letters were tied with a blue ribbon.\n"
    assert done.stderr == ""


def test_lines_are_read_greedily_where_nothing_can_search():
    done = run_python("-c", COMMAND, "flashlight", "recognize", "examples", "--batch-size", "4", "--device", "cpu")
    assert "examples/de_2.jpg\tUber den" in done.stdout  # a language model would put the dots on the U
    assert done.stderr.count("pip install flashlight-text. Without it lines are decoded greedily") == 1


def test_pages_are_read_without_what_training_needs(tmp_path):
    draw_line("some text").save(tmp_path / "page.png")
    code = "from htr_convtext.transcription import transcribe\nprint(len(transcribe(words[0]).lines))"
    assert run_python("-c", WITHOUT + code, TRAIN, tmp_path / "page.png").stdout == "1\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evaluate --data examples --split train", "datasets is not installed: pip install 'htr-convtext[train]'"),
        ("compare a b", "pandas is not installed: pip install 'htr-convtext[train]'"),
        ("render --text README.md --preview x.png", "datasets is not installed: pip install 'htr-convtext[train]'"),
        ("prepare x --output y", "pyarrow is not installed: pip install 'htr-convtext[train]'"),
        (
            "recognize examples --decoder beam",
            "Beam search and language models need flashlight-text: pip install flashlight-text",
        ),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(words, message):
    done = run_python("-c", COMMAND, f"{TRAIN},{PAGES},flashlight", *words.split(), expect=1)
    assert done.stderr == f"htr {words.split()[0]}: {message}\n"


def test_other_missing_modules_are_mistakes():
    done = run_python("-c", COMMAND, "safetensors", "recognize", "examples", expect=1)
    assert "Traceback" in done.stderr
    assert "ModuleNotFoundError: No module named 'safetensors'" in done.stderr


# --- what is left unsaid ---


def test_nothing_is_written_beside_the_results(model_folder, tmp_path):
    """Neither bars nor warnings, of this package or others, where stderr is no terminal."""
    write_image_folder(tmp_path / "words", "train", ["abc", "cab"])
    (tmp_path / "text.txt").write_text("Der Fluss trat über die Ufer.")
    reading = ("--model", model_folder, "--device", "cpu")
    measuring = ("--data", tmp_path / "prepared", "--split", "train", *reading)
    for script, *arguments in (
        ("prepare_dataset.py", tmp_path / "words", "--output", tmp_path / "prepared"),
        ("render_lines.py", "--text", tmp_path / "text.txt", "--num-lines", 2, "--output", tmp_path / "rendered"),
        ("recognize.py", tmp_path / "words", *reading),
        ("evaluate.py", *measuring, "--output", tmp_path / "a", "--picture", tmp_path / "a.png"),
        ("compare.py", tmp_path / "a", "--output", tmp_path / "b"),
    ):
        assert run_script(script, *arguments).stderr == "", script
