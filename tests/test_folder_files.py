"""What cannot be opened in folders: no permission, links to nothing and in circles, pipes, sockets."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from htr_convtext.data import load_lines, prepare_lines
from htr_convtext.data.synthetic.fonts import find_fonts
from htr_convtext.documents import read_page
from htr_convtext.documents.files import find_documents
from htr_convtext.errors import InputError
from htr_convtext.folder_files import is_barred, read_file, walk
from htr_convtext.language_model.kenlm_trie import read_model
from htr_convtext.language_model.texts import read_text
from htr_convtext.recognizer import find_images
from tests.helpers import call_script, draw_line, write_image_folder


REASONS = {
    "locked": "permission denied",
    "gone.png": "the link leads nowhere",
    "loop.png": "the link leads in a circle",
    "around": "the link leads in a circle",
    "pipe.png": "not a file, but a pipe or device",
    "socket": "not a file, but a pipe or device",
}
NOBODY = 65534
PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png"
 imageWidth="300" imageHeight="80"><TextRegion id="r"><Coords points="0,0 9,9"/><TextLine id="l">
 <Coords points="5,5 290,5 290,70 5,70"/><TextEquiv><Unicode>ab</Unicode></TextEquiv></TextLine></TextRegion></Page>
</PcGts>"""


def add_traps(folder: Path, monkeypatch) -> None:
    """Puts one of each kind into a folder; `locked` is, though root may open it."""
    (folder / "locked").mkdir()
    (folder / "gone.png").symlink_to("nothing.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "around").symlink_to(folder.parent, target_is_directory=True)
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.getcwd()
        os.chdir(folder)  # names of sockets are short
        try:
            bound.bind("socket")
        finally:
            os.chdir(here)
    lock(folder / "locked", monkeypatch)


def lock(folder: Path, monkeypatch) -> None:
    scandir = os.scandir

    def refuse(path="."):
        if not isinstance(path, int) and os.fspath(path) == os.fspath(folder):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """A line, and all that cannot be opened."""
    folder = tmp_path / "scans"
    folder.mkdir()
    draw_line("abc").save(folder / "a.png")
    add_traps(folder, monkeypatch)
    return folder


def test_all_is_listed_but_what_cannot_be_opened(lines):
    found = walk(lines)
    assert found.files == [lines / "a.png"]
    assert {path.name: reason for path, reason in found.unreadable.items()} == REASONS
    assert walk(lines / "locked").unreadable == {lines / "locked": "permission denied"}


def test_links_to_folders_are_followed_once(tmp_path):
    for name in ("b/own", "elsewhere/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").touch()
    for name, target in (("a", "own"), ("c", "../elsewhere"), ("own/d", "../../elsewhere")):
        (tmp_path / "b" / name).symlink_to(target, target_is_directory=True)
    found = walk(tmp_path / "b")
    assert found.files == [tmp_path / "b" / "c" / "deep" / "x", tmp_path / "b" / "own" / "x"]
    assert not found.unreadable
    assert walk(tmp_path, leave_out=tmp_path / "b").files == [tmp_path / "elsewhere" / "deep" / "x"]
    assert walk(tmp_path / "b" / "own", leave_out=tmp_path / "b" / "own").files  # it was asked for


@pytest.mark.parametrize("read", [read_file, read_page, read_model, lambda path: read_text(path, str)])
def test_files_that_cannot_be_opened_say_why(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nothing")
    reasons = {"pipe": "not a file", "loop": "in a circle", "gone": "leads nowhere", "none": "no such file"}
    for name, reason in {**reasons, "": "this is a folder"}.items():
        with pytest.raises(InputError, match=reason) as error:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    assert [is_barred(tmp_path / name) for name in ("pipe", "loop", "gone", "none", "")] == [True] * 3 + [False] * 2


def test_permission_denied_is_not_damaged(tmp_path):
    """In a process that is not root's."""
    (tmp_path / "locked").mkdir(mode=0)
    draw_line("abc").save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    code = (
        "import os, sys; from htr_convtext.folder_files import walk, read_file\n"
        "from processing.images import open_image\n"
        f"os.geteuid() or os.seteuid({NOBODY}); print(walk('.').unreadable)\n"
        "for read in (read_file, open_image):\n"
        "    for name in ('a.png', 'locked/b.png'):\n"
        "        try: read(name)\n"
        "        except ValueError as error: print(error)"
    )
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    first, *others = done.stdout.splitlines()
    assert "'locked'): 'permission denied'" in first, done.stderr
    assert others == ["a.png: permission denied.", "locked/b.png: permission denied."] * 2


def test_recognize(lines):
    files, unreadable = find_images([lines, "x.png"])
    assert files == [str(lines / "a.png"), "x.png"]
    assert unreadable == {str(lines / name): reason for name, reason in REASONS.items()}
    done = call_script("recognize.py", lines, lines / "pipe.png", "--format", "jsonl", expect=1)
    assert done.stdout.count('"text"') == 1
    assert done.stdout.count('"error"') == len(REASONS) + 1
    assert all(f"{lines / name}: {reason}." in done.stderr for name, reason in REASONS.items())
    assert "7 of 8 files could not be read" in done.stderr


def test_documents(lines):
    os.mkfifo(lines / "b.xml")
    documents, failed = find_documents([lines, lines / "b.xml"])
    assert [document.image for document in documents] == [lines / "a.png"]
    wanted = {**REASONS, "b.xml": REASONS["pipe.png"]}
    assert sorted(set(failed)) == sorted(f"{lines / name}: {reason}." for name, reason in wanted.items())


@pytest.mark.parametrize("kind", ["metadata", "pages", "list"])
def test_data_sets(tmp_path, monkeypatch, caplog, kind):
    source = tmp_path / "source"
    write_image_folder(source, "train", ["ab", "cd"])
    if kind == "pages":
        (source / "train" / "metadata.jsonl").unlink()
        for name in "ab":
            draw_line("some words", height=80).resize((300, 80)).save(source / "train" / f"{name}.png")
            (source / "train" / f"{name}.xml").write_text(PAGE.replace("a.png", f"{name}.png"))
    elif kind == "list":
        (source / "train" / "metadata.jsonl").unlink()
        names = sorted(file.name for file in (source / "train").iterdir())
        (source / "train.tsv").write_text(
            "".join(f"train/{name}\tab\n" for name in [*names, "../gone.png", "../pipe.png"])
        )
    add_traps(source, monkeypatch)
    os.mkfifo(source / "test.tsv")
    (source / "validation").mkdir()
    lock(source / "validation", monkeypatch)
    unreadable: dict[Path, str] = {}
    assert len(load_lines(source, unreadable=unreadable)["train"]) >= 2
    wanted = {**REASONS, "test.tsv": REASONS["pipe.png"], "validation": "permission denied"}
    assert {path.name: reason for path, reason in unreadable.items()} == wanted
    assert all(reason in caplog.text for reason in wanted.values())
    report = prepare_lines([source], tmp_path / "out")
    assert report.lines >= 2
    assert report.unreadable == len(wanted) + 2 * (kind == "list")
    assert report.left_out["permission denied"] == [str(source / "locked"), str(source / "validation")]


def test_the_exit_code_of_prepare(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "source", "train", ["ab", "cd"])
    call_script("prepare_dataset.py", tmp_path / "source", "--output", tmp_path / "one")
    add_traps(tmp_path / "source", monkeypatch)
    done = call_script("prepare_dataset.py", tmp_path / "source", "--output", tmp_path / "two", expect=1)
    assert "2 lines" in done.stdout
    assert "permission denied" in done.stdout


def test_sources_that_cannot_be_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "train.tsv")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "locked").mkdir()
    lock(tmp_path / "locked", monkeypatch)
    for name, reason in {"train.tsv": "a pipe", "gone": "leads nowhere", "locked": "permission denied"}.items():
        with pytest.raises(InputError, match=rf"{name}.*{reason}"):
            load_lines(tmp_path / name)


def test_fonts(tmp_path, caplog):
    os.mkfifo(tmp_path / "a.ttf")
    with pytest.raises(InputError, match="no fonts"):
        find_fonts(tmp_path)
    assert "a.ttf: not a file, but a pipe" in caplog.text
