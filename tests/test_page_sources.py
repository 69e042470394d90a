"""Lines from PAGE-XML and ALTO."""

import logging
import sys
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from htr_convtext.data import load_lines, pages, select_trainable
from htr_convtext.documents import cut_line, read_page, xml_reader
from htr_convtext.documents.files import find_documents
from htr_convtext.documents.geometry import parse_points
from htr_convtext.errors import InputError
from modeling_htr_convtext import HTRConvTextConfig
from processing.images import open_image


PAGE_2019 = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
PAGE_2010 = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2010-03-19"
ALTO_2 = "http://www.loc.gov/standards/alto/ns-v2#"
ALTO_4 = "http://www.loc.gov/standards/alto/ns-v4#"


def page_xml(lines: str, namespace: str = PAGE_2019, image: str = "p1.png", size: tuple[int, int] = (200, 100)) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="{namespace}">'
        f'<Page imageFilename="{image}" imageWidth="{size[0]}" imageHeight="{size[1]}">'
        f'<TableRegion id="r"><TextRegion id="c">{lines}</TextRegion></TableRegion></Page></PcGts>'
    )


def alto(lines: str, namespace: str = ALTO_4, image: str = "p1.png", size: tuple[int, int] = (200, 100)) -> str:
    return (
        f'<alto xmlns="{namespace}"><Description><sourceImageInformation><fileName>{image}</fileName>'
        f'</sourceImageInformation></Description><Layout><Page WIDTH="{size[0]}" HEIGHT="{size[1]}"><PrintSpace>'
        f"<TextBlock>{lines}</TextBlock></PrintSpace></Page></Layout></alto>"
    )


def page_line(identifier: str, text: str, points: str = "10,10 60,10 60,40 10,40") -> str:
    return (
        f'<TextLine id="{identifier}"><Coords points="{points}"/>'
        f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
    )


