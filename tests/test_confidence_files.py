"""Confidences in PAGE-XML, ALTO, JSONL, text and PDF: what they mean, and what is marked as doubtful."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from lxml import etree
from PIL import Image

import htr_convtext
from htr_convtext.documents import Page, PageLine, Region, Word, format_pages, read_page
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.reading import Provenance
from processing.confidence import ExpectedCER, LineConfidence


SCHEMAS = Path(__file__).parent / "schemas"
READER = Provenance("my_model", "lm: fr", "0123abcd")
PAGE_2013 = """<?xml version="1.0"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2013-07-15">
  <Metadata><Creator>somebody</Creator><Created>2020-01-01T00:00:00</Created><LastChange>2020-01-01T00:00:00</LastChange>
    {comments}<TranskribusMetadata docId="7"/></Metadata>
  <Page imageFilename="a.jpg" imageWidth="200" imageHeight="100"><TextRegion id="r"><Coords points="0,0 9,9"/>
    <TextLine id="l" custom="readingOrder {{index:0;}} unclear {{offset:0; length:3;}} person {{offset:0; length:3;}}">
      <Coords points="10,10 80,10 80,30"/></TextLine></TextRegion></Page>
</PcGts>"""
ALTO_3 = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Description><MeasurementUnit>pixel</MeasurementUnit>
  <OCRProcessing ID="processing_1"><ocrProcessingStep><processingSoftware><softwareName>Other</softwareName>
  </processingSoftware></ocrProcessingStep></OCRProcessing></Description>
  <Tags><OtherTag ID="doubtful" LABEL="mine"/></Tags>
  <Layout><Page ID="p" WIDTH="200" HEIGHT="100" ACCURACY="12"><PrintSpace><TextBlock ID="b">
  <TextLine ID="l" HPOS="10" VPOS="10" WIDTH="70" HEIGHT="20"><String CONTENT="old"/></TextLine></TextBlock>
  </PrintSpace></Page></Layout></alto>"""


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


@pytest.fixture
def page() -> Page:
    """A line of three words, one of them doubtful, one in which nothing was read, and one that was not read."""
    words = [
        Word("son", 0.91, box(10, 10, 30, 30)),
        Word("l'été", 0.4, box(35, 10, 60, 30)),
        Word("son", 0.8, box(65, 10, 80, 30)),
    ]
    sure = LineConfidence((0.9,) * 13, (0.91, 0.4, 0.8), 0.3, 1.5, 1.5, 15.0)
    nothing = LineConfidence((), (), 0.45, 5.5, 20.0, 10.0)
    lines = [
        PageLine("l", "son l'été son", box(10, 10, 80, 30), [], 0.85, words, confidence=sure),
        PageLine("empty", "", box(10, 50, 80, 70), [], 0.0, confidence=nothing),
        PageLine("unread", "", [], [], error="no area"),
    ]
    expected = ExpectedCER(0.28, 0.2, 0.4, 0.9)
    return Page("a.jpg", 200, 100, [Region("r", [], lines)], provenance=READER, expected_cer=expected)


@pytest.fixture
def uncalibrated(page) -> Page:
    lines = [replace(line, confidence=None) for line in page.lines]
    return replace(page.with_lines(lines), provenance=Provenance("my_model", "beam"), expected_cer=None)


def validated(page: Page, kind: str, **settings) -> etree._Element:
    root = etree.fromstring(to_xml(page, kind, **settings))
    etree.XMLSchema(file=str(SCHEMAS / {"page": "page_2019.xsd", "alto": "alto_4.xsd"}[kind])).assertValid(root)
    return root


def from_file(tmp_path, xml: str, page: Page) -> Page:
    """The first line of `page`, read in that of a file."""
    (tmp_path / "a.xml").write_text(xml, encoding="utf-8")
    source = read_page(tmp_path / "a.xml")
    (line,) = source.lines
    (found,) = source.with_lines([replace(page.lines[0], id=line.id)]).regions
    return replace(source, regions=[found], provenance=page.provenance, expected_cer=page.expected_cer)


def test_page_xml_has_probabilities_and_says_whose(page, uncalibrated):
    root = validated(page, "page")
    assert [e.get("conf") for e in root.iter("{*}TextEquiv")] == [
        "0.9100",
        "0.4000",
        "0.8000",
        "0.3000",
        "0.4500",
        None,
    ]
    (item,) = root.iter("{*}MetadataItem")
    assert {label.get("type"): label.get("value") for label in item.iter("{*}Label")} == {
        "software version": htr_convtext.__version__,
        "model": "my_model",
        "decoder": "lm: fr",
        "calibration": "0123abcd",
        "confidence": "probability of being right",
        "expected CER": "0.2800 (90% interval 0.2000 to 0.4000)",
    }
    root = validated(uncalibrated, "page")
    assert [e.get("conf") for e in root.iter("{*}TextEquiv")][3:] == ["0.8500", "0.0000", None]
    labels = {label.get("type"): label.get("value") for label in root.iter("{*}Label")}
    assert labels == {
        "software version": htr_convtext.__version__,
        "model": "my_model",
        "decoder": "beam",
        "confidence": "mean score of the characters",
    }
    assert root.findtext("{*}Metadata/{*}Creator") == f"HTR-ConvText {htr_convtext.__version__}"


