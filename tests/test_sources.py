"""Lines from lists, LMDB, pages, Parquet and the Hub."""

import io
import logging
import sys

import datasets
import lmdb
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

from htr_convtext import HTRConvTextConfig
from htr_convtext.data import load_lines, select_trainable, sources
from htr_convtext.data.lines import open_line
from htr_convtext.pages import cut_line, read_page
from htr_convtext.pages.geometry import parse_points
from tests.conftest import draw_line


def encoded(text: str) -> bytes:
    buffer = io.BytesIO()
    draw_line(text).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(folder, *texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for text in texts:
        draw_line(text).save(folder / f"{text}.png")


# --- the Hub and Parquet ---


@pytest.fixture
def parquet(tmp_path):
    """Two splits with other column names than ours."""
    features = Features({"img": Image(), "transcription": Value("string"), "writer": Value("int64")})
    for split, texts in (("train", ["one", None]), ("val", ["three"])):
        rows = [{"img": {"bytes": encoded(text or "x"), "path": None}, "transcription": text} for text in texts]
        lines = Dataset.from_list([{**row, "writer": 7} for row in rows], features=features)
        (tmp_path / "packed").mkdir(exist_ok=True)
        lines.to_parquet(tmp_path / "packed" / f"{split}.parquet")
    return tmp_path / "packed"


def test_columns_are_found_and_others_stay(parquet):
    lines = load_lines(parquet, "train")
    assert lines["text"] == ["one", ""]
    assert open_line(lines[0]["image"]).size == draw_line("one").size
    assert set(lines.column_names) == {"image", "text", "writer", "source"}


def test_streaming_gives_the_same_lines(parquet):
    data = load_lines(parquet, streaming=True)
    assert isinstance(data, datasets.IterableDatasetDict)
    for split in ("train", "validation"):
        streamed, loaded = list(data[split]), list(load_lines(parquet, split))
        assert sorted(streamed[0]) == sorted(loaded[0])
        assert [{**line} for line in streamed] == loaded


@pytest.mark.parametrize("streaming", [False, True])
def test_hub_id(monkeypatch, parquet, streaming):
    asked = []

    def load_dataset(path, **options):  # the network is not there
        asked.append((path, options))
        return datasets.load_dataset("parquet", data_dir=str(parquet), **options)

    monkeypatch.setattr(sources, "load_dataset", load_dataset)
    lines = load_lines("Teklia/IAM-line", "val", streaming=streaming)
    assert asked == [("Teklia/IAM-line", {"streaming": streaming})]
    assert isinstance(lines, datasets.IterableDataset if streaming else Dataset)
    line = next(iter(lines))
    assert (line["text"], line["source"]) == ("three", "IAM-line")


def test_hub_data_set_that_is_not_there():
    with pytest.raises(ValueError, match=r"Nobody/nothing: .*nor Hub data set"):
        load_lines("Nobody/nothing")


def test_split_names_of_the_hub(monkeypatch, parquet):
    lines = datasets.load_dataset("parquet", data_dir=str(parquet))["train"]
    for names, ours in (
        (["training", "dev", "extra"], ["train", "validation", "extra"]),
        (["dev", "validation"], ["dev", "validation"]),
    ):
        monkeypatch.setattr(sources, "load_dataset", lambda *_, names=names, **__: dict.fromkeys(names, lines))
        assert list(load_lines("some/set")) == ours


def test_columns_that_cannot_be_told_are_listed(tmp_path):
    row = {"scan": {"bytes": encoded("a"), "path": None}, "gt": "a", "sentence": "b", "label": 0}
    features = {"scan": Image(), "gt": Value("string"), "sentence": Value("string"), "label": ClassLabel(names=["x"])}
    lines = Dataset.from_list([row], features=Features(features))
    lines.to_parquet(tmp_path / "two.parquet")
    with pytest.raises(ValueError, match=r"more than one column may be the text.*scan, gt, sentence, label"):
        load_lines(tmp_path / "two.parquet")
    with pytest.raises(ValueError, match="no column 'words'"):
        load_lines(tmp_path / "two.parquet", text_column="words")
    assert load_lines(tmp_path / "two.parquet", "train", text_column="sentence")["text"] == ["b"]
    lines.remove_columns("sentence").to_parquet(tmp_path / "one.parquet")
    assert load_lines(tmp_path / "one.parquet", "train")["text"] == ["a"]  # classes are no texts
    lines.select_columns(["scan", "label"]).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match=r"no column is known as the text.*scan, label"):
        load_lines(tmp_path / "none.parquet")


