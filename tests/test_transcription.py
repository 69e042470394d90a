"""From page images to text: finding lines, reading them, and the programs around it."""

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

from htr_convtext import Character, LineReading, load_recognizer
from htr_convtext.documents import Page, PageLine, Region, cut_line, read_page
from htr_convtext.documents.layout import in_pixels
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.evaluation import error_rates
from htr_convtext.evaluation.pages import match_lines, measure_page
from htr_convtext.transcription import (
    corrected,
    transcribe,
    transcribe_image,
)
from htr_convtext.transcription.pages import with_expected_cer, with_reading
from htr_convtext.transcription.summary import ReadingSummary
from processing.confidence import LineConfidence
from tests.helpers import EXAMPLE_PAGE, EXAMPLE_TEXT, ROOT, draw_line


def test_a_page_is_read_in_order(page):
    assert (page.image, page.number, (page.width, page.height)) == ("page.jpg", 1, Image.open(EXAMPLE_PAGE).size)
    assert len(page.lines) == len(EXAMPLE_TEXT)
    assert error_rates(EXAMPLE_TEXT, [line.text for line in page.lines]).cer < 0.06


def test_what_was_read_is_pickled(page, recognizer):
    assert pickle.loads(pickle.dumps(page)) == page
    assert page.lines[0].characters
    (reading,) = recognizer.read([ROOT / "space" / "examples" / "line.jpg"])
    assert pickle.loads(pickle.dumps(reading)) == reading
    assert "".join(character.char for character in reading.characters) == reading.text != ""


def test_words_lie_on_their_line_from_left_to_right(page):
    for line in page.lines:
        assert [word.text for word in line.words] == line.text.split()
        boxes = [(min(x for x, _ in word.polygon), max(x for x, _ in word.polygon)) for word in line.words]
        borders = [border for box in boxes for border in box]
        assert all(right > left - 3 for left, right in pairwise(borders))  # slanted words may overlap a little
        left, right = min(x for x, _ in line.polygon), max(x for x, _ in line.polygon)
        assert left - 2 <= borders[0] < left + 40
        assert right - 40 < borders[-1] <= right + 2
        assert all(0 <= word.score <= 1 for word in line.words)


def test_lines_that_are_given_are_read_where_they_are(page, recognizer):
    """Twice as large as the image, one without a polygon, one without anything, one beside the page."""
    first, second = page.lines[2:4]
    given = [
        PageLine("a", "", [(2 * x, 2 * y) for x, y in first.polygon], []),
        PageLine("b", "", [], [(2 * x, 2 * y) for x, y in second.baseline]),
        PageLine("c", "old", [], []),
        PageLine("d", "kept", [(9000, 10), (9100, 10), (9100, 50)], []),
        PageLine("e", "", [], [(2 * x, 2 * y) for x, y in page.lines[4].baseline]),
    ]
    layout = Page("other.jpg", 2 * page.width, 2 * page.height, [Region("r", [], given)])
    read = transcribe(EXAMPLE_PAGE, recognizer, layout=layout)
    assert read.image == "other.jpg"
    assert error_rates(EXAMPLE_TEXT[2:4], [line.text for line in read.lines[:2]]).cer < 0.1
    assert [line.id for line in read.lines] == ["a", "b", "c", "d", "e"]
    assert [(line.text, line.error is not None, line.score) for line in read.lines[2:4]] == [
        ("old", True, None),
        ("kept", True, None),
    ]


def test_lines_without_ids_are_all_read(page, recognizer, tmp_path):
    """Whatever finds lines need not name them, but XML files do."""
    regions = [Region("", [], [replace(line, id="")]) for line in page.lines[2:4]]
    read = transcribe(EXAMPLE_PAGE, recognizer, segmenter=lambda image: regions)
    assert [line.text for line in read.lines] == [line.text for line in page.lines[2:4]]
    for kind in ("page", "alto"):
        (tmp_path / kind).write_bytes(to_xml(read, kind))
        assert [line.text for line in read_page(tmp_path / kind).lines] == [line.text for line in read.lines]


