"""Which part of the package may know which."""

import ast
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT


LIBRARY = "htr_convtext"
MODELS = tuple(sorted(folder.name for folder in ROOT.glob("modeling_*")))
# Folder → the modules of this package that it may import, besides itself.
ALLOWED = {
    "processing": (),
    **dict.fromkeys(MODELS, ()),
    "htr_convtext/documents": (
        "processing",
        *(f"{LIBRARY}.{name}" for name in ("__version__", "reading", "doubt", "errors")),
        *(f"{LIBRARY}.{name}" for name in ("xml_characters", "folder_files", "whole_files")),
    ),
    "htr_convtext/decoding": ("processing", f"{LIBRARY}.errors"),
    "htr_convtext": ("processing", *MODELS, LIBRARY),
    "scripts": (LIBRARY,),
    "space": (LIBRARY, "rendering"),
}
TOP = ("processing", *MODELS, LIBRARY, "scripts", "space", "rendering")


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported_modules(file: Path) -> set[str]:
    """The modules of this repository that a file imports, with their whole names."""
    package = file.relative_to(ROOT).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(".".join([*package[: -node.level], *filter(None, [node.module])]))
        elif isinstance(node, ast.ImportFrom):
            # `from htr_convtext import cli` names a module too
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            is_package = (ROOT / node.module.replace(".", "/")).is_dir()
            found.update(names if is_package and node.module == LIBRARY else [node.module])
    return {name for name in found if name.partition(".")[0] in TOP}


def is_within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_run_one_way(folder):
    files = python_files(folder)
    assert files
    own = folder.replace("/", ".")
    for file in files:
        for name in imported_modules(file):
            assert is_within(name, (own, *ALLOWED[folder])), f"{file.relative_to(ROOT)} imports {name}"


def test_the_library_does_not_know_its_programs():
    for file in python_files(LIBRARY):
        if "cli" in file.relative_to(ROOT).parts or file.name == "__main__.py":
            continue
        for name in imported_modules(file):
            assert not is_within(name, (f"{LIBRARY}.cli",)), f"{file.relative_to(ROOT)} imports {name}"


def test_families_alone_know_their_classes():
    """No family needs a special case outside of `families/`."""
    classes = re.compile(r"\b(AttentionHTR|HTRConvText|HTRVT)\w+")
    free = ("htr_convtext/families", *MODELS, "processing", "tests")
    named = []
    for folder in (LIBRARY, "scripts", "space"):
        for file in [*python_files(folder), *(ROOT / folder).rglob("*.pyi")]:
            path = file.relative_to(ROOT).as_posix()
            if not path.startswith(free) and classes.search(file.read_text(encoding="utf-8")):
                named.append(path)
    assert not named


def test_it_sees_what_it_looks_for():
    assert "processing.errors" in imported_modules(ROOT / "htr_convtext" / "errors.py")
    assert "htr_convtext.cli.main" in imported_modules(ROOT / "htr_convtext" / "cli" / "__init__.py")
    assert "htr_convtext.errors" in imported_modules(ROOT / "htr_convtext" / "loading.py")


def test_copies_that_travel_with_each_family_are_the_same():
    files = {folder: ROOT / folder / f"input_checks_{folder.removeprefix('modeling_')}.py" for folder in MODELS}
    texts = {folder: file.read_text(encoding="utf-8") for folder, file in files.items()}
    assert texts["modeling_htr_vt"] == texts["modeling_htr_convtext"]
    # Of images of one size there is no mask: what checks the labels is the same.
    labels = {text[text.index("def check_labels") :] for text in texts.values()}
    assert len(labels) == 1
