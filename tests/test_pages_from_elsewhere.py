"""Pages and lists of other programs: how they name images, in what they measure, and two files of one page."""

import logging
import unicodedata
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from lxml import etree
from PIL import Image, ImageDraw

from htr_convtext import LineReading
from htr_convtext.data import load_lines, prepare_lines
from htr_convtext.documents import Page, PageImages, PageLine, Region, Word, cut_line, in_pixels, read_page
from htr_convtext.documents.file_names import find_file
from htr_convtext.documents.files import find_documents
from htr_convtext.documents.ink import has_ink
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.errors import InputError
from htr_convtext.reading import Provenance
from htr_convtext.transcription import JobHooks, TranscriptionJob, open_documents, transcribe_image
from htr_convtext.transcription.summary import ReadingSummary
from tests.helpers import draw_line
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


def test_of_two_files_of_one_image_one_is_read(tmp_path):
    for name in ("a", "p1", "p1.corrected"):
        write_page(tmp_path, page_xml(page_line("a", name)), name, image=False)
    Image.new("L", (200, 100), 100).save(tmp_path / "p1.png")
    skipped = []
    assert load_lines(tmp_path, "train", skipped=skipped)["text"] == ["p1"]
    assert [reason for *_, reason in skipped] == ["its image has another XML file too"] * 2
    assert sorted(name.rpartition("/")[2] for _, name, _ in skipped) == [
        "a.xml (beside p1.xml)",
        "p1.corrected.xml (beside p1.xml)",
    ]
    ((document,), failed) = find_documents([tmp_path])
    assert (document.layout.name, failed) == ("p1.xml", [])
    assert [file.name for file in document.others] == ["a.xml", "p1.corrected.xml"]
    assert document.instead.layout.name == "a.xml"
    (tmp_path / "p1.xml").unlink()
    assert load_lines(tmp_path, "train")["text"] == ["a"]
    # one without a line that could be used does not stand in the way
    write_page(tmp_path, page_xml(""), "a", image=False)
    assert load_lines(tmp_path, "train")["text"] == ["p1.corrected"]


def alto_in(unit: str, factor: float, size: bool = False, space: str = "", lines: int = 3) -> str:
    """ALTO of a page of 400 × 200 pixels with lines of 200 × 30, in units of which a pixel has `factor`."""

    def box(left: float, top: float, width: float, height: float) -> str:
        names = zip(("HPOS", "VPOS", "WIDTH", "HEIGHT"), (left, top, width, height), strict=True)
        return " ".join(f'{name}="{value * factor:g}"' for name, value in names)

    space = space and box(*map(float, space.split()))
    attributes = f'WIDTH="{400 * factor:g}" HEIGHT="{200 * factor:g}"' if size else ""
    text = "".join(
        f'<TextLine ID="l{n}" {box(20, 20 + 50 * n, 200, 30)}><String CONTENT="a"/></TextLine>' for n in range(lines)
    )
    return (
        f"<alto><Description><MeasurementUnit>{unit}</MeasurementUnit></Description><Layout><Page {attributes}>"
        f"<PrintSpace {space}><TextBlock>{text}</TextBlock></PrintSpace></Page></Layout></alto>"
    )


def ruled_page(size: tuple[int, int] = (400, 200), scale: float = 1, lines: int = 3) -> Image.Image:
    """A page with a line of letters in each box of `alto_in`, all of them `scale` times as large and as far."""
    page = Image.new("L", size, 230)
    for n in range(lines):
        text = draw_line("some words of a line").resize((round(190 * scale), round(20 * scale)))
        page.paste(text, (round(25 * scale), round((25 + 50 * n) * scale)))
    return page


def corners(page, index: int = 0) -> list[int]:
    (left, top), _, (right, bottom), _ = page.lines[index].polygon
    return [round(value) for value in (left, top, right, bottom)]


@pytest.mark.parametrize(("unit", "per_inch"), [("mm10", 254), ("inch1200", 1200), (" MM10 ", 254)])
@pytest.mark.parametrize(
    ("size", "space", "dpi"),
    [(True, "", None), (False, "0 0 400 200", None), (False, "10 10 300 180", 200), (False, "", 200)],
    ids=["size", "print space", "resolution, margins", "resolution"],
)
def test_units_of_alto(tmp_path, unit, per_inch, size, space, dpi):
    file = tmp_path / "p.xml"
    file.write_text(alto_in(unit, per_inch / 200, size, space))
    ruled_page().save(tmp_path / "p.png", **({"dpi": (dpi, dpi)} if dpi else {}))
    page = in_pixels(read_page(file), PageImages(tmp_path / "p.png")[0])
    assert corners(page, 1) == [20, 70, 220, 100]
    assert page.notes == []
    # written again in the units of the file
    lines = [replace(line, text="b", score=0.5, words=[]) for line in page.lines]
    assert page.units == pytest.approx((per_inch / 200, per_inch / 200), rel=0.01)
    assert b'CONTENT="b"' in to_xml(page.with_lines(lines), "alto")
    assert load_lines(file, "train").num_rows == 3