@pytest.mark.parametrize("polygon", [[(0, 0)] * 4, [(100, 60), (500, 70)]], ids=["point", "stroke"])
def test_a_polygon_without_area_does_not_hide_the_baseline(polygon):
    lines = [PageLine(str(y), "", polygon, [(100, y), (500, y)]) for y in (60, 120)]
    page = in_pixels(Page("", 1200, 300, [Region("r", [], lines)]), Image.new("L", (1200, 300)))
    assert page.lines[0].polygon == [(100, 15), (500, 15), (500, 78), (100, 78)]


def test_lines_with_only_a_baseline_in_two_columns():
    lines = [
        PageLine(f"{x}_{y}", "", [], [(x, y + x / 100), (x + 400, y + x / 100)])
        for x in (100, 700)
        for y in (60, 120, 180)
    ]
    page = in_pixels(Page("", 1200, 300, [Region("r", [], lines)]), Image.new("L", (1200, 300)))
    # 60 pixels from line to line in a column; 6 from one column to the other do not count
    assert page.lines[0].polygon == [(100, 61 - 45), (500, 61 - 45), (500, 61 + 18), (100, 61 + 18)]


def test_a_layout_of_an_image_that_was_turned(page, recognizer):
    with pytest.raises(ValueError, match=r"1500 × 1240, but the image is 1240 × 1500"):
        transcribe(EXAMPLE_PAGE, recognizer, replace(page, width=1500, height=1240))


def test_a_long_strip(recognizer):
    line = Image.open(EXAMPLE_PAGE).convert("RGB").crop((90, 380, 1150, 450)).resize((1600, 60))
    strip = Image.new("RGB", (3200, 60), line.getpixel((0, 0)))
    strip.paste(line)
    page = transcribe_image(strip, recognizer)
    assert error_rates([EXAMPLE_TEXT[2]], [page.text]).cer < 0.25  # it is stretched
    assert all(0 <= y <= 60 for each in page.lines for _, y in each.polygon)


def test_a_page_with_nothing_on_it(recognizer):
    page = transcribe_image(Image.new("RGB", (400, 300), "white"), recognizer)
    assert page.lines == []
    assert page.text == ""


def test_a_page_on_its_side(page, recognizer):
    turned = transcribe_image(Image.open(EXAMPLE_PAGE).rotate(90, expand=True), recognizer)
    assert turned.is_sideways
    assert not page.is_sideways


def test_a_corrected_line(page):
    line = page.lines[0]
    grey = Image.open(EXAMPLE_PAGE).convert("L")
    new = corrected(line, "Lyon, 1898", cut_line(grey, line.polygon, line.baseline))
    assert [(word.text, word.score) for word in new.words] == [("Lyon,", 1.0), ("1898", 1.0)]
    assert new.words[0].polygon[0][0] < new.words[1].polygon[0][0]
    assert (new.text, new.score, new.id) == ("Lyon, 1898", 1.0, line.id)
    assert (new.certainty, new.confidence.errors, new.confidence.length) == (1.0, 0.0, 10.0)


def test_words_are_composed_as_their_line(page):
    cut = cut_line(Image.open(EXAMPLE_PAGE).convert("L"), page.lines[0].polygon)
    characters = tuple(Character(char, 0.9, 9 * n, 9 * n + 9) for n, char in enumerate("e\u0301 a"))
    line = with_reading(page.lines[0], cut, LineReading("é a", 0.9, characters))
    assert [word.text for word in line.words] == ["é", "a"]


