"""Ground truth is read as it stands in the file, whatever the format, and what is left out is counted truly."""

import csv
import errno
import json
import logging
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset_builder
from datasets.exceptions import DatasetGenerationError

from htr_convtext.data import TextPolicy, load_lines, prepare_lines, select_trainable, sources
from htr_convtext.documents.page import Page, PageLine, Region, Word
from htr_convtext.documents.xml_reader import read_page
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.errors import InputError
from htr_convtext.xml_characters import drop_unwritable
from modeling_htr_convtext import HTRConvTextConfig
from processing.images import open_image
from tests.helpers import call_script, draw_line, write_image_folder


# What readers of tables take for missing values, numbers, truth values, dates, or the end of a cell.
TEXTS = [
    "null", "None", "NA", "nan", "n/a", "", "0012", "1e3", "0.10", "-0", "12345678901234567890", "+49", "1,5", "True",
    "FALSE", "true", "1848-03-05", "12:30", "2020-01-01T00:00:00Z", '"so"', "a; b", "it's", "\\N", "#N/A", "∞", "inf",
]  # fmt: skip


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("file_name", "text"), *rows])


def write_jsonl(path, rows):
    path.write_text("\n".join(json.dumps({"file_name": name, "text": text}) for name, text in rows))


def write_tsv(path, rows):
    path.write_text("\n".join(map("\t".join, rows)), encoding="utf-8")


def write_parquet(path, rows):
    names, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"file_name": names, "text": texts}), path)


def write_ln(path, rows):
    path.write_text("\n".join(name for name, _ in rows))
    for name, text in rows:
        (path.parent / name).with_suffix(".txt").write_text(text, encoding="utf-8")


WRITERS = {
    "metadata.csv": write_csv, "metadata.jsonl": write_jsonl, "metadata.parquet": write_parquet,
    "train.tsv": write_tsv, "gt.txt": write_tsv, "train.ln": write_ln,
}  # fmt: skip


@pytest.mark.parametrize("texts", [TEXTS, ["0012", "1848"], ["True", "FALSE"], ["1848-03-05", "1849-12-01"], ["NA"]])
@pytest.mark.parametrize("name", WRITERS)
def test_texts_stand_as_they_are_written(tmp_path, name, texts):
    rows = [(f"{index}.png", text) for index, text in enumerate(texts)]
    for file, _ in rows:
        draw_line("a").save(tmp_path / file)
    WRITERS[name](tmp_path / name, rows)
    assert list(load_lines(tmp_path, "train")["text"]) == texts
    if not name.endswith("parquet"):  # a file of lines, whose images are in it
        assert list(load_lines(tmp_path / name, "train")["text"]) == texts


def test_prepared_lines_have_the_same_texts(tmp_path):
    texts = [text for text in TEXTS if text]
    for index in range(len(texts)):
        draw_line(str(index)).save(tmp_path / f"{index}.png")
    write_csv(tmp_path / "metadata.csv", [(f"{index}.png", text) for index, text in enumerate(texts)])
    prepare_lines([tmp_path], tmp_path / "out")
    assert list(load_lines(tmp_path / "out", "train")["text"]) == texts


def test_values_of_json_that_are_no_strings(tmp_path):
    draw_line("a").save(tmp_path / "a.png")
    values = ("12", "0.10", "12345678901234567890.5", "true", "null", '["a"]', '{"b": 1}', "1e400")
    rows = "\n".join(f'{{"file_name": "a.png", "text": {value}, "note": {value}}}' for value in values)
    (tmp_path / "metadata.jsonl").write_text(rows + '\n[1]\n{"file_name": \n{"text": "x"}\n{"file_name": "b.png"}\n')
    skipped = []
    lines = load_lines(tmp_path, skipped=skipped)["train"]
    assert list(lines["text"]) == ["12", "0.10", "12345678901234567890.5", "true", "", "1e400"]
    assert list(lines["note"])[:5] == ["12", "0.10", "12345678901234567890.5", "true", None]
    assert Counter(reason for _, _, reason in skipped) == {
        "'text' holds more than a text": 2, "not a JSON object": 1, "not JSON": 1, "no image name": 1,
        "no such image": 1,
    }  # fmt: skip


