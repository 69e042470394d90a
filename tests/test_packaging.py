"""Wheel and source distribution: what is in them, and that the wheel alone is enough to read lines."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from htr_convtext import __version__
from tests.helpers import ROOT


PACKAGES = ("htr_convtext", *sorted(folder.name for folder in ROOT.glob("modeling_*")), "processing")


def run(*command, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """The wheel, which is built from the source distribution, and that."""
    folder = tmp_path_factory.mktemp("distributions")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installed(distributions, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, distributions[0])
    return folder


def test_names_and_descriptions(distributions):
    wheel, source = distributions
    assert wheel.name == f"htr_convtext-{__version__}-py3-none-any.whl"
    assert source.name == f"htr_convtext-{__version__}.tar.gz"
    assert run(sys.executable, "-m", "twine", "check", "--strict", wheel, source).stdout.count("PASSED") == 2


def test_every_file_of_the_packages_is_in_both(distributions):
    wheel, source = distributions
    files = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {"htr_convtext/py.typed", "htr_convtext/__init__.pyi", "htr_convtext/weights/tiny/model.safetensors"} < files
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert files - packed == set()
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == set(PACKAGES)
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files - names == set()
    assert {"LICENSE", "README.md", "setup.py", "constraints.txt"} < names
    assert not [name for name in names if name.startswith(("tests", "space"))]


def test_an_installed_wheel_reads_a_line(installed, tmp_path):
    assert (installed / "bin" / "htr").is_file()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    options = {"cwd": tmp_path, "env": environment}
    found = run(
        sys.executable, "-c", f"for name in {PACKAGES}: print(__import__(name).__file__)", **options
    ).stdout.splitlines()
    assert found == [str(installed / package / "__init__.py") for package in PACKAGES]
    image = ROOT / "examples" / "en_1.jpg"
    done = run(sys.executable, "-m", "htr_convtext", "recognize", image, "--device", "cpu", **options)
    assert done.stdout == f"{image}\tThe letters were tied with a blue ribbon.\n"
    assert run(installed / "bin" / "htr", "--version", **options).stdout == f"{__version__}\n"