def test_alto_has_probabilities_and_says_whose(page, uncalibrated):
    root = validated(page, "alto")
    assert [e.get("WC") for e in root.iter("{*}String")][:3] == ["0.9100", "0.4000", "0.8000"]
    assert root.findtext(".//{*}processingStepSettings").splitlines() == [
        "model: my_model",
        "decoder: lm: fr",
        "calibration: 0123abcd",
        "confidence: probability of being right",
        "expected CER: 0.2800 (90% interval 0.2000 to 0.4000)",
    ]
    assert root.find(".//{*}Page").get("ACCURACY") == "72.00"
    assert root.findtext(".//{*}processingSoftware/{*}softwareVersion") == htr_convtext.__version__
    root = validated(uncalibrated, "alto")
    assert "calibration" not in root.findtext(".//{*}processingStepSettings")
    assert root.find(".//{*}Page").get("ACCURACY") is None


def test_doubtful_words_of_page_xml(page):
    first, empty, unread = validated(page, "page", min_confidence=0.5).iter("{*}TextLine")
    assert first.get("custom") == "unclear {offset:4; length:5;}"
    assert empty.get("custom") == "gap {offset:0; length:0;}"
    assert unread.get("custom") is None
    first, empty, _ = validated(page, "page", min_confidence=0.45).iter("{*}TextLine")
    assert (first.get("custom"), empty.get("custom")) == ("unclear {offset:4; length:5;}", None)
    assert "custom" not in etree.tostring(validated(page, "page")).decode()


def test_a_file_of_transkribus_keeps_its_tags(page, tmp_path):
    read = from_file(tmp_path, PAGE_2013.format(comments="<Comments>by hand</Comments>"), page)
    root = etree.fromstring(to_xml(read, "page", 0.85))
    custom = "readingOrder {index:0;} person {offset:0; length:3;}"
    (line,) = root.iter("{*}TextLine")
    assert line.get("custom") == f"{custom} unclear {{offset:4; length:5;}} unclear {{offset:10; length:3;}}"
    metadata = root.find("{*}Metadata")
    names = [etree.QName(child).localname for child in metadata]
    assert names == ["Creator", "Created", "LastChange", "Comments", "TranskribusMetadata"]
    mine, ours = metadata.findtext("{*}Comments").splitlines()
    assert mine == "by hand"
    version = f"HTR-ConvText: software version: {htr_convtext.__version__}"
    assert ours.startswith(f"{version}; model: my_model; decoder: lm: fr; calibration: 0123abcd; ")
    # read again with another model, into the file that was written: what was said before is replaced
    (tmp_path / "b").mkdir()
    again = from_file(tmp_path / "b", etree.tostring(root).decode(), replace(page, provenance=Provenance("other")))
    root = etree.fromstring(to_xml(again, "page"))
    assert root.find(".//{*}TextLine").get("custom") == custom
    first, second = root.findtext(".//{*}Comments").splitlines()
    assert first == "by hand"
    assert second.startswith(f"{version}; model: other;")
    # without comments they come where the schema has them
    read = from_file(tmp_path, PAGE_2013.format(comments=""), page)
    metadata = etree.fromstring(to_xml(read, "page")).find("{*}Metadata")
    assert [etree.QName(child).localname for child in metadata][2:4] == ["LastChange", "Comments"]


def test_a_new_page_xml_that_is_read_again_says_it_once(page, tmp_path):
    (tmp_path / "a.xml").write_bytes(to_xml(page, "page", 0.5))
    read = replace(read_page(tmp_path / "a.xml"), provenance=Provenance("other"))
    labels = [label.get("value") for label in validated(read, "page").iter("{*}Label")]
    assert labels == [htr_convtext.__version__, "other", "greedy", "mean score of the characters"]
    (tmp_path / "a.xml").write_bytes(to_xml(page, "alto", 0.5))
    read = replace(read_page(tmp_path / "a.xml"), provenance=Provenance("other"))
    root = validated(read, "alto")
    assert [e.text.splitlines()[0] for e in root.iter("{*}processingStepSettings")] == ["model: other"]
    assert root.find(".//{*}Page").get("ACCURACY") is None