def test_csv_that_would_lose_text_is_refused(tmp_path):
    draw_line("a").save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,fine\na.png,"Ja" sagte er\n')
    with pytest.raises(InputError, match=r"metadata\.csv:3: not CSV"):
        load_lines(tmp_path)
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,"Ja\na.png,nein\n')
    with pytest.raises(InputError, match=r"metadata\.csv:3: not CSV"):
        load_lines(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name;text\na.png;x\n")
    with pytest.raises(InputError, match=r"no column is known as the image.*file_name;text"):
        load_lines(tmp_path)


def test_metadata_of_splits_and_folders(tmp_path):
    for folder in ("train/a", "train/b", "dev_images", "test"):
        (tmp_path / folder).mkdir(parents=True)
        draw_line("x").save(tmp_path / folder / "x.png")
        write_jsonl(tmp_path / folder / "metadata.jsonl", [("x.png", folder)])
    data = load_lines(tmp_path)
    assert {split: list(lines["text"]) for split, lines in data.items()} == {
        "train": ["train/a", "train/b"], "validation": ["dev_images"], "test": ["test"],
    }  # fmt: skip
    write_csv(tmp_path / "test" / "metadata.csv", [("x.png", "x")])
    with pytest.raises(InputError, match=r"test: .*metadata\.jsonl.*leave one"):
        load_lines(tmp_path)


def test_an_image_folder_of_the_hub(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "snapshot" / "some", "validation", ["0012", "1848"])
    builder = load_dataset_builder("imagefolder", data_dir=str(tmp_path / "snapshot"))
    monkeypatch.setattr(sources, "load_dataset_builder", lambda name: builder)  # the network is not there
    monkeypatch.setattr(sources, "snapshot_download", lambda name, repo_type: str(tmp_path / "snapshot"))
    lines = load_lines("some/set", "validation")
    assert (list(lines["text"]), set(lines["source"])) == (["0012", "1848"], {"set"})


@pytest.mark.parametrize(
    "texts",
    [pa.array([1.0]), pa.array([True]), pa.array([0], pa.timestamp("s")), pa.array([["a"]]), pa.array([{"a": "b"}]),
     pa.array([b"\xff"])],
)  # fmt: skip
@pytest.mark.parametrize("streaming", [False, True])
def test_a_column_that_is_no_text_is_refused_by_name(tmp_path, texts, streaming):
    image = pa.array([{"bytes": b"", "path": None}])
    pq.write_table(pa.table({"image": image, "transcription": texts}), tmp_path / "lines.parquet")
    if streaming and texts.type == pa.binary():
        return  # bytes are found to be no text when they are read
    with pytest.raises(InputError, match=r"lines\.parquet, train: .*'?transcription"):
        list(load_lines(tmp_path / "lines.parquet", "train", streaming=streaming, text_column="transcription"))


@pytest.mark.parametrize("texts", [pa.array([12]), pa.array(["12"], pa.large_string()), pa.array([b"12"])])
def test_columns_that_are_text_by_another_name(tmp_path, texts):
    image = pa.array([{"bytes": b"", "path": None}])
    pq.write_table(pa.table({"image": image, "text": texts}), tmp_path / "lines.parquet")
    assert list(load_lines(tmp_path / "lines.parquet", "train")["text"]) == ["12"]


# --- images ---


def test_no_row_is_downloaded(tmp_path, processor, monkeypatch):
    import httpx

    def fetch(*args, **kwargs):
        raise AssertionError(f"fetched {args}")

    monkeypatch.setattr(httpx, "stream", fetch)
    paths = [
        "http://example.org/a.png",
        "https://example.org/a.png",
        "hf://datasets/a/b/c.png",
        "data:image/png;base64,",
    ]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    image = pa.array([{"bytes": None, "path": path} for path in paths], kind)
    pq.write_table(pa.table({"image": image, "text": ["a"] * 4}), tmp_path / "lines.parquet")
    lines = load_lines(tmp_path / "lines.parquet", "train")
    for line in lines:
        with pytest.raises(InputError, match="no image but its address"):
            open_image(line["image"])
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert (len(kept), left_out) == (0, {"no image, only an address": 4})
    report = prepare_lines([tmp_path / "lines.parquet"], tmp_path / "out")
    assert {reason: len(names) for reason, names in report.left_out.items()} == {"no image, only an address": 4}
    (tmp_path / "train.tsv").write_text("http://example.org/a.png\ta\n")
    with pytest.raises(InputError, match="1 × no such image"):
        load_lines(tmp_path / "train.tsv")
    with pytest.raises(InputError, match="fetched"):  # what a user gives as such is an image
        open_image("http://example.org/a.png")


# --- reasons ---


def test_lists_without_tabs_are_named(tmp_path):
    draw_line("a").save(tmp_path / "a.jpg")
    (tmp_path / "train.txt").write_text("a.jpg one two\na.jpg three\n")
    for source in (tmp_path, tmp_path / "train.txt"):
        with pytest.raises(InputError, match=r"train\.txt: no tab between image name and text\.$"):
            load_lines(source)
    write_jsonl(tmp_path / "metadata.jsonl", [("a.jpg", "one")])  # then it is some text
    assert list(load_lines(tmp_path, "train")["text"]) == ["one"]
    (tmp_path / "train.txt").write_text("\na.jpg\tone\n")
    assert list(load_lines(tmp_path, "train")["text"]) == ["one"]


def test_training_says_why_no_line_is_left(tmp_path):
    for split, text in (("train", "abc"), ("val", "Ωδ")):
        draw_line("x").save(tmp_path / f"{split}.jpg")
        (tmp_path / f"{split}.tsv").write_text(f"{split}.jpg\t{text}\n" * 2)
    done = call_script(
        "train.py", "--data", tmp_path, "--max_steps", 1, "--output_dir", tmp_path / "run", "--use_cpu", expect=1
    )
    assert "of the validation split can be used: 2 × no character of the text is in the charset." in done.stderr


def test_pages_without_image_are_counted_together(tmp_path, caplog):
    page = '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="{}" ' \
           'imageWidth="9" imageHeight="9"/></PcGts>'  # fmt: skip
    for index in range(12):
        (tmp_path / f"{index}.xml").write_text(page.format(f"scan{index}.jpg"))
    (tmp_path / "a.xml").write_text("<PcGts>")
    (tmp_path / "b.xml").write_text("<PcGts><Page></PcGts>")
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="12 × no page image, 2 × damaged XML"):
        load_lines(tmp_path)
    assert len(caplog.records) == 2
    assert "12 left out, no page image: " in caplog.text