def test_source_column_of_texts_stays(tmp_path):
    for stored, expected in (("letters", "letters"), (3, "lines")):
        rows = [{"image": {"bytes": encoded("a"), "path": None}, "text": "a", "source": stored}]
        Dataset.from_list(rows).to_parquet(tmp_path / "lines.parquet")
        assert load_lines(tmp_path / "lines.parquet", "train")["source"] == [expected]


# --- lists ---


def test_ln_lists(tmp_path, caplog):
    write_images(tmp_path / "iam" / "lines", "one", "two", "three", "four")
    for text in ("one", "two", "four"):
        (tmp_path / "iam" / "lines" / f"{text}.txt").write_text(f"{text} é\n", encoding="utf-8-sig")
    (tmp_path / "iam" / "lines" / "four.txt").write_bytes(b"\xe9")
    (tmp_path / "iam" / "train.ln").write_text("one.png\r\n\nthree.png\nfour.png\n")
    (tmp_path / "iam" / "val.ln").write_text("two.png")
    (tmp_path / "iam" / "test.ln").write_text("gone.png\n")
    skipped = []
    with caplog.at_level(logging.WARNING):
        data = load_lines(tmp_path / "iam", skipped=skipped)
    assert data["train"]["text"] == ["one é"]
    assert data["validation"]["text"] == ["two é"]
    assert len(data["test"]) == 0
    assert open_line(data["train"][0]["image"]).size == draw_line("one").size
    assert skipped == [
        ("test", "gone.png", "no such image"),
        ("train", "three.png", "no .txt beside the image"),
        ("train", "four.png", "the .txt is not UTF-8"),
    ]
    assert "train: 1 left out, no .txt beside the image: three.png" in caplog.text
    with pytest.raises(ValueError, match="no line can be used; 1 × no such image"):
        load_lines(tmp_path / "iam", "test")
    assert load_lines(tmp_path / "iam" / "val.ln", "train") is None
    assert len(load_lines(tmp_path / "iam" / "val.ln", "validation")) == 1


def test_table_without_header(tmp_path):
    write_images(tmp_path / "images", "one", "two")
    rows = 'images/one.png\tone "quoted"\nimages/two.png\t\nimages/two.png\nimages/gone.png\tgone\n'
    (tmp_path / "gt.txt").write_text(rows)
    (tmp_path / "notes.txt").write_text("no\tlist\n")
    skipped = []
    lines = load_lines(tmp_path, skipped=skipped)["train"]
    assert lines["text"] == ['one "quoted"', ""]
    assert skipped == [("train", "gt.txt:3", "not 2 columns"), ("train", "images/gone.png", "no such image")]
    streamed = load_lines(tmp_path, "train", streaming=True)
    assert list(streamed) == list(lines)


def test_table_with_header(tmp_path):
    write_images(tmp_path / "scans", "one")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "dev.tsv").write_text("writer\tfile_name\tTranscription\tnote\n7\tone.png\tone\tx\n")
    lines = load_lines(tmp_path / "lists", "validation", image_root=tmp_path / "scans")
    assert {**lines[0], "image": None} == {"image": None, "text": "one", "writer": "7", "note": "x", "source": "lists"}
    lines = load_lines(tmp_path / "lists" / "dev.tsv", "dev", image_root=tmp_path / "scans", text_column="note")
    assert lines["text"] == ["x"]
    with pytest.raises(ValueError, match=r"dev\.tsv: there is no column 'words'.*writer, file_name"):
        load_lines(tmp_path / "lists", text_column="words")
    with pytest.raises(ValueError, match="1 × no such image"):
        load_lines(tmp_path / "lists")
    (tmp_path / "lists" / "valid.tsv").write_text("one.png\tone\n")
    with pytest.raises(ValueError, match=r"dev\.tsv and valid\.tsv are both validation"):
        load_lines(tmp_path / "lists")


def test_lists_that_are_none(tmp_path):
    (tmp_path / "train.tsv").write_bytes(b"a.png\t\xff\xfe\n")
    with pytest.raises(ValueError, match=r"train\.tsv: the list is not UTF-8"):
        load_lines(tmp_path)
    (tmp_path / "train.tsv").write_text("")
    with pytest.raises(ValueError, match="no line can be used"):
        load_lines(tmp_path)
    (tmp_path / "train.doc").write_text("a")
    with pytest.raises(ValueError, match=r"train\.doc: not a list"):
        load_lines(tmp_path / "train.doc")


# --- LMDB ---


