"""`transformers`' own common test suites (see tests/peer/README.md): `python -m pytest -m peer`."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT


@pytest.mark.peer
def test_common_suites_of_transformers(tmp_path):
    folder = tmp_path / "peer_tests"  # the suites look for a folder whose name ends in "tests"
    shutil.copytree(ROOT / "tests" / "peer", folder)
    subprocess.run(["bash", "setup_peer.sh"], cwd=folder, check=True, env={**os.environ, "PY": sys.executable})
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
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