def test_measuring_a_page(page):
    truth = replace(
        page,
        regions=[
            Region(
                "r", [], [replace(line, text=text) for line, text in zip(page.lines[1:], EXAMPLE_TEXT[1:], strict=True)]
            )
        ],
    )
    given = transcribe_nothing(page)
    measure = measure_page(truth, page, given, str)
    assert (measure.lines, measure.detected, measure.matched) == (12, 13, 12)
    assert measure.recall == 1
    assert measure.precision == 12 / 13
    assert measure.errors >= len(page.lines[0].text) > measure.matched_errors
    assert measure.given_cer == 1
    assert measure + measure == replace(
        measure, **{name: 2 * getattr(measure, name) for name in measure.__dataclass_fields__}
    )
    moved = [replace(line, polygon=[(x, y + 30) for x, y in line.polygon]) for line in page.lines]
    assert match_lines(page.lines, moved) == []
    stroke = replace(page.lines[0], polygon=[(0, 0), (9, 9)])
    assert match_lines([stroke, page.lines[1]], page.lines) == [(page.lines[1], page.lines[1])]


def transcribe_nothing(page: Page) -> Page:
    return page.with_lines(replace(line, text="") for line in page.lines)


# --- how sure it is ---


def outline(top: float) -> list[tuple[float, float]]:
    return [(10, top), (390, top), (390, top + 30), (10, top + 30)]


@pytest.fixture
def sheet() -> tuple[Image.Image, Page]:
    """Two lines of a page, and where they are."""
    image = Image.new("RGB", (400, 100), "white")
    for top, text in ((10, "some words of text"), (55, "another line")):
        image.paste(draw_line(text, 30), (15, top))
    return image, Page("a.png", 400, 100, [Region("r", [], [PageLine(f"{y}", "", outline(y), []) for y in (8, 53)])])


def test_pages_have_calibrated_confidences(sheet, calibrated_folder, calibration):
    image, layout = sheet
    recognizer = load_recognizer(calibrated_folder, "cpu")
    page = transcribe_image(image, recognizer, layout)
    assert page.provenance == recognizer.provenance
    assert page.expected_cer == calibration.expected_cer([line.confidence for line in page.lines])
    for line in page.lines:
        assert tuple(word.score for word in line.words) == line.confidence.words != ()
        assert line.certainty == line.confidence.line
    plain = transcribe_image(image, load_recognizer(calibrated_folder, "cpu", "beam"), layout)
    assert plain.expected_cer is None
    assert [line.confidence for line in plain.lines] == [None, None]
    # what a person corrected needs no more correction
    grey = image.convert("L")
    first, second = (corrected(line, "Words", cut_line(grey, line.polygon)) for line in page.lines)
    half = with_expected_cer(page.with_lines([first, page.lines[1]]), calibration)
    whole = with_expected_cer(page.with_lines([first, second]), calibration)
    assert 0 == whole.expected_cer.cer == whole.expected_cer.high < half.expected_cer.cer < page.expected_cer.cer


def test_the_summary_names_the_pages_to_check(calibration):
    def made(errors: float, text: str = "text") -> Page:
        sure = LineConfidence((0.5,), (0.5,), 0.5, errors, errors, 20.0)
        lines = [PageLine("a", text, [], [], 0.5, confidence=sure), PageLine("b", "", [], [])]
        return with_expected_cer(Page("a", 1, 1, [Region("r", [], lines)]), calibration)

    summary = ReadingSummary(calibration)
    assert summary.sentences() == []
    pages = {"a": made(1.0), "b": made(9.0), "c": made(4.0, text="")}
    for name, page in pages.items():
        summary.add(name, page)
    lines = [page.lines[0].confidence for page in pages.values()]
    assert summary.expected_cer == calibration.expected_cer(lines, list(pages))
    assert summary.expected_cer.cer == pytest.approx(14 / 60)
    assert [page.name for page in summary.to_check()] == ["b", "c", "a"]
    nothing, expected, check = summary.sentences(pages=2)
    assert nothing == "1 line read as nothing."
    assert expected.startswith("expected CER 23.3 % (90 % interval ")
    assert check.endswith("b (9 errors, CER 45.0 %); c (4 errors, CER 20.0 %).")

    plain = ReadingSummary(None)
    line = PageLine("a", "", [], [], 0.0)
    plain.add("a", Page("a", 1, 1, [Region("r", [], [line, replace(line, score=1.0)])]))  # one corrected by a person
    assert (plain.empty, plain.expected_cer) == (1, None)
    assert plain.sentences() == ["1 line read as nothing."]
