"""`transformers`' own common test suites (see tests/peer/README.md): `python -m pytest -m peer`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


TARGETS = sorted(path.stem for path in (ROOT / "tests" / "peer").glob("target_*.py"))


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("peer") / "peer_tests"  # the suites look for a folder whose name ends in "tests"
    shutil.copytree(ROOT / "tests" / "peer", folder)
    subprocess.run(["bash", "setup_peer.sh"], cwd=folder, check=True, env={**os.environ, "PY": sys.executable})
    return folder


@pytest.mark.peer
@pytest.mark.parametrize("target", TARGETS)
def test_common_suites_of_transformers(target, suites):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "common_suites.py",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{suites}", "PEER_TARGET": target}
    done = subprocess.run(command, cwd=suites, env=environment, capture_output=True, text=True)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
