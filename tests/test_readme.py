"""What the README shows is run as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT


README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def run_python(code: str, folder: Path) -> str:
    """Runs code in a process of its own, in a folder that has the examples; what it prints."""
    for name in ("examples", "space/examples"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    script = folder / "snippet.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "HF_MODULES_CACHE": str(folder / "modules"), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=500
    )
    assert done.returncode == 0, f"{code}\n{done.stderr[-3000:]}"
    return done.stdout


def test_python_snippets_run_in_their_order(tmp_path):
    snippets = blocks("python")
    assert len(snippets) == 4
    for snippet in snippets:
        assert run_python(snippet, tmp_path).strip()


def test_the_guide_for_python_runs(tmp_path):
    snippets = blocks("python", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"))
    assert len(snippets) == 10
    printed = run_python("\n".join(snippets), tmp_path)
    assert "Le marché ouvre à sept heures" in printed
    assert "README.md: there is no such file" in printed  # in the folder of the test
    assert "no/such_model_here: " in printed
    assert "Character(char='Le', score=0.99" in printed
    assert re.search(r"CER \d\.\d %, WER \d+\.\d %", printed)


def test_the_notebook_runs(tmp_path):
    """The code of its cells, one after the other; how far so short a training comes depends on the processor."""
    notebook = json.loads((ROOT / "docs" / "fine_tuning.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    before, after = (float(rate) for rate in re.findall(r"CER (\d+\.\d) %", run_python(code, tmp_path)))
    assert before > 5
    assert after < before


def test_scripts_and_files_it_names_exist():
    names = set(re.findall(r"(?<![\w/])(?:scripts|examples|tests|space|htr_convtext)/[\w./]*\w", README))
    assert "scripts/train.py" in names
    assert not [name for name in names if not (ROOT / name).exists()]


def test_its_two_commands_are_where_ci_looks():
    commands = [line for block in blocks("sh") for line in block.splitlines() if "&&" in line]
    assert [command.partition(" && ")[2] for command in commands] == [
        "htr recognize examples",
        "python -m pytest",
    ]
