"""PAGE-XML, ALTO, PDF and JSONL of pages, and page images of every kind."""

import ctypes
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from lxml import etree
from PIL import Image

import htr_convtext
from htr_convtext.documents import Page, PageLine, Region, Word, provenance, read_page, xml_writer
from htr_convtext.documents.formats import to_jsonl
from htr_convtext.documents.pdf_writer import to_pdf
from htr_convtext.documents.xml_reader import NotAPageError, PageHead, read_head
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.reading import Provenance


SCHEMAS = Path(__file__).parent / "schemas"
PAGE_2019 = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"
ALTO_4 = "{http://www.loc.gov/standards/alto/ns-v4#}"


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


@pytest.fixture
def page() -> Page:
    """Two regions; a line of two words, one that was not read, one in which nothing was."""
    words = [Word("l'été", 0.91234, box(10, 10, 40, 30)), Word("<&>", 0.5, box(45.6, 10, 80, 30))]
    first = PageLine("r1_l1", "l'été <&>", box(10, 10, 80.4, 30), [(10, 25), (80, 25)], 0.7, words)
    unread = PageLine("r1_l2", "", [], [], error="the polygon has no area within the page")
    nothing = PageLine("r2_l1", "", box(-3, 50, 80, 60), [(0, 58), (80, 58)], 0.9)
    return Page("a b.jpg", 200, 100, [Region("r1", box(10, 10, 80, 30), [first, unread]), Region("r2", [], [nothing])])


def validate(xml: bytes, schema: str) -> etree._Element:
    root = etree.fromstring(xml)
    etree.XMLSchema(file=str(SCHEMAS / schema)).assertValid(root)
    return root


def test_new_page_xml(page, tmp_path):
    root = validate(to_xml(page, "page"), "page_2019.xsd")
    assert [e.get("points") for e in root.iter(f"{PAGE_2019}Coords")][:2] == ["10,10 80,10 80,30 10,30"] * 2
    assert [e.text for e in root.iter(f"{PAGE_2019}Unicode")] == ["l'été", "<&>", "l'été <&>", None, None]
    assert [e.get("conf") for e in root.iter(f"{PAGE_2019}TextEquiv")] == ["0.9123", "0.5000", "0.7000", None, "0.9000"]
    (tmp_path / "p.xml").write_bytes(to_xml(page, "page"))
    again = read_page(tmp_path / "p.xml")
    assert (again.image, again.width, again.height, again.text) == ("a b.jpg", 200, 100, page.text)
    assert [line.id for line in again.lines] == ["r1_l1", "r1_l2", "r2_l1"]
    assert again.lines[0].baseline == [(10, 25), (80, 25)]