def write_store(folder, records: dict[bytes, bytes]) -> None:
    folder.mkdir(parents=True)
    with lmdb.open(str(folder)) as environment, environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key, value)


def test_lmdb(tmp_path):
    records = {b"num-samples": b"5", b"image-000000001": encoded("one"), b"label-000000001": "é".encode()}
    records |= {b"label-000000002": b"two", b"image-000000003": b"", b"image-000000004": b"4"}
    records |= {b"label-000000004": b"\xff", b"image-000000005": encoded("five"), b"label-000000005": b"five"}
    write_store(tmp_path / "store" / "train", records)
    write_store(tmp_path / "store" / "val", {b"num-samples": b"0"})
    skipped = []
    data = load_lines(tmp_path / "store", skipped=skipped)
    assert data["train"]["text"] == ["é", "five"]
    assert open_line(data["train"][1]["image"]).size == draw_line("five").size
    assert len(data["validation"]) == 0
    assert [reason for _, _, reason in skipped] == ["no such key", "no such key", "not UTF-8"]
    assert list(load_lines(tmp_path / "store", "train", streaming=True)) == list(data["train"])
    assert load_lines(tmp_path / "store" / "train", "train")["source"] == ["train", "train"]


def test_lmdb_of_another_layout_damaged_or_without_the_library(tmp_path, monkeypatch):
    write_store(tmp_path / "other", {b"a": b"b"})
    with pytest.raises(ValueError, match="other: no num-samples"):
        load_lines(tmp_path / "other")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "data.mdb").write_bytes(b"nothing" * 1000)
    with pytest.raises(ValueError, match="damaged: this LMDB store cannot be opened"):
        load_lines(tmp_path / "damaged")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ValueError, match=r"pip install 'htr-convtext\[train\]'"):
        load_lines(tmp_path / "other")


# --- pages ---

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
        PILImage.new("L", (200, 100), 100).save(folder / f"{name}.png")


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
    page = PILImage.fromarray(np.full((50, 100), 100, dtype=np.uint8))
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
    PILImage.new("L", (200, 100)).save(folder / "val" / "p5.png")
    skipped = []
    with caplog.at_level(logging.WARNING):
        data = load_lines(folder, skipped=skipped)
    lines = data["train"]
    assert lines["text"] == ["one", "two", "four"]
    assert lines["page"] == ["p1", "p2", "p4"]
    assert lines["line_id"] == ["a", "d", "f"]
    assert [open_line(line["image"]).size for line in lines.select([0, 1])] == [(50, 30), (50, 30)]
    assert data["validation"]["text"] == ["five"]
    reasons = {name.rpartition("/")[2]: reason for split, name, reason in skipped if split == "train"}
    assert len(skipped) == len(reasons) == 5
    assert reasons["p1.xml#b"] == "no text"
    assert reasons["p1.xml#c"] == "no polygon or baseline"
    assert "gone.png" in reasons["p3.xml"]
    assert "mets" in reasons["mets.xml"]
    assert "damaged XML" in reasons["cut.xml"]
    assert "p4.png: not an image" in caplog.text
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert (len(kept), left_out) == (2, {"unreadable image": 1})
    assert list(load_lines(folder, "train", streaming=True)) == list(lines)

    # what was cut before is not taken for what is there now
    PILImage.new("L", (400, 200), 100).save(folder / "p1.png")
    assert open_line(load_lines(folder, "train")[0]["image"]).size == (100, 60)


def test_lines_with_only_a_baseline(tmp_path):
    lines = [
        page_line(name, "one", "").replace("/><TextEquiv", f'/><Baseline points="10,{y} 110,{y}"/><TextEquiv', 1)
        for name, y in (("a", 40), ("b", 60), ("c", 80))
    ]
    write_page(tmp_path, page_xml("".join(lines)))
    cut = load_lines(tmp_path, "train")
    assert cut["line_id"] == ["a", "b", "c"]
    # 20 pixels from line to line: 15 above the baseline and 6 below it
    assert [open_line(line["image"]).size for line in cut] == [(100, 21)] * 3


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "SECRET">]>' + page_xml(page_line("a", "&x;")).partition("?>")[2], "damaged"),
        (page_xml(page_line("a", "b", "1,2 3")), "pairs of coordinates"),
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


def test_pages_without_the_library(tmp_path, monkeypatch):
    write_page(tmp_path, page_xml(page_line("a", "one")))
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(ValueError, match=r"pip install 'htr-convtext\[pages\]'"):
        load_lines(tmp_path)