def test_doubtful_words_of_alto(page):
    root = validated(page, "alto", min_confidence=0.5)
    assert [e.get("TAGREFS") for e in root.iter("{*}String")] == [None, "doubtful", None, "doubtful", None]
    assert [(e.get("ID"), e.get("LABEL")) for e in root.iter("{*}OtherTag")] == [("doubtful", "doubtful")]
    assert [etree.QName(child).localname for child in root] == ["Description", "Tags", "Layout"]
    assert root.find(".//{*}Tags") is not None
    assert validated(page, "alto", min_confidence=0.1).find(".//{*}Tags") is None


def test_an_older_alto_is_marked_with_what_it_can_have(page, tmp_path):
    root = etree.fromstring(to_xml(from_file(tmp_path, ALTO_3, page), "alto", 0.5))
    assert [e.get("TAGREFS") for e in root.iter("{*}String")] == [None, "doubtful_", None]
    assert [(e.get("ID"), e.get("LABEL")) for e in root.iter("{*}OtherTag")] == [
        ("doubtful", "mine"),
        ("doubtful_", "doubtful"),
    ]
    other, ours = root.iter("{*}OCRProcessing")
    assert (other.get("ID"), ours.get("ID")) == ("processing_1", "processing_1_")
    assert "calibration: 0123abcd" in ours.findtext("{*}ocrProcessingStep/{*}processingStepSettings")
    assert root.find(".//{*}Page").get("ACCURACY") == "72.00"
    first = ALTO_3.replace("http://www.loc.gov/standards/alto/ns-v3#", "http://schema.ccs-gmbh.com/ALTO")
    root = etree.fromstring(to_xml(from_file(tmp_path, first, page), "alto", 0.5))
    assert {e.get("TAGREFS") for e in root.iter("{*}String")} == {None}  # there is no such attribute


def rows(page: Page, min_confidence: float | None = None) -> list[dict]:
    return [json.loads(row) for row in format_pages([(page, None)], "jsonl", min_confidence).splitlines()]


def test_jsonl(page, uncalibrated):
    first, empty, unread = rows(page)
    assert (first["score"], first["confidence"], first["expected_cer"]) == (0.85, 0.3, 0.1)
    assert (empty["score"], empty["confidence"], empty["expected_cer"]) == (0.0, 0.45, 0.55)
    for row in (first, empty):
        assert (row["decoder"], row["calibration"]) == ("lm: fr", "0123abcd")
        assert row["page_expected_cer"] == {"cer": 0.28, "low": 0.2, "high": 0.4, "level": 0.9}
    assert {"decoder", "calibration", "confidence"}.isdisjoint(unread)
    first, empty, _ = rows(uncalibrated)
    assert first["decoder"] == "beam"
    assert {"calibration", "confidence", "expected_cer", "page_expected_cer", "doubtful"}.isdisjoint(first | empty)

    first, empty, unread = rows(page, 0.5)
    assert [word["doubtful"] for word in first["words"]] == [False, True, False]
    assert (empty["doubtful"], unread["doubtful"]) == (True, False)
    assert "doubtful" not in first
    assert [row["text"] for row in (first, empty)] == ["son l'été son", ""]


def test_text(page):
    assert format_pages([(page, None)], "text").decode() == "son l'été son\n\n\n"
    assert format_pages([(page, None)], "text", 0.5).decode() == "son l'été[?] son\n[?]\n\n"
    assert format_pages([(page, None)], "text", 0.85).decode() == "son l'été[?] son[?]\n[?]\n\n"


def test_a_line_whose_words_have_no_place_is_marked_as_a_whole(page):
    line = replace(page.lines[0], words=[], confidence=None)
    whole = replace(page, regions=[Region("r", [], [line])])
    assert format_pages([(whole, None)], "text", 0.9).decode() == "son l'été son[?]\n"
    (element,) = validated(whole, "page", min_confidence=0.9).iter("{*}TextLine")
    assert element.get("custom") == "unclear {offset:0; length:13;}"
    assert [e.get("TAGREFS") for e in validated(whole, "alto", min_confidence=0.9).iter("{*}String")] == ["doubtful"]
    assert rows(whole, 0.9)[0]["doubtful"]
    assert not rows(whole, 0.8)[0]["doubtful"]


def test_pdf(page):
    image = Image.new("RGB", (200, 100), "white")

    def drawn(min_confidence: float | None) -> np.ndarray:
        document = pypdfium2.PdfDocument(format_pages([(page, image)], "pdf", min_confidence))
        return np.asarray(document[0].render(scale=300 / 72).to_pil().convert("L"))

    assert drawn(None).min() > 250
    dark = np.argwhere(drawn(0.5) < 200)
    assert dark.min(0)[1] == pytest.approx(35, abs=3)  # under the second word
    assert dark.max(0)[1] == pytest.approx(60, abs=3)
    assert dark[:, 0].mean() == pytest.approx(30, abs=3)