# --- characters that XML cannot hold ---


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\x02b", "ab"), ("a\x00", "a"), ("\ufffea\uffff", "a"), ("a\ud800b\udfff", "ab"), ("a\x0cb", "a b"),
        ("e\x02\u0301", "é"), ("a \x1b b", "a b"), ("a\tb\nc\x85", "a b c"), ("a\U0001f600\ue000\ufffd", None),
    ],
)  # fmt: skip
def test_the_policy_drops_them(text, written):
    assert TextPolicy()(text) == (text if written is None else written)
    counts = Counter()
    drop_unwritable(text, counts)
    assert bool(counts) == (text not in ("a\tb\nc\x85", "a\U0001f600\ue000\ufffd"))


def test_they_are_counted_while_loading_preparing_and_evaluating(tmp_path, caplog, processor):
    folder = tmp_path / "lines"
    folder.mkdir()
    texts = ["a\x02b\x02", "\x02\ufffec", "\ud800d", "\x07", "e"]
    for index in range(5):
        draw_line(str(index)).save(folder / f"{index}.png")
    write_jsonl(folder / "metadata.jsonl", [(f"{index}.png", text) for index, text in enumerate(texts)])
    dropped = Counter()
    with caplog.at_level(logging.WARNING):
        lines = load_lines(folder, "train", dropped=dropped)
    expected = {"U+0002": 2, "U+FFFE": 1, "U+D800": 1, "U+0007": 1}
    assert (list(lines["text"]), dropped) == (["ab", "c", "d", "", "e"], expected)
    assert "U+0002 in 2 lines" in caplog.text
    assert list(load_lines(folder, "train", streaming=True)["text"]) == list(lines["text"])
    _, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert left_out == {"empty text": 1}
    report = prepare_lines([folder], tmp_path / "out")
    assert report.dropped_characters == expected
    assert json.loads((tmp_path / "out" / "report.json").read_text())["dropped_characters"] == expected
    assert "U+FFFE" in report.summary()
    assert "U+D800 in 1 lines" in (tmp_path / "out" / "report.md").read_text()
    assert report.left_out == {"empty text": ["lines, train: 3.png"]}


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_pages_of_a_model_that_has_learned_them(tmp_path, kind):
    line = PageLine("l", "a\x02 \ufffeb", [(0, 0), (9, 0), (9, 9)], [], 0.5, [Word("a\x02", 0.5, [(0, 0), (5, 5)])])
    page = Page("p\x01.png", 10, 10, [Region("r", [], [line])])
    (tmp_path / "p.xml").write_bytes(to_xml(page, kind))
    read = read_page(tmp_path / "p.xml")
    assert (read.image, read.lines[0].text) == ("p.png", "a b" if kind == "page" else "a")
    (tmp_path / "again.xml").write_bytes(to_xml(read.with_lines([line]), kind))  # over the file it came from
    assert read_page(tmp_path / "again.xml").lines[0].text == read.lines[0].text


def test_a_full_cache_is_not_taken_for_a_bad_source(tmp_path, monkeypatch):
    image = pa.array([{"bytes": b"", "path": None}])
    pq.write_table(pa.table({"image": image, "text": ["a"]}), tmp_path / "lines.parquet")

    def full(*args, **kwargs):
        raise DatasetGenerationError("An error occurred") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources, "load_dataset", full)
    with pytest.raises(OSError, match="No space left on device"):
        load_lines(tmp_path / "lines.parquet")