def test_new_alto(page, tmp_path):
    root = validate(to_xml(page, "alto"), "alto_4.xsd")
    strings = list(root.iter(f"{ALTO_4}String"))
    assert [(e.get("CONTENT"), e.get("WC")) for e in strings] == [
        ("l'été", "0.9123"),
        ("<&>", "0.5000"),
        ("", None),
        ("", None),
    ]
    assert [strings[1].get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == ["45.6", "10", "34.4", "20"]
    (tmp_path / "p.xml").write_bytes(to_xml(page, "alto"))
    again = read_page(tmp_path / "p.xml")
    assert (again.image, again.text) == ("a b.jpg", page.text)
    assert [region.id for region in again.regions] == ["r1", "r2"]
    assert again.lines[0].polygon == box(10, 10, 80.4, 30)


def test_every_id_of_a_new_file_is_its_own(page):
    first, second = (replace(line, id="a") for line in (page.lines[0], page.lines[2]))
    regions = [
        Region("", [], [first, second]),
        Region("a", [], [first]),
        Region("order", [], [replace(first, id=name) for name in ("page_1", "line_1", "a_w1")]),
    ]
    for kind, schema in (("page", "page_2019.xsd"), ("alto", "alto_4.xsd")):
        root = validate(to_xml(replace(page, regions=regions), kind), schema)
        lines = root.findall(".//{*}TextLine")
        assert [line.get("id") or line.get("ID") for line in lines] == [
            "a",
            "line_2",
            "line_3",
            "line_4",
            "line_1",
            "line_5",
        ]


def test_a_page_without_lines(page):
    empty = Page("a.jpg", 10, 10, [])
    validate(to_xml(empty, "page"), "page_2019.xsd")
    validate(to_xml(empty, "alto"), "alto_4.xsd")


TRANSKRIBUS = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2013-07-15">
  <Metadata><Creator>somebody</Creator><Created>2020-01-01T00:00:00</Created><LastChange>2020-01-01T00:00:00</LastChange>
    <TranskribusMetadata docId="7"/></Metadata>
  <Page imageFilename="a.jpg" imageWidth="400" imageHeight="200">
    <ReadingOrder><OrderedGroup id="o"><RegionRefIndexed index="0" regionRef="second"/>
      <RegionRefIndexed index="1" regionRef="first"/></OrderedGroup></ReadingOrder>
    <TextRegion id="first" type="paragraph" custom="readingOrder {index:1;}"><Coords points="0,0 9,9"/>
      <TextLine id="a" custom="readingOrder {index:1;}"><Coords points="20,20 160,20 160,60"/>
        <Baseline points="1,2 3,4"/>
        <Word id="old"><Coords points="1,1 2,2"/></Word><TextEquiv index="1"><Unicode>old</Unicode></TextEquiv>
        <TextStyle fontSize="3"/></TextLine>
      <TextLine id="b" custom="readingOrder {index:0;}"><Coords points="1,1 2,2"/>
        <TextEquiv><Unicode>kept</Unicode></TextEquiv></TextLine>
      <TextEquiv><Unicode>old region</Unicode></TextEquiv>
    </TextRegion>
    <TextRegion id="second"><Coords points="0,0 9,9"/>
      <TextLine id="c"><Coords points="1,1 2,2"/></TextLine></TextRegion>
    <ImageRegion id="picture"><Coords points="5,5 6,6"/></ImageRegion>
  </Page>
</PcGts>
"""


def test_page_xml_keeps_what_is_not_changed(tmp_path):
    (tmp_path / "a.xml").write_text(TRANSKRIBUS, encoding="utf-8")
    page = read_page(tmp_path / "a.xml")
    assert [line.id for line in page.lines] == ["c", "b", "a"]
    # read on an image of half the size
    word = Word("new", 0.5, box(10, 10, 80, 30))
    line = PageLine("a", "new", box(10, 10, 80, 30), [], 0.5, [word])
    first = Region("first", [], [page.regions[1].lines[0], line])
    root = etree.fromstring(to_xml(replace(page, width=200, height=100, regions=[page.regions[0], first]), "page"))
    a, b = root.findall(".//{*}TextRegion[@id='first']/{*}TextLine")
    assert [etree.QName(child).localname for child in a] == ["Coords", "Baseline", "Word", "TextEquiv", "TextStyle"]
    assert a.find("{*}Coords").get("points") == "20,20 160,20 160,60"
    assert a.find("{*}Word/{*}Coords").get("points") == "20,20 160,20 160,60 20,60"
    assert a.get("custom") == "readingOrder {index:1;}"
    assert b.findtext("{*}TextEquiv/{*}Unicode") == "kept"
    assert root.findtext(".//{*}TextRegion[@id='first']/{*}TextEquiv/{*}Unicode") == "kept\nnew"
    assert root.find(".//{*}ImageRegion[@id='picture']") is not None
    assert root.find(".//{*}TranskribusMetadata").get("docId") == "7"
    assert root.findtext(".//{*}Creator") == "somebody"
    assert root.findtext(".//{*}LastChange") > "2026"


def read_and_write(tmp_path, xml: str, kind: str) -> tuple[Page, bytes]:
    """A page as it is read, and the file with "new" as the text of its first line."""
    (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
    page = read_page(tmp_path / "a.xml")
    (region, *others), outline = page.regions, box(0, 0, 50, 20)
    line = replace(region.lines[0], text="new", score=0.5, words=[Word("new", 0.5, outline)])
    regions = [replace(region, lines=[line, *region.lines[1:]]), *others]
    size = {"width": page.width or 100, "height": page.height or 100}
    return page, to_xml(replace(page, regions=regions, **size), kind)


ALTO = (
    '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><sourceImageInformation><fileName>C:\\b.jpg'
    '</fileName></sourceImageInformation></Description><Layout><Page WIDTH="100" HEIGHT="100"><PrintSpace>'
    '<TextBlock ID="b"><TextLine ID="l" HPOS="1" VPOS="2" WIDTH="3" HEIGHT="4"><String CONTENT="old"/></TextLine>'
    "</TextBlock></PrintSpace></Page></Layout></alto>"
)


@pytest.mark.parametrize(("kind", "xml"), [("page", TRANSKRIBUS), ("alto", ALTO)])
def test_pages_are_pickled(page, tmp_path, monkeypatch, kind, xml):
    for module in (provenance, xml_writer):
        monkeypatch.setattr(module, "now", lambda: "2026-01-01T00:00:00")
    (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
    read = read_page(tmp_path / "a.xml")
    assert read.format == kind
    for each in (read, page):
        again = pickle.loads(pickle.dumps(each))
        assert again == each
        assert to_xml(again, kind) == to_xml(each, kind)
    without = replace(read, source=None)
    assert pickle.loads(pickle.dumps(without)) == read
    assert b"old" in to_xml(without, kind)  # a new file, with the lines


@pytest.mark.parametrize(("xml", "head"), [(TRANSKRIBUS, PageHead("page", "a.jpg")), (ALTO, PageHead("alto", "b.jpg"))])
def test_the_head_of_a_file_is_read_alone(tmp_path, xml, head):
    file = tmp_path / "a.xml"
    file.write_text(xml.replace("</TextLine>", "", 1))
    assert read_head(file) == head
    with pytest.raises(ValueError, match=r"a\.xml: damaged XML"):
        read_page(file)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<mets><Page/></mets>", "neither PAGE-XML nor ALTO, but <mets>"),
        ("<alto><Layout/></alto>", "it must describe one page, not 0"),
        ("<alto><Lay", "damaged XML"),
        ("", "damaged XML"),
    ],
)
def test_heads_that_cannot_be_read(tmp_path, xml, message):
    (tmp_path / "a.xml").write_text(xml)
    for read in (read_head, read_page):
        with pytest.raises(ValueError, match=rf"a\.xml: {message}") as error:
            read(tmp_path / "a.xml")
        assert isinstance(error.value, NotAPageError) == ("mets" in xml)


def test_reading_xml_is_light(tmp_path):
    (tmp_path / "a.xml").write_text(TRANSKRIBUS, encoding="utf-8")
    code = (
        "import sys, time\nfrom htr_convtext.documents import read_page\n"
        "print(len(read_page(sys.argv[1]).lines), time.process_time(), *sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.xml")]
    lines, seconds, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert lines == "3"
    assert not {"torch", "transformers", "datasets"} & set(modules)
    assert float(seconds) < 0.7


INVALID = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="a.jpg" imageWidth="100" imageHeight="100"><ReadingOrder><OrderedGroup id="o">
<RegionRefIndexed index="0" regionRef="gone"/></OrderedGroup></ReadingOrder>
<TextRegion id="1 r"><Coords points="0,0 50,0 50,20 0,20"/>
<TextLine id="1"><Coords points="0,0 50,0 50,20 0,20"/></TextLine><TextLine><Coords points="-1,0 50,0"/></TextLine>
</TextRegion><TextRegion id="o"/></Page></PcGts>"""


def test_what_comes_of_an_invalid_file_is_valid_or_says_why_not(tmp_path, caplog):
    page, written = read_and_write(tmp_path, INVALID, "page")
    assert caplog.messages == [
        "a.jpg: its PAGE-XML was not valid, and is not so as it is written: PcGts without Metadata (PcGts in row 1); "
        "TextLine without id (TextLine in row 5); Coords with points '-1,0 50,0' (Coords in row 5); TextRegion without "
        "Coords (TextRegion o); an id that several elements have ('o'); an id that XML does not take ('1 r'); a "
        "reference to no region ('gone')."
    ]
    with pytest.raises(etree.DocumentInvalid):
        validate(written, "page_2019.xsd")
    caplog.clear()
    for kind, schema in (("page", "page_2019.xsd"), ("alto", "alto_4.xsd")):
        root = validate(to_xml(replace(page, source=None, format=None), kind), schema)
        ids = [each.get("id") or each.get("ID") for each in root.iter("{*}TextRegion", "{*}TextBlock", "{*}TextLine")]
        assert ids == ["region_1", "line_1", "line_2"]
    validate(to_xml(page, "alto"), "alto_4.xsd")
    read_and_write(tmp_path, TRANSKRIBUS, "page")
    assert not caplog.messages
    alto = ALTO.replace("<Page ", '<Page ID="p" PHYSICAL_IMG_NR="1" ')
    read_and_write(tmp_path, alto, "alto")
    assert not caplog.messages
    read_and_write(tmp_path, alto.replace('ID="b"', ""), "alto")
    assert "its ALTO was not valid, and is not so as it is written: TextBlock without ID" in caplog.text


def test_ids_of_new_words_are_their_own(tmp_path, caplog):
    """Also those that another line of the file has."""
    xml = TRANSKRIBUS.replace('<ImageRegion id="picture">', '<ImageRegion id="c_w1">')
    root = etree.fromstring(read_and_write(tmp_path, xml, "page")[1])
    assert [word.get("id") for word in root.iter("{*}Word")][-1:] == ["c__w1"]
    xml = ALTO.replace('ID="b"', 'ID="l_w1"')
    root = etree.fromstring(read_and_write(tmp_path, xml, "alto")[1])
    assert [word.get("ID") for word in root.iter("{*}String")] == ["l__w1"]
    assert "several" not in caplog.text


def test_comments_and_sizes_that_are_missing(tmp_path):
    xml = (
        '<?xml version="1.0"?><!-- mine --><PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        '<Page imageFilename="a.jpg" imageWidth="0" imageHeight="0"><TextRegion id="r"><TextLine id="l"><!-- x -->'
        '<Coords points="0,0 50,0 50,20"/><?y z?><TextEquiv><Unicode>old</Unicode></TextEquiv></TextLine></TextRegion>'
        "</Page></PcGts>"
    )
    _, written = read_and_write(tmp_path, xml, "page")
    assert b"<!-- mine -->" in written
    assert b"<!-- x -->" in written
    assert b"<?y z?>" in written
    root = etree.fromstring(written)
    assert [e.text for e in root.iter(f"{PAGE_2019}Unicode")] == ["new", "new"]
    assert root.find(".//{*}Word/{*}Coords").get("points") == "0,0 50,0 50,20 0,20"


def test_alto_without_a_namespace(tmp_path):
    xml = (
        '<alto><Layout><Page WIDTH="100" HEIGHT="100"><PrintSpace><TextBlock><TextLine HPOS="1" VPOS="2" WIDTH="3" '
        'HEIGHT="4"><String CONTENT="old"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>'
    )
    _, written = read_and_write(tmp_path, xml, "alto")
    (string,) = etree.fromstring(written).iter("String")
    assert (string.get("CONTENT"), string.get("WIDTH")) == ("new", "50")
    assert b"ns0" not in written


def test_line_ids_are_unique(tmp_path):
    line = '<TextLine{}><Coords points="0,0 9,9"/></TextLine>'
    lines = "".join(line.format(name) for name in (' id="line_2"', "", ' id="x"', ' id="x"'))
    (tmp_path / "a.xml").write_text(f'<PcGts><Page><TextRegion id="r">{lines}</TextRegion></Page></PcGts>')
    assert [each.id for each in read_page(tmp_path / "a.xml").lines] == ["line_2", "line_2_", "x", "line_4"]


def test_reading_order_of_page_xml(tmp_path):
    region = '<TextRegion id="{0}"><TextLine id="{0}_l"/></TextRegion>'
    (tmp_path / "a.xml").write_text(
        '<PcGts><Page><ReadingOrder><OrderedGroup id="g"><RegionRefIndexed index="2" regionRef="foot"/>'
        '<RegionRefIndexed index="0" regionRef="head"/><OrderedGroupIndexed index="1" regionRef="table"/>'
        f"</OrderedGroup></ReadingOrder>{''.join(map(region.format, ('foot', 'head', 'aside')))}"
        '<TableRegion id="table">'
        '<TableCell id="c1"><TextLine id="c1_l"/></TableCell><TableCell id="c2"><TextLine id="c2_l"/></TableCell>'
        "</TableRegion></Page></PcGts>"
    )
    lines = read_page(tmp_path / "a.xml").lines
    assert [line.id for line in lines] == ["head_l", "c1_l", "c2_l", "foot_l", "aside_l"]


def test_alto_keeps_what_is_not_changed(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>mm10</MeasurementUnit>'
        '</Description><Tags><OtherTag ID="T1" LABEL="x"/></Tags><Layout><Page WIDTH="1000" HEIGHT="500"><PrintSpace>'
        '<TextBlock ID="b"><TextLine ID="l" TAGREFS="T1" HPOS="1"><Shape><Polygon POINTS="1 1 9 9"/></Shape>'
        '<String CONTENT="o"/><SP/><String CONTENT="ld"/><HYP CONTENT="-"/></TextLine><TextLine><String CONTENT="as"/>'
        "<String CONTENT='it was'/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>"
    )
    page = read_page(tmp_path / "a.xml")
    assert [line.id for line in page.lines] == ["l", "line_2"]
    word = Word("new", 0.5, box(10, 10, 80, 30))
    line = PageLine("l", "new", box(10, 10, 80, 30), [], 0.5, [word])
    regions = [Region("b", [], [line, page.lines[1]])]
    read = replace(page, width=200, height=100, regions=regions)
    root = etree.fromstring(to_xml(read, "alto"))
    first, second = root.iter(f"{ALTO_4}TextLine")
    assert [etree.QName(child).localname for child in first] == ["Shape", "String"]
    assert first.get("TAGREFS") == "T1"
    assert [first.find("{*}String").get(name) for name in ("CONTENT", "HPOS", "WIDTH")] == ["new", "50", "350"]
    assert [e.get("CONTENT") for e in second] == ["as", "it was"]
    assert root.find(".//{*}OtherTag").get("ID") == "T1"
    # into the other format with the ids that it has
    converted = validate(to_xml(read, "page"), "page_2019.xsd")
    assert [e.get("id") for e in converted.iter(f"{PAGE_2019}TextLine")] == ["l", "line_2"]


def test_jsonl(page):
    rows = [json.loads(row) for row in to_jsonl(page).splitlines()]
    assert [row["line"] for row in rows] == ["r1_l1", "r1_l2", "r2_l1"]
    assert rows[0] == {
        "image": "a b.jpg",
        "page": 1,
        "region": "r1",
        "line": "r1_l1",
        "text": "l'été <&>",
        "score": 0.7,
        "polygon": [list(point) for point in page.lines[0].polygon],
        "baseline": [[10, 25], [80, 25]],
        "words": [
            {"text": word.text, "score": word.score, "polygon": [list(point) for point in word.polygon]}
            for word in page.lines[0].words
        ],
    }
    assert "no area" in rows[1]["error"]


def test_pdf(page):
    words = [Word("Việt", 0.9, box(300, 600, 600, 700)), Word("số", 0.9, box(700, 600, 800, 700))]
    line = PageLine("l", "Việt số", box(300, 600, 800, 700), [], 0.9, words)
    image = Image.new("RGB", (1200, 1500), "white")
    pages = [(Page("a.jpg", 1200, 1500, [Region("r", [], [line])]), image), (Page("a.jpg", 200, 100, []), image)]
    document = pypdfium2.PdfDocument(to_pdf(pages))
    assert len(document) == 2
    assert document[0].get_size() == pytest.approx((288, 360))
    text = document[0].get_textpage()
    assert text.get_text_bounded().split() == ["Việt", "số"]
    search = text.search("số")
    place, _ = search.get_next()
    left, bottom, _, top = text.get_charbox(place)
    assert left == pytest.approx(700 * 72 / 300, abs=3)
    assert 360 - 700 * 72 / 300 - 6 < bottom < top < 360 - 600 * 72 / 300 + 12
    assert np.asarray(document[0].render(scale=1).to_pil()).min() > 250  # nobody sees it


@pytest.mark.parametrize("gap", [-1, 0, 1, 30])
@pytest.mark.parametrize("height", [6, 12, 60])
def test_words_stay_apart_in_the_pdf(height, gap):
    """Programs tell words by gaps of 0.1 to 0.15 sizes of the letters, whatever spaces are written between them."""
    texts = ["Die", "I", "Brücke", "à", "la", "1848"]
    words, x = [], 20
    for text in texts:
        width = len(text) * height * 0.3
        words.append(Word(text, 0.9, box(x, 50, x + width, 50 + height)))
        x += width + gap
    line = PageLine("l", " ".join(texts), box(20, 50, x, 50 + height), [], 0.9, words)
    page = Page("a.jpg", 1000, 200, [Region("r", [], [line])])
    document = pypdfium2.PdfDocument(to_pdf([(page, Image.new("RGB", (1000, 200)))]))
    point = 72 / 300
    places = []
    for each in document[0].get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT]):
        size = ctypes.c_float()
        assert pypdfium2.raw.FPDFTextObj_GetFontSize(each, size)
        left, _, right, _ = each.get_bounds()
        places.append((left, right, size.value * point))
    assert len(places) == len(texts)
    for (_, end, size), (start, _, _), word in zip(places, places[1:], words, strict=False):
        assert start - end > 0.15 * size
        assert size <= height * point * 1.001
        width = word.polygon[1][0] - word.polygon[0][0] + min(gap, 0)
        assert end > (word.polygon[0][0] + 0.3 * width) * point  # no stump
    if gap == 30:
        assert places[2][1] == pytest.approx(words[2].polygon[1][0] * point, abs=1)  # as long as it was
    assert document[0].get_textpage().get_text_bounded().split() == texts


