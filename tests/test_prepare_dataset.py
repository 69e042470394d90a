"""Any source to Parquet, with a report."""

import json

import pytest
from datasets import Dataset, load_dataset
from PIL import Image
from transformers import Trainer, TrainingArguments

from htr_convtext import whole_files
from htr_convtext.data import DataReport, TextPolicy, load_lines, preparation, prepare_lines, split_by_group
from htr_convtext.errors import InputError
from processing.images import open_image
from tests.helpers import call_script, draw_line, run_script


def write_table(folder, split: str, rows: dict[str, str], **images: Image.Image) -> None:
    """`<split>.tsv` of file names, texts and writers, and an image of its name for each file, unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in rows:
        images.get(name, draw_line(name)).save(folder / f"{name}.png")
    table = "".join(f"{name}.png\t{text}\t{name[0]}\n" for name, text in rows.items())
    (folder / f"{split}.tsv").write_text("file_name\ttext\twriter\n" + table, encoding="utf-8")


@pytest.fixture
def source(tmp_path):
    """Two splits with all that can be wrong in them."""
    folder = tmp_path / "letters"
    high = draw_line("high line", height=200, padding=30)
    write_table(
        folder, "train", {"a1": "diſe  wo\u0308rter", "a2": "", "b1": "high line", "b2": "same", "b3": "same too"},
        b1=high, b2=draw_line("same"), b3=draw_line("same"),
    )  # fmt: skip
    write_table(folder, "val", {"c1": "the same, again", "c2": "high line", "c3": "broken"}, c1=draw_line("same"))
    draw_line("iiii").crop((10, 0, 18, 40)).save(folder / "c2.png")
    (folder / "c3.png").write_bytes(b"no image")
    with (folder / "train.tsv").open("a") as handle:
        handle.write("gone.png\tgone\td\n")
    return folder


def test_script(source, tmp_path):
    TextPolicy(long_s="s").to_file(tmp_path / "policy.json")
    (tmp_path / "charset.txt").write_text("abcdefghijklmnopqrstuvwxyz ")
    output = tmp_path / "out"
    options = ["--output", output, "--text-policy", tmp_path / "policy.json", "--charset", tmp_path / "charset.txt"]
    done = run_script("prepare_dataset.py", source, *options)
    assert "train              4 lines" in done.stdout
    assert "1 × the same image BETWEEN train AND validation" in done.stdout
    assert "2 characters that the given charset lacks" in done.stdout
    assert "gone.png" in done.stderr

    assert {path.name for path in output.iterdir()} == {
        "train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "report.json", "report.md",
        "text_policy.json",
    }  # fmt: skip
    assert TextPolicy.from_file(output / "text_policy.json") == TextPolicy(long_s="s")
    data = load_lines(output)
    assert data["train"]["text"] == ["dise wörter", "high line", "same", "same too"]
    assert data["train"]["writer"] == ["a", "b", "b", "b"]
    assert set(data["train"]["source"]) == {"letters"}
    assert data["train"]["page"] == [None] * 4
    for line in data["train"]:
        assert open_image(line["image"]).size == (line["width"], line["height"])
    assert data["train"]["height"] == [40, 128, 40, 40]
    assert data["train"][0]["image"]["bytes"] == (source / "a1.png").read_bytes()
    assert data["validation"]["text"] == ["the same, again", "high line"]

    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["splits"]["train"]["lines"] == 4
    assert report["splits"]["train"]["characters"] == {
        "min": 4, "5 %": 4, "25 %": 8, "median": 9, "75 %": 9, "95 %": 11, "max": 11,
    }  # fmt: skip
    assert report["splits"]["validation"]["more characters than frames"]["lines"] == ["letters, validation: c2.png"]
    assert report["charset"]["w"] == 1
    assert report["outside_charset"] == {
        "ö": {"count": 1, "lines": ["letters, train: a1.png: dise wörter"]},
        ",": {"count": 1, "lines": ["letters, validation: c1.png: the same, again"]},
    }
    assert report["duplicate_images"] == {
        "train and validation": ["letters, train: b2.png = letters, validation: c1.png"],
        "train": ["letters, train: b3.png = letters, train: b2.png"],
    }
    assert report["identical_texts"] == {"train and validation": 1}
    assert report["changed_texts"] == 1
    assert report["notes"] == [f"Sources: {source}", f"Texts: {TextPolicy(long_s='s')}"]
    assert report["left_out"] == {
        "no such image": [f"{source}, train: gone.png"],
        "empty text": ["letters, train: a2.png"],
        "unreadable image": ["letters, validation: c3.png"],
    }
    readable = (output / "report.md").read_text(encoding="utf-8")
    for fact in ("## train: 4 lines", "**between train and validation**: 1", "gone.png", "'ö' (U+00F6 LATIN"):
        assert fact in readable

    with pytest.raises(InputError, match="Parquet files already"):
        prepare_lines([source], output)


def test_a_plain_trainer_learns_from_prepared_lines(processor, model, tmp_path):
    """What a user of transformers and datasets does, who calls nothing of this library but the processor."""
    write_table(tmp_path / "words", "train", {name: name for name in ("abc", "cab", "bac", "bca")})
    prepare_lines([tmp_path / "words"], tmp_path / "out")
    lines = load_dataset("parquet", data_dir=str(tmp_path / "out"), split="train")
    assert all(isinstance(row["image"], Image.Image) for row in lines)
    batch = processor(images=[row["image"] for row in lines], text=[row["text"] for row in lines])
    assert batch["pixel_values"].shape[:3] == (4, 1, 32)
    assert batch["labels"].shape == (4, 3)

    before = model.ctc_head.weight.detach().clone()
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(tmp_path / "run"), max_steps=1, remove_unused_columns=False, use_cpu=True, report_to="none",
            save_strategy="no", logging_steps=1, disable_tqdm=True,
        ),
        data_collator=processor,
        train_dataset=lines,
    )  # fmt: skip
    trainer.train()
    assert 0 < trainer.state.log_history[0]["loss"] < 1000
    assert not model.ctc_head.weight.equal(before)
    assert load_lines(tmp_path / "out", "train")[0]["image"]["bytes"]  # not decoded


def test_nothing_remains(tmp_path):
    write_table(tmp_path / "empty", "train", {"a": "", "b": " "})
    arguments = [tmp_path / "empty", "--output", tmp_path / "out", "--charset", "iam"]
    done = call_script("prepare_dataset.py", *arguments, expect=1)
    assert "no line remains" in done.stderr
    left_out = json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]
    assert left_out == {"empty text": ["empty, train: a.png", "empty, train: b.png"]}


def test_what_a_killed_run_leaves_is_not_loaded(source, tmp_path, monkeypatch):
    written, write_shards = [], preparation.write_shards

    def killed(rows, split, *args):
        if written:
            raise KeyboardInterrupt
        write_shards(rows, split, *args)
        written.append(split)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files.shutil, "rmtree", lambda *_, **__: None)  # it had no time to clear up
        patch.setattr(preparation, "write_shards", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_lines([source], tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [".unfinished"]
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 1
    report = prepare_lines([source], tmp_path / "out")
    assert sum(map(len, load_lines(tmp_path / "out").values())) == report.lines
    assert not (tmp_path / "out" / ".unfinished").exists()


def test_no_lines_without_their_text_policy(source, tmp_path, monkeypatch):
    def full(policy, path):
        raise OSError("No space left on device")

    monkeypatch.setattr(TextPolicy, "to_file", full)
    with pytest.raises(OSError, match="No space"):
        prepare_lines([source], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_several_sources_drop_duplicates_and_need_no_change(source, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "ROWS", 1)
    monkeypatch.setattr(preparation, "SHARD_BYTES", 0)
    write_table(tmp_path / "more", "test", {"z": "again"}, z=draw_line("same"))
    report = prepare_lines([source, tmp_path / "more"], tmp_path / "out", drop_duplicates=True)
    assert report.dropped_duplicates == 3
    assert sorted(path.name for path in (tmp_path / "out").glob("train*")) == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    data = load_lines(tmp_path / "out")
    assert {split: list(lines["text"]) for split, lines in data.items()} == {
        "train": ["diſe wörter", "high line"],
        "validation": ["high line"],
        "test": ["again"],
    }
    assert data["test"]["source"] == ["more"]
    again = prepare_lines([tmp_path / "out"], tmp_path / "again")
    for split, lines in load_lines(tmp_path / "again").items():
        assert list(lines) == list(data[split])
    assert (again.changed_texts, again.lines) == (0, 4)
    with pytest.raises(InputError, match="nowhere"):
        prepare_lines([tmp_path / "nowhere"], tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_heights(source, tmp_path):
    prepare_lines([source], tmp_path / "kept", max_height=0)
    assert max(load_lines(tmp_path / "kept", "train")["height"]) == 200
    prepare_lines([source], tmp_path / "low", max_height=20)
    line = load_lines(tmp_path / "low", "train")[1]
    assert open_image(line["image"]).size == (line["width"], 20)
    with pytest.raises(InputError, match="-1 pixels"):
        prepare_lines([source], tmp_path / "none", max_height=-1)


def test_split_by_writer(source, tmp_path):
    write_table(tmp_path / "one", "train", {f"{writer}{i}": "text" for writer in "abcdefghij" for i in range(5)})
    report = prepare_lines([tmp_path / "one", source], tmp_path / "out", split_by="writer", seed=3)
    data = load_lines(tmp_path / "out")
    made = {split: [line["writer"] for line in lines if line["source"] == "one"] for split, lines in data.items()}
    assert {split: len(writers) for split, writers in made.items()} == {"train": 40, "validation": 5, "test": 5}
    assert not set(made["train"]) & set(made["validation"] + made["test"])
    assert set(made["validation"]) != set(made["test"])
    assert any("letters: has the splits" in note for note in report.notes)


def test_splits_that_cannot_be_made():
    lines = Dataset.from_dict({"page": ["a", "a", "b", "c", None], "text": list("abcde")})
    with pytest.raises(InputError, match=r"no column 'writer'.*page, text"):
        split_by_group(lines, "writer")
    with pytest.raises(InputError, match="1 of 5 lines have no page"):
        split_by_group(lines, "page")
    lines = lines.select(range(4))
    with pytest.raises(InputError, match="shares"):
        split_by_group(lines, "page", validation=0.5, test=0.5)
    with pytest.raises(InputError, match="too few"):
        split_by_group(lines.select(range(3)), "page")
    assert set(split_by_group(lines, "page", test=0)) == {"train", "validation"}
    first, second = split_by_group(lines, "page", seed=1), split_by_group(lines, "page", seed=1)
    assert {split: list(part["page"]) for split, part in first.items()} == {
        split: list(part["page"]) for split, part in second.items()
    }


def test_split_by_line(caplog):
    splits = split_by_group(Dataset.from_dict({"text": [str(number) for number in range(20)]}), "line")
    assert {split: len(lines) for split, lines in splits.items()} == {"train": 16, "validation": 2, "test": 2}
    assert sorted(text for lines in splits.values() for text in lines["text"]) == sorted(map(str, range(20)))
    assert "pages and writers" in caplog.text


def test_same_image_in_three_splits():
    report = DataReport()
    image = draw_line("same")
    assert [report.is_duplicate(split, split, image) for split in ("test", "validation", "train", "train")] == [
        False, True, True, True,
    ]  # fmt: skip
    assert {splits: len(names) for splits, names in report.duplicates.items()} == {
        ("test", "validation"): 1, ("test", "train"): 1, ("train", "validation"): 1, ("train",): 1,
    }  # fmt: skip
    assert not report.is_duplicate("train", "other", image.resize((image.height, image.width)))
