"""What the README shows is run as it stands there."""

import os
import re
import shutil
import subprocess
import sys

from tests.helpers import ROOT


README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_snippets_run_in_their_order(tmp_path):
    for folder in ("examples", "space/examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    snippets = blocks("python")
    assert len(snippets) == 4
    for index, snippet in enumerate(snippets):
        script = tmp_path / f"snippet_{index}.py"
        script.write_text(snippet, encoding="utf-8")
        environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=300
        )
        assert done.returncode == 0, f"{snippet}\n{done.stderr[-3000:]}"
        assert done.stdout.strip()


def test_scripts_and_files_it_names_exist():
    names = set(re.findall(r"(?<![\w/])(?:scripts|examples|tests|space|htr_convtext)/[\w./]*\w", README))
    assert "scripts/recognize.py" in names
    assert not [name for name in names if not (ROOT / name).exists()]


def test_its_two_commands_are_where_ci_looks():
    commands = [line for block in blocks("sh") for line in block.splitlines() if "&&" in line]
    assert [command.partition(" && ")[2] for command in commands] == [
        "python scripts/recognize.py examples",
        "python -m pytest",
    ]
