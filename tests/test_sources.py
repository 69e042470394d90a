"""Lines from lists, LMDB, Parquet and the Hub."""

import io
import logging
import sys

import datasets
import lmdb
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from htr_convtext.data import load_lines, sources
from htr_convtext.errors import InputError
from processing.images import open_image
from tests.helpers import draw_line


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
    assert open_image(lines[0]["image"]).size == draw_line("one").size
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
    with pytest.raises(InputError, match=r"Nobody/nothing: .*nor Hub data set"):
        load_lines("Nobody/nothing")


def test_split_names_of_the_hub(monkeypatch, parquet):
    lines = datasets.load_dataset("parquet", data_dir=str(parquet))["train"]
    for names, ours in (
        (["training", "dev", "extra"], ["train", "validation", "extra"]),
        (["dev", "validation"], ["dev", "validation"]),
    ):
        monkeypatch.setattr(sources, "load_dataset", lambda *_, names=names, **__: dict.fromkeys(names, lines))
        assert list(load_lines("some/set")) == ours


def test_splits_that_are_the_same(monkeypatch, parquet, tmp_path):
    lines = Dataset.from_parquet(str(parquet / "val.parquet"))
    monkeypatch.setattr(sources, "load_dataset", lambda *_, **__: {"dev": lines, "valid": lines})
    with pytest.raises(InputError, match="two of its splits dev, valid are the same"):
        load_lines("some/set")
    for folder in ("train", "training"):
        write_store(tmp_path / "store" / folder, {b"num-samples": b"0"})
    with pytest.raises(InputError, match="are both train"):
        load_lines(tmp_path / "store")


@pytest.mark.parametrize("streaming", [False, True])
def test_cells_without_a_value(tmp_path, streaming):
    """No image: one that cannot be opened; no text: an empty one; no source: the name of the file."""
    features = Features({"image": Image(), "text": Value("string"), "source": Value("string")})
    whole = {"image": {"bytes": encoded("a"), "path": None}, "text": "a", "source": "b"}
    rows = [whole, *({**whole, name: None} for name in whole)]
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "lines.parquet")
    lines = list(load_lines(tmp_path / "lines.parquet", "train", streaming=streaming))
    assert [line["text"] for line in lines] == ["a", "a", "", "a"]
    assert [line["source"] for line in lines] == ["b", "b", "b", "lines"]
    with pytest.raises(InputError, match="not an image"):
        open_image(lines[1]["image"])
    assert open_image(lines[3]["image"]).size == draw_line("a").size


def test_columns_that_cannot_be_told_are_listed(tmp_path):
    row = {"scan": {"bytes": encoded("a"), "path": None}, "gt": "a", "sentence": "b", "label": 0}
    features = {"scan": Image(), "gt": Value("string"), "sentence": Value("string"), "label": ClassLabel(names=["x"])}
    lines = Dataset.from_list([row], features=Features(features))
    lines.to_parquet(tmp_path / "two.parquet")
    with pytest.raises(InputError, match=r"more than one column may be the text.*scan, gt, sentence, label"):
        load_lines(tmp_path / "two.parquet")
    with pytest.raises(InputError, match="no column 'words'"):
        load_lines(tmp_path / "two.parquet", text_column="words")
    assert load_lines(tmp_path / "two.parquet", "train", text_column="sentence")["text"] == ["b"]
    lines.remove_columns("sentence").to_parquet(tmp_path / "one.parquet")
    assert load_lines(tmp_path / "one.parquet", "train")["text"] == ["a"]  # classes are no texts
    lines.select_columns(["scan", "label"]).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"no column is known as the text.*scan, label"):
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
    assert open_image(data["train"][0]["image"]).size == draw_line("one").size
    assert skipped == [
        ("test", "gone.png", "no such image"),
        ("train", "three.png", "no .txt beside the image"),
        ("train", "four.png", "the .txt is not UTF-8"),
    ]
    assert "train: 1 left out, no .txt beside the image: three.png" in caplog.text
    with pytest.raises(InputError, match="no line can be used; 1 × no such image"):
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
    with pytest.raises(InputError, match=r"dev\.tsv: there is no column 'words'.*writer, file_name"):
        load_lines(tmp_path / "lists", text_column="words")
    with pytest.raises(InputError, match="1 × no such image"):
        load_lines(tmp_path / "lists")
    (tmp_path / "lists" / "valid.tsv").write_text("one.png\tone\n")
    with pytest.raises(InputError, match=r"dev\.tsv and valid\.tsv are both validation"):
        load_lines(tmp_path / "lists")


def test_lists_that_are_none(tmp_path):
    (tmp_path / "train.tsv").write_bytes(b"a.png\t\xff\xfe\n")
    with pytest.raises(InputError, match=r"train\.tsv: the list is not UTF-8"):
        load_lines(tmp_path)
    (tmp_path / "train.tsv").write_text("")
    with pytest.raises(InputError, match="no line can be used"):
        load_lines(tmp_path)
    (tmp_path / "train.doc").write_text("a")
    with pytest.raises(InputError, match=r"train\.doc: not a list"):
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
    assert open_image(data["train"][1]["image"]).size == draw_line("five").size
    assert len(data["validation"]) == 0
    assert [reason for _, _, reason in skipped] == ["no such key", "no such key", "not UTF-8"]
    assert list(load_lines(tmp_path / "store", "train", streaming=True)) == list(data["train"])
    assert load_lines(tmp_path / "store" / "train", "train")["source"] == ["train", "train"]


def test_lmdb_of_another_layout_damaged_or_without_the_library(tmp_path, monkeypatch):
    write_store(tmp_path / "other", {b"a": b"b"})
    with pytest.raises(InputError, match="other: no num-samples"):
        load_lines(tmp_path / "other")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "data.mdb").write_bytes(b"nothing" * 1000)
    with pytest.raises(InputError, match="damaged: this LMDB store cannot be opened"):
        load_lines(tmp_path / "damaged")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(InputError, match=r"pip install 'htr-convtext\[train\]'"):
        load_lines(tmp_path / "other")