@pytest.mark.parametrize(("space", "dpi"), [("", None), ("10 10 300 180", None), ("10 10 300 180", 72), ("", 1200)])
def test_units_that_cannot_be_known_are_refused_by_name(tmp_path, space, dpi):
    (tmp_path / "p.xml").write_text(alto_in("mm10", 1.27, space=space))
    ruled_page().save(tmp_path / "p.png", **({"dpi": (dpi, dpi)} if dpi else {}))
    with pytest.raises(InputError, match="measured in mm10, but neither the size"):
        in_pixels(read_page(tmp_path / "p.xml"), PageImages(tmp_path / "p.png")[0])


@pytest.mark.parametrize("factor", [2, 3, 1.5, 0.5])
@pytest.mark.parametrize("lines", [1, 3])
def test_a_size_that_the_lines_contradict(tmp_path, caplog, factor, lines):
    """The file names another size than that of the image, but the lines were drawn on the image."""
    (tmp_path / "p.xml").write_text(
        alto_in("pixel", 1, lines=lines).replace("<Page ", f'<Page WIDTH="{400 * factor}" HEIGHT="{200 * factor}" ')
    )
    ruled_page(lines=lines).save(tmp_path / "p.png")
    page = in_pixels(read_page(tmp_path / "p.xml"), PageImages(tmp_path / "p.png")[0])
    assert corners(page) == [20, 20, 220, 50]
    (note,) = page.notes
    assert "the lines fit the image itself, 400 × 200; they are used as they are" in note
    assert page.units == (1, 1)
    with caplog.at_level(logging.WARNING):
        assert load_lines(tmp_path, "train").num_rows == lines
    assert "1 pages, the file gives its size" in caplog.text


@pytest.mark.parametrize("scale", [0.5, 0.7, 2])
@pytest.mark.parametrize("lines", [1, 3])
def test_a_size_that_the_lines_bear_out(tmp_path, scale, lines):
    """The lines were drawn on a scan of another size, and would lie within this one too."""
    (tmp_path / "p.xml").write_text(alto_in("pixel", 1, size=True, lines=lines))
    ruled_page((round(400 * scale), round(200 * scale)), scale, lines).save(tmp_path / "p.png")
    page = in_pixels(read_page(tmp_path / "p.xml"), PageImages(tmp_path / "p.png")[0])
    assert corners(page) == [round(value * scale) for value in (20, 20, 220, 50)]
    assert page.notes == []
    assert page.units == pytest.approx((1 / scale, 1 / scale))


def test_one_side_of_a_page_is_enough(tmp_path):
    (tmp_path / "p.xml").write_text(alto_in("pixel", 1, size=True).replace('WIDTH="400"', 'WIDTH=""'))
    ruled_page((800, 400), 2).save(tmp_path / "p.png")
    assert corners(in_pixels(read_page(tmp_path / "p.xml"), PageImages(tmp_path / "p.png")[0])) == [40, 40, 440, 100]


def test_regions_that_fill_the_image_tell_that_it_was_drawn_on(tmp_path):
    xml = page_xml(page_line("a", "one"), size=(400, 200))
    (tmp_path / "p1.xml").write_text(xml.replace("<TextLine", '<Coords points="0,0 200,0 200,100 0,100"/><TextLine', 1))
    page = in_pixels(read_page(tmp_path / "p1.xml"), Image.new("L", (200, 100), 100))
    assert (corners(page), len(page.notes)) == ([10, 10, 60, 40], 1)


def test_words_are_written_in_the_units_of_the_file(tmp_path):
    (tmp_path / "p.xml").write_text(alto_in("mm10", 1.27, space="0 0 400 200"))
    page = in_pixels(read_page(tmp_path / "p.xml"), ruled_page())
    words = [Word("b", 0.5, [(20, 20), (120, 20), (120, 50), (20, 50)])]
    page = page.with_lines([replace(line, text="b", score=0.5, words=words) for line in page.lines])
    string = etree.fromstring(to_xml(page, "alto")).find(".//{*}String")
    assert [string.get(name) for name in ("HPOS", "WIDTH")] == ["25.4", "127"]
    new = etree.fromstring(to_xml(replace(page, source=None), "alto")).find(".//{*}String")
    assert [new.get(name) for name in ("HPOS", "WIDTH")] == ["20", "100"]