def write_page(folder, xml: str, name: str = "p1", image: bool = True) -> None:
    """A grey page of 200 × 100 pixels and its XML."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xml").write_text(xml, encoding="utf-8")
    if image:
        Image.new("L", (200, 100), 100).save(folder / f"{name}.png")


def only_line(tmp_path, xml: str):
    (tmp_path / "page.xml").write_text(xml, encoding="utf-8")
    (line,) = read_page(tmp_path / "page.xml").lines
    return line


def test_page_xml_of_2019(tmp_path):
    line = only_line(
        tmp_path,
        page_xml(
            '<TextLine id="l1"><Coords points="1,2 3,4 5.5,6"/><Baseline points="1,5 9,5"/>'
            '<Word id="w"><TextEquiv><Unicode>word</Unicode></TextEquiv></Word>'
            '<TextEquiv index="1"><Unicode>second</Unicode></TextEquiv>'
            '<TextEquiv index="0"><Unicode>a &amp; é</Unicode></TextEquiv></TextLine>'
        ),
    )
    assert (line.id, line.text) == ("l1", "a & é")
    assert line.polygon == [(1, 2), (3, 4), (5.5, 6)]
    assert line.baseline == [(1, 5), (9, 5)]


def test_page_xml_of_2010_with_words_only(tmp_path):
    line = only_line(
        tmp_path,
        page_xml(
            '<TextLine id="l1"><Coords><Point x="1" y="2"/><Point x="3" y="4"/></Coords>'
            "<Word><TextEquiv><Unicode>two</Unicode></TextEquiv></Word>"
            "<Word><TextEquiv><Unicode>words</Unicode></TextEquiv></Word></TextLine>",
            PAGE_2010,
        ),
    )
    assert line.text == "two words"
    assert line.polygon == [(1, 2), (3, 4)]


def test_alto_2_with_a_box_spaces_and_a_hyphen(tmp_path):
    line = only_line(
        tmp_path,
        alto(
            '<TextLine ID="l1" HPOS="10" VPOS="20" WIDTH="30" HEIGHT="5" BASELINE="24"><String CONTENT="a"/><SP/>'
            '<String CONTENT="bro"/><HYP CONTENT="-"/></TextLine>',
            ALTO_2,
        ),
    )
    assert line.text == "a bro-"
    assert line.polygon == [(10, 20), (40, 20), (40, 25), (10, 25)]
    assert line.baseline == [(10, 24), (40, 24)]


@pytest.mark.parametrize("points", ["1 2 3 4 5 6", "1,2 3,4 5,6"])
def test_alto_4_with_a_polygon_and_strings_without_spaces(tmp_path, points):
    line = only_line(
        tmp_path,
        alto(
            f'<TextLine ID="l1" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9" BASELINE="{points}"><Shape><Polygon '
            f'POINTS="{points}"/></Shape><String CONTENT="two"/><String CONTENT="words"/></TextLine>'
        ),
    )
    assert line.text == "two words"
    assert line.polygon == line.baseline == [(1, 2), (3, 4), (5, 6)]


def test_lines_are_cut_by_their_polygon():
    page = Image.fromarray(np.full((50, 100), 100, dtype=np.uint8))
    crop = np.asarray(cut_line(page, [(10, 10), (50, 10), (10, 30)], [(10, 25), (50, 25)]).image)
    assert crop.shape == (20, 40)
    assert crop[2, 2] == 100  # within the triangle
    assert crop[-2, -2] == 255  # outside
    assert cut_line(page, [(-5, -5), (500, -5), (500, 500), (-5, 500)]).image.size == (100, 50)
    for outside in ([], [(3, 3)], [(3.5, 3.5)], [(200, 200), (300, 200), (300, 300)]):
        with pytest.raises(ValueError, match="no area"):
            cut_line(page, outside)
    with pytest.raises(ValueError, match="pairs"):
        parse_points("1,2 3")


def test_pages(tmp_path, processor, caplog):
    folder = tmp_path / "pages"
    write_page(folder, page_xml(page_line("a", "one") + page_line("b", " ") + page_line("c", "x", "")))
    # measured on a scan of twice the size, and named after its XML file
    write_page(folder, alto('<TextLine ID="d" HPOS="20" VPOS="20" WIDTH="100" HEIGHT="60"><String CONTENT="two"/>'
                            "</TextLine>", image="C:\\scans\\other.tif", size=(400, 200)), "p2")  # fmt: skip
    write_page(folder, page_xml(page_line("e", "three"), image="gone.png"), "p3", image=False)
    write_page(folder, page_xml(page_line("f", "four"), image="p4.png"), "p4")
    (folder / "p4.png").write_bytes(b"no image")
    (folder / "mets.xml").write_text("<mets/>")
    (folder / "cut.xml").write_text("<alto")
    write_page(folder / "val" / "page", page_xml(page_line("g", "five"), image="p5.png"), "p5", image=False)
    Image.new("L", (200, 100)).save(folder / "val" / "p5.png")
    skipped = []
    with caplog.at_level(logging.WARNING):
        data = load_lines(folder, skipped=skipped)
    lines = data["train"]
    assert lines["text"] == ["one", "two", "four"]
    assert lines["page"] == ["p1", "p2", "p4"]
    assert lines["line_id"] == ["a", "d", "f"]
    assert [open_image(line["image"]).size for line in lines.select([0, 1])] == [(50, 30), (50, 30)]
    assert data["validation"]["text"] == ["five"]
    reasons = {name.rpartition("/")[2]: reason for split, name, reason in skipped if split == "train"}
    assert len(skipped) == len(reasons) == 5
    assert reasons["p1#b"] == "no text"
    assert reasons["p1#c"] == "no polygon or baseline"
    assert reasons["p3.xml (gone.png)"] == "no page image"
    assert "mets" in reasons["mets.xml"]
    assert [reason for name, reason in reasons.items() if name.startswith("cut.xml (")] == ["damaged XML"]
    assert "p4.png: not an image" in caplog.text
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert (len(kept), left_out) == (2, {"unreadable image": 1})
    assert list(load_lines(folder, "train", streaming=True)) == list(lines)

    # what was cut before is not taken for what is there now
    Image.new("L", (400, 200), 100).save(folder / "p1.png")
    assert open_image(load_lines(folder, "train")[0]["image"]).size == (100, 60)


def test_an_export_of_both_formats_and_volumes_of_equal_names(tmp_path):
    for volume in ("1", "2"):
        write_page(tmp_path / volume / "page", page_xml(page_line("a", volume), image="0001.png"), "0001", image=False)
        write_page(tmp_path / volume / "alto", alto('<TextLine ID="a" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"><String '
                                                    f'CONTENT="{volume}"/></TextLine><TextLine/>', image="0001.png"),
                   "0001", image=False)  # fmt: skip
        Image.new("L", (200, 100)).save(tmp_path / volume / "0001.png")
    (tmp_path / "2" / "page" / "0001.xml").rename(tmp_path / "2" / "page" / "0001.XML")
    skipped = []
    lines = load_lines(tmp_path, "train", skipped=skipped)
    assert lines["text"] == ["1", "2"]
    assert lines["page"] == ["1/page/0001", "2/page/0001"]
    assert [reason for *_, reason in skipped] == ["its image has PAGE-XML too"] * 2
    documents, failed = find_documents([tmp_path])
    assert [document.layout.parts[-2:] for document in documents] == [("page", "0001.xml"), ("page", "0001.XML")]
    assert failed == []
    named = find_documents([tmp_path / "1" / "page" / "0001.xml", tmp_path / "1" / "alto" / "0001.xml"])[0]
    assert len(named) == 2


def test_lines_with_only_a_baseline(tmp_path):
    lines = [
        page_line(name, "one", "").replace("/><TextEquiv", f'/><Baseline points="10,{y} 110,{y}"/><TextEquiv', 1)
        for name, y in (("a", 40), ("b", 60), ("c", 80))
    ]
    write_page(tmp_path, page_xml("".join(lines)))
    cut = load_lines(tmp_path, "train")
    assert cut["line_id"] == ["a", "b", "c"]
    # 20 pixels from line to line: 15 above the baseline and 6 below it
    assert [open_image(line["image"]).size for line in cut] == [(100, 21)] * 3


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "SECRET">]>' + page_xml(page_line("a", "&x;")).partition("?>")[2], "damaged"),
        (page_xml("", size=("inf", 100)), "not a coordinate: inf"),
        (alto("", size=("wide", 100)), "not a coordinate: wide"),
        (page_xml("").replace("Page ", "Sheet ").replace("/Page>", "/Sheet>"), "one page, not 0"),
        ("", "damaged XML"),
    ],
)
def test_pages_that_cannot_be_read(tmp_path, xml, message):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "p1.xml").write_text(xml.replace("SECRET", (tmp_path / "secret.txt").as_uri()))
    with pytest.raises(ValueError, match=rf"p1\.xml: .*{message}"):
        read_page(tmp_path / "p1.xml")
    with pytest.raises(ValueError, match="no line can be used; 1 × "):
        load_lines(tmp_path / "p1.xml")


ALTO_LINE = '<TextLine ID="{}" {}><String CONTENT="one"/></TextLine>'
BAD_BASELINE = '<Baseline points="1,x"/><TextEq'
ALTO_BOX = 'HPOS="10" VPOS="10" WIDTH="50" HEIGHT="30"'


@pytest.mark.parametrize(
    "xml",
    [
        page_xml(page_line("bad", "x", "1,2 3") + page_line("good", "y")),
        page_xml(page_line("bad", "x", "nan,2 3,4 5,6") + page_line("good", "y")),
        page_xml(page_line("bad", "x").replace("<TextEq", BAD_BASELINE) + page_line("good", "y")),
        page_xml('<TextLine id="bad"><Coords><Point x="1"/></Coords><TextEquiv><Unicode>x</Unicode></TextEquiv>'
                 "</TextLine>" + page_line("good", "y"), PAGE_2010),
        alto(ALTO_LINE.format("bad", ALTO_BOX.replace("50", "inf")) + ALTO_LINE.format("good", ALTO_BOX)),
        alto(ALTO_LINE.format("bad", ALTO_BOX + ' BASELINE="1 2 3"') + ALTO_LINE.format("good", ALTO_BOX)),
    ],
    ids=["odd", "nan", "baseline", "no y", "alto", "alto baseline"],
)  # fmt: skip
def test_one_bad_value_costs_one_line(tmp_path, xml):
    write_page(tmp_path, xml)
    bad, good = read_page(tmp_path / "p1.xml").lines
    assert bad.error.startswith("damaged coordinates (not ")
    assert bad.text
    assert good.error is None
    skipped = []
    lines = load_lines(tmp_path, "train", skipped=skipped)
    assert lines["line_id"] == ["good"]
    ((_, name, reason),) = skipped
    assert reason == "damaged coordinates"
    assert name.startswith("p1#bad (not ")


def test_what_is_empty_counts_as_missing(tmp_path):
    line = page_line("a", "one").replace("<TextEquiv>", '<TextEquiv index="">')
    region = '<TextRegion id="{0}"><Coords points="{1}"/>{2}</TextRegion>'
    order = "".join(f'<RegionRefIndexed index="{i}" regionRef="{r}"/>' for i, r in (("2", "d"), ("", "b"), ("0", "c")))
    xml = page_xml("", size=("", "")).replace(
        "<TableRegion",
        f"<ReadingOrder><OrderedGroup>{order}</OrderedGroup></ReadingOrder>"
        + region.format("b", "0,0 ,0 ,9", line)
        + region.format("c", "", page_line("c1", "two"))
        + region.format("d", "0 0", page_line("d1", "three"))
        + "<TableRegion",
        1,
    )
    write_page(tmp_path, xml)
    page = read_page(tmp_path / "p1.xml")
    assert (page.width, page.height) == (0, 0)
    assert [line.text for line in page.lines] == ["two", "one", "three"]
    assert [region.polygon for region in page.regions] == [[], [], [(0, 0)]]
    write_page(tmp_path, alto(ALTO_LINE.format("a", ALTO_BOX), size=("", "")))
    page = read_page(tmp_path / "p1.xml")
    assert (page.width, page.height, page.lines[0].error) == (0, 0, None)


@pytest.mark.parametrize(
    ("line", "strings"),
    [
        ("", True),
        ('HPOS="" VPOS="" WIDTH="" HEIGHT=""', True),
        ('HPOS="20" VPOS="5"', True),
        ('HPOS="0" VPOS="0" WIDTH="0" HEIGHT="0"', True),
        (ALTO_BOX + '><Shape><Polygon POINTS=""/></Shape', False),
    ],
    ids=["none", "empty", "half", "zero", "empty polygon"],
)
def test_an_alto_line_without_a_box_of_its_own(tmp_path, line, strings):
    box = '<String CONTENT="{}" HPOS="{}" VPOS="{}" WIDTH="20" HEIGHT="20"/>'
    words = box.format("a", 10, 10) + box.format("b", 40, 20) if strings else '<String CONTENT="a"/>'
    write_page(tmp_path, alto(f'<TextLine ID="l" {line}>{words}</TextLine>'))
    (line,) = read_page(tmp_path / "p1.xml").lines
    assert line.polygon == [(10, 10), (60, 10), (60, 40), (10, 40)]
    assert [open_image(line["image"]).size for line in load_lines(tmp_path, "train")] == [(50, 30)]


def test_a_page_xml_line_without_a_polygon_of_its_own(tmp_path):
    word = '<Word><Coords points="{}"/><TextEquiv><Unicode>a</Unicode></TextEquiv></Word>'
    words = word.format("10,10 30,10 30,30 10,30") + word.format("40,20 60,20 60,40 40,40")
    (tmp_path / "page.xml").write_text(page_xml(f'<TextLine id="l">{words}</TextLine>'))
    assert read_page(tmp_path / "page.xml").lines[0].polygon == [(10, 10), (60, 10), (60, 40), (10, 40)]


def alto_blocks(blocks: str, order: str = "") -> str:
    """Blocks named in `blocks`, each with attributes, and two lines of the names `x1` and `x2`."""
    parts = ""
    for block in blocks.split(";"):
        name = block.split()[0]
        lines = "".join(ALTO_LINE.format(f"{name}{n}", ALTO_BOX) for n in (1, 2))
        parts += f'<TextBlock ID="{name}" {block.partition(" ")[2]}>{lines}</TextBlock>'
    return f"<alto>{order}<Layout><Page><PrintSpace>{parts}</PrintSpace></Page></Layout></alto>"


@pytest.mark.parametrize(
    ("xml", "order"),
    [
        (alto_blocks("a;b;c", "<ReadingOrder><OrderedGroup><ElementRef REF='c'/><ElementRef REF='a'/></OrderedGroup>"
                              "</ReadingOrder>"), "c1 c2 a1 a2 b1 b2"),
        (alto_blocks("a;b IDNEXT='a'", "<ReadingOrder><OrderedGroup><UnorderedGroup><ElementRef REF='a'/>"
                                       "</UnorderedGroup><ElementRef REF='b'/></OrderedGroup></ReadingOrder>"),
         "a1 a2 b1 b2"),
        (alto_blocks("a;b", "<ReadingOrder><OrderedGroup><ElementRef REF='b2'/><ElementRef REF='b1'/><ElementRef "
                            "REF='a'/></OrderedGroup></ReadingOrder>"), "b2 b1 a1 a2"),
        (alto_blocks("a;b IDNEXT='a'"), "b1 b2 a1 a2"),
        (alto_blocks("x;a;c IDNEXT='a';b IDNEXT='c';d"), "x1 x2 b1 b2 c1 c2 a1 a2 d1 d2"),
        (alto_blocks("a IDNEXT='c';b IDNEXT='a';c IDNEXT='b'"), "a1 a2 c1 c2 b1 b2"),
        (alto_blocks("a IDNEXT='gone';b IDNEXT='b'"), "a1 a2 b1 b2"),
        (alto_blocks("a;b IDNEXT='g'").replace('<TextBlock ID="a"', "<ComposedBlock ID='g'><TextBlock ID=\"a\"")
         .replace('</TextBlock><TextBlock ID="b"', '</TextBlock></ComposedBlock><TextBlock ID="b"'), "b1 b2 a1 a2"),
    ],
    ids=["ordered", "groups first", "lines", "next", "chain", "ring", "nowhere", "composed"],
)  # fmt: skip
def test_reading_order_of_alto(tmp_path, xml, order):
    (tmp_path / "a.xml").write_text(xml)
    assert [line.id for line in read_page(tmp_path / "a.xml").lines] == order.split()


def test_images_are_tried_again_by_another_pillow(tmp_path, monkeypatch):
    write_page(tmp_path / "pages", page_xml(page_line("a", "one")))
    with monkeypatch.context() as patch:
        patch.setattr(pages, "open_image", Mock(side_effect=InputError("no such codec")))
        (line,) = load_lines(tmp_path / "pages", "train")
        assert line["image"]["bytes"] == b""
        patch.setattr(pages, "PIL_VERSION", "another")
        patch.setattr(pages, "open_image", open_image)
        (line,) = load_lines(tmp_path / "pages", "train")
        assert open_image(line["image"]).size == (50, 30)


def test_pages_without_the_library(tmp_path, monkeypatch):
    write_page(tmp_path, page_xml(page_line("a", "one")))
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(ValueError, match=r"pip install 'htr-convtext\[pages\]'"):
        load_lines(tmp_path)


def test_xml_is_parsed_once(tmp_path, monkeypatch):
    write_page(tmp_path, page_xml(page_line("a", "one")))
    line = '<TextLine ID="b" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"><String CONTENT="two"/></TextLine>'
    write_page(tmp_path, alto(line, image="p2.png"), "p2")
    parsed = Mock(side_effect=xml_reader.parse_xml)
    monkeypatch.setattr(xml_reader, "parse_xml", parsed)
    assert load_lines(tmp_path, "train")["text"] == ["one", "two"]
    assert parsed.call_count == 2
    assert len(find_documents([tmp_path])[0]) == 2
    assert parsed.call_count == 2


def test_what_stands_in_for_a_damaged_layout(tmp_path):
    """The ALTO file of the image, if it has one, and then the image, as long as no other file describes it."""
    write_page(tmp_path / "page", page_xml(page_line("a", "one")), image=False)
    write_page(tmp_path / "alto", alto(""), image=False)
    Image.new("L", (200, 100)).save(tmp_path / "p1.png")

    def ways(*paths) -> list[list[str]]:
        found = []
        for document in find_documents(paths)[0]:
            found.append([])
            while document:
                found[-1].append((document.layout or document.image).relative_to(tmp_path).as_posix())
                document = document.instead
        return found

    assert ways(tmp_path) == [["page/p1.xml", "alto/p1.xml", "p1.png"]]
    assert ways(tmp_path / "page" / "p1.xml") == [["page/p1.xml"]]
    assert ways(tmp_path / "page" / "p1.xml", tmp_path / "p1.png") == [["page/p1.xml", "p1.png"]]
    write_page(tmp_path / "more", page_xml(page_line("b", "two")), image=False)
    (tmp_path / "alto" / "p1.xml").unlink()
    assert ways(tmp_path / "page", tmp_path / "more", tmp_path / "p1.png") == [["more/p1.xml", "page/p1.xml", "p1.png"]]
    files = (tmp_path / "page" / "p1.xml", tmp_path / "more" / "p1.xml")
    assert ways(*files, tmp_path / "p1.png") == [["page/p1.xml"], ["more/p1.xml"]]  # both are named