def test_what_a_pdf_says_of_itself(page):
    image = Image.new("RGB", (200, 100))
    language = {"lm: fr": "fr", "lm: it_old": "it", "lm: archive": "und", "lm": "und", "beam": "und"}
    for decoder, expected in language.items():
        read = replace(page, provenance=Provenance("my_model", decoder))
        content = to_pdf([(read, image), (replace(page, image="other.jpg"), image)])
        metadata = pypdfium2.PdfDocument(content).get_metadata_dict()
        assert (metadata["Title"], metadata["Author"]) == ("a b", "")
        assert metadata["Creator"] == f"HTR-ConvText {htr_convtext.__version__}"
        assert metadata["Subject"] == f"model: my_model; decoder: {decoder}"
        assert f"/Lang ({expected})".encode() in content
    assert pypdfium2.PdfDocument(to_pdf([(page, image)])).get_metadata_dict()["Subject"] == ""


def test_letters_that_the_pdf_cannot_have(page, caplog):
    line = replace(page.lines[0], words=[Word("aд", 0.9, box(0, 0, 50, 20))])
    to_pdf([(Page("a.jpg", 100, 100, [Region("r", [], [line])]), Image.new("RGB", (100, 100)))])
    assert caplog.messages == ["In the PDF these cannot be searched for: д"]