def blank(kind: str) -> Image.Image:
    """A line without ink."""
    noise = np.random.default_rng(0).normal(200, 5, (60, 400)).clip(0, 254).astype(np.uint8)
    page = {
        "white": Image.new("L", (400, 60), 255),
        "paper": Image.new("L", (400, 60), 210),
        "black": Image.new("L", (400, 60), 20),
        "noise": Image.fromarray(noise),
    }
    if kind == "polygon":
        page = Image.new("L", (500, 200), 180)
        return cut_line(page, [(10, 30), (200, 60), (480, 100), (480, 150), (200, 110), (10, 80)]).image
    return page[kind]


@pytest.mark.parametrize("kind", ["white", "paper", "black", "noise", "polygon"])
def test_paper_is_no_ink(kind):
    assert not has_ink(blank(kind))


@pytest.mark.parametrize("kind", ["white", "paper", "noise", "black"])
def test_a_dot_is_ink(kind):
    line = blank(kind)
    ImageDraw.Draw(line).ellipse((200, 40, 204, 44), fill=240 if kind == "black" else 60)
    assert has_ink(line)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (200, 255), (255, 0), (160, 210)])
def test_letters_are_ink(ink, paper):
    mask = draw_line("words").point(lambda level: 255 if level < 128 else 0)
    line = Image.new("L", mask.size, paper)
    line.paste(ink, mask=mask)
    assert has_ink(line)


class Reads:
    """A reader that finds the same text in every line."""

    calibration, provenance = None, Provenance("m", "best", "")

    def read(self, images, batch_size, pages):
        for _ in images:
            yield LineReading("new", 0.5, ())


def test_lines_without_ink_are_not_read_and_keep_their_text(tmp_path):
    page = Image.new("RGB", (400, 200), "white")
    page.paste(draw_line("words"), (25, 25))
    boxes = [[(20, top), (300, top), (300, top + 40), (20, top + 40)] for top in (20, 80, 140)]
    lines = [PageLine(f"{n}", text, box, []) for n, (text, box) in enumerate(zip(("a", "old", ""), boxes, strict=True))]
    read = transcribe_image(page, Reads(), Page("", 400, 200, [Region("r", [], lines)]))
    assert [(line.text, line.score, line.without_ink) for line in read.lines] == [
        ("new", 0.5, False),
        ("old", None, True),
        ("", 0.0, True),
    ]
    summary = ReadingSummary(None)
    summary.add("p", read)
    assert summary.sentences() == ["2 lines without ink, not read; the text that was there is kept."]


def test_lines_without_ink_are_left_out_and_counted(tmp_path):
    ruled_page(lines=1).save(tmp_path / "p.png")
    (tmp_path / "p.xml").write_text(alto_in("pixel", 1, size=True))
    report = prepare_lines([tmp_path], tmp_path / "out")
    assert report.as_dict()["splits"]["train"]["lines"] == 1
    assert [name.rpartition("#")[2] for name in report.left_out["no ink in the image"]] == ["l1", "l2"]


def test_a_job_tells_of_the_other_file_and_of_the_size(tmp_path):
    for name in ("p", "p.old"):
        (tmp_path / f"{name}.xml").write_text(page_xml(page_line("a", "x", "20,20 220,20 220,50 20,50"), image="p.png",
                                                       size=(800, 400)))  # fmt: skip
    ruled_page().save(tmp_path / "p.png")
    hooks = Mock(spec=JobHooks)
    plan = open_documents([tmp_path], "page", tmp_path / "out")
    counts = TranscriptionJob(plan, Reads(), segmenter=Mock(), hooks=hooks).run()
    assert (counts.pages, counts.lines, counts.errors) == (1, 1, 0)
    told = " ".join(call.args[0] for call in hooks.message.call_args_list)
    assert "p.old.xml describes p.png too" in told
    assert "they are used as they are" in told


def test_a_job_counts_a_line_that_is_damaged_and_reads_the_others(tmp_path):
    lines = (
        page_line("bad", "kept", "1,2 3") + page_line("dot", "kept", "9,9") + page_line("box", "old", "20,20 220,50")
    )
    (tmp_path / "p.xml").write_text(page_xml(lines, image="p.png", size=(400, 200)))
    ruled_page().save(tmp_path / "p.png")
    hooks = Mock(spec=JobHooks)
    plan = open_documents([tmp_path], "page", tmp_path / "out")
    counts = TranscriptionJob(plan, Reads(), segmenter=Mock(), hooks=hooks).run()
    assert counts.errors == 2
    bad, dot = (call.args[0] for call in hooks.message.call_args_list)
    assert bad.endswith("p.xml, bad: damaged coordinates (not pairs of coordinates: '1,2 3')")
    assert dot.endswith("p.xml, dot: the polygon has no area within the page")
    written = read_page(tmp_path / "out" / "p.xml")
    assert [line.text for line in written.lines] == ["kept", "kept", "new"]
