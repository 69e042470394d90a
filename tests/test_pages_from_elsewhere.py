"""Pages and lists of other programs: how they name images, in what they measure, and two files of one page."""

import unicodedata

import pytest
from PIL import Image

from htr_convtext.data import load_lines
from htr_convtext.documents.file_names import find_file
from tests.test_page_sources import page_line, page_xml, write_page


NFC = unicodedata.normalize("NFC", "Bücher/Blatt é 1.png")
NFD = unicodedata.normalize("NFD", NFC)


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (NFC, NFD),
        (NFD, NFC),
        (NFC, NFC.replace("/", "\\")),
        (NFC, "B%C3%BCcher/Blatt%20%C3%A9%201.png"),
        (NFC, "Bu%CC%88cher\\Blatt%20e%CC%81%201.png"),
        (NFC, "./" + NFD),
        (NFC, NFD.replace(".png", ".PNG")),
        ("50%20.png", "50%20.png"),
        ("a\\b.png", "a\\b.png"),
    ],
)
def test_names_of_other_systems(tmp_path, there, named):
    file = tmp_path / there
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert find_file([tmp_path], named) == file
    assert find_file([tmp_path], named.replace(".", "-.")) is None


def test_a_name_that_could_be_of_two_files(tmp_path):
    (tmp_path / "a.png").touch()
    assert find_file([tmp_path], "A.png") == tmp_path / "a.png"
    (tmp_path / "a.PNG").touch()  # the folder has changed
    assert find_file([tmp_path], "A.png") is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "A.png").touch()
    assert find_file([tmp_path, tmp_path / "b"], "A.png") == tmp_path / "b" / "A.png"
    assert find_file([tmp_path], "") is None
    assert find_file([tmp_path], "\0") is None
    assert find_file([tmp_path / "gone"], "a.png") is None


@pytest.mark.parametrize(
    "named", ["https://a.org/iiif/Blatt%20%C3%A9.png", "Blatt%20%C3%A9.png?full=1", NFD[:7] + "\\Blatt e\u0301.png"]
)
def test_images_of_pages_by_the_names_of_other_systems(tmp_path, named):
    write_page(tmp_path, page_xml(page_line("a", "one"), image=named), image=False)
    Image.new("L", (200, 100), 100).save(tmp_path / "Blatt é.png")
    assert load_lines(tmp_path, "train")["text"] == ["one"]


@pytest.mark.parametrize("name", ["train.tsv", "train.ln", "metadata.csv"])
def test_lists_with_the_names_of_other_systems(tmp_path, name):
    (tmp_path / "images").mkdir()
    Image.new("L", (50, 30)).save(tmp_path / "images" / "é 1.png")
    (tmp_path / "images" / "é 1.txt").write_text("one")
    named = "images\\e\u0301 1.png"
    content = {"train.tsv": f"{named}\tone", "train.ln": named, "metadata.csv": f"file_name,text\n{named},one"}[name]
    (tmp_path / name).write_text(content + "\n", encoding="utf-8")
    assert load_lines(tmp_path, "train")["text"] == ["one"]
