"""Any source to LMDB: whole or not at all, and going on where it was stopped."""

import io
import subprocess
import sys

import lmdb
import pytest
from PIL import Image

from htr_convtext.data import lmdb_writer, load_lines, write_lmdb
from htr_convtext.data.lmdb_writer import StoreState, check, next_records
from htr_convtext.errors import InputError
from tests.helpers import ROOT, call_script, draw_line
from tests.test_page_sources import page_line, page_xml, write_page


def records_of(folder) -> dict[bytes, bytes]:
    with lmdb.open(str(folder), readonly=True, lock=False) as store, store.begin() as transaction:
        return dict(transaction.cursor())


def write_words(folder, *texts: str, name: str = "gt.txt") -> None:
    """Images as JPEG and PNG in turn, and a table of them."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for index, text in enumerate(texts):
        file = folder / "images" / f"{index}.{('jpg', 'png')[index % 2]}"
        draw_line(text or "x").save(file)
        rows.append(f"images/{file.name}\t{text}\n")
    (folder / name).write_text("".join(rows), encoding="utf-8")


@pytest.fixture
def small(monkeypatch):
    """Batches of two lines in maps that are soon full."""
    monkeypatch.setattr(lmdb_writer, "BATCH_LINES", 2)
    monkeypatch.setattr(lmdb_writer, "FIRST_MAP_BYTES", 16384)


@pytest.fixture
def stops(monkeypatch):
    """Stops the writing, as Ctrl-C does, where the given number of batches are written."""

    def stop_after(batches: int) -> None:
        left = [batches]

        def put(store, records):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            whole(store, records)

        monkeypatch.setattr(lmdb_writer, "put", put)

    whole = lmdb_writer.put
    return stop_after


def test_program(tmp_path):
    """All that can be wrong in a folder of images with `gt.txt` is counted; the bytes are those of the files."""
    write_words(tmp_path / "words", "one", "été", "", "broken", "cut short", "six")
    images = tmp_path / "words" / "images"
    (images / "3.png").write_bytes(b"no image")
    (images / "4.jpg").write_bytes((images / "4.jpg").read_bytes()[:-200])
    with (tmp_path / "words" / "gt.txt").open("a") as handle:
        handle.write("images/gone.png\tgone\n")
    expected = {b"num-samples": b"3"}
    for number, (name, text) in enumerate((("0.jpg", "one"), ("1.png", "été"), ("5.png", "six")), 1):
        expected[b"image-%09d" % number] = (images / name).read_bytes()
        expected[b"label-%09d" % number] = text.encode()
    for source in ("words", "words/gt.txt"):
        output = tmp_path / "out" / source.replace("/", "_")
        done = call_script("make_lmdb.py", tmp_path / source, "--output", output)
        assert "train              3 lines" in done.stdout
        assert "1 × empty text: 2.jpg\n" in done.stdout
        assert "2 × unreadable image: 3.png, 4.jpg\n" in done.stdout
        assert "1 × no such image: images/gone.png\n" in done.stdout
        assert records_of(output) == expected
        assert [path.name for path in output.iterdir()] == ["data.mdb"]
        assert load_lines(output, "train")["text"] == ["one", "été", "six"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["words", "words_gt.txt"]
    done = call_script("make_lmdb.py", tmp_path / "words", "--output", output, expect=1)
    assert done.stderr == f"make_lmdb.py: {output}: it exists already; give another folder, or remove it.\n"


def test_splits(tmp_path):
    write_words(tmp_path / "words", "one", "two", name="train.tsv")
    write_words(tmp_path / "words", "three", name="val.tsv")
    write_words(tmp_path / "more", "four", name="dev.tsv")
    report = write_lmdb([tmp_path / "words", tmp_path / "more"], tmp_path / "all")
    assert report.written == {"train": 2, "validation": 2}
    data = load_lines(tmp_path / "all")
    assert {split: lines["text"] for split, lines in data.items()} == {
        "train": ["one", "two"], "validation": ["three", "four"],
    }  # fmt: skip
    assert write_lmdb([tmp_path / "words"], tmp_path / "one", "val").written == {"validation": 1}
    assert load_lines(tmp_path / "one", "train")["text"] == ["three"]
    write_lmdb([tmp_path / "more"], tmp_path / "more_lmdb")
    assert load_lines(tmp_path / "more_lmdb", "validation")["text"] == ["four"]
    with pytest.raises(InputError, match="more: there is no train split"):
        write_lmdb([tmp_path / "more"], tmp_path / "none", "train")
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_lines_of_pages_and_of_stores(tmp_path):
    write_page(tmp_path / "pages", page_xml(page_line("a", "one") + page_line("b", "far", "900,900 950,900 950,950")))
    report = write_lmdb([tmp_path / "pages"], tmp_path / "lmdb")
    assert report.summary().splitlines()[1] == "left out           1 × unreadable image: p1#b"
    image = records_of(tmp_path / "lmdb")[b"image-000000001"]
    assert Image.open(io.BytesIO(image)).size == (50, 30)
    write_lmdb([tmp_path / "lmdb"], tmp_path / "again")
    assert records_of(tmp_path / "again") == records_of(tmp_path / "lmdb")


def test_map_grows(tmp_path, small):
    texts = [f"line {index}" for index in range(30)]
    write_words(tmp_path / "words", *texts)
    write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    assert (tmp_path / "lmdb" / "data.mdb").stat().st_size > lmdb_writer.FIRST_MAP_BYTES
    assert load_lines(tmp_path / "lmdb", "train")["text"] == texts


@pytest.mark.parametrize(("batches", "to_check"), [(0, 7), (1, 5), (2, 3), (3, 2), (4, 0), (5, 5)])
def test_stopped_and_gone_on(tmp_path, small, stops, monkeypatch, batches, to_check):
    """
    Wherever it is stopped, the result is that of one go. What was checked is not checked again; but a store that was
    complete, where another was about to be, is written anew.
    """
    for name, texts in (("train.tsv", ["one", "", "three", "four", "five"]), ("val.tsv", ["six", "seven"])):
        write_words(tmp_path / "words", *texts, name=name)
    write_lmdb([tmp_path / "words"], tmp_path / "whole")
    stops(batches)
    with pytest.raises(KeyboardInterrupt):
        write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    assert not (tmp_path / "lmdb").exists()
    monkeypatch.undo()
    checked = []
    monkeypatch.setattr(lmdb_writer, "check", lambda *line: checked.append(line[0]) or check(*line))
    report = write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    assert len(checked) == to_check
    assert report.written == {"train": 4, "validation": 2}
    assert report.left_out == {"empty text": 1}
    assert report.examples == {"empty text": ["1.png"]}
    for split in ("train", "validation"):
        assert records_of(tmp_path / "lmdb" / split) == records_of(tmp_path / "whole" / split)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lmdb", "whole", "words"]


@pytest.mark.parametrize("change", ["text", "image", "fewer"])
def test_other_lines_start_anew(tmp_path, small, stops, monkeypatch, caplog, change):
    texts = ["one", "two", "three", "four", "five"]
    write_words(tmp_path / "words", *texts)
    stops(2)
    with pytest.raises(KeyboardInterrupt):
        write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    monkeypatch.undo()
    if change == "image":
        draw_line("other").save(tmp_path / "words" / "images" / "1.png")
    else:
        texts = ["one", "other", "three", "four", "five"] if change == "text" else ["one"]
        write_words(tmp_path / "words", *texts)
    write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    assert "lmdb, train: what was begun there is of other lines, or they have changed; starting anew" in caplog.text
    assert load_lines(tmp_path / "lmdb", "train")["text"] == texts
    assert len(records_of(tmp_path / "lmdb")) == 2 * len(texts) + 1
    image = (tmp_path / "words" / "images" / "0.jpg").read_bytes()
    assert records_of(tmp_path / "lmdb")[b"image-000000001"] == image


def test_killed_and_gone_on(tmp_path):
    """By SIGKILL, which leaves no time to tidy up."""
    write_words(tmp_path / "words", *(f"line {index}" for index in range(60)))
    program = (
        "import sys, time\nfrom htr_convtext.data import lmdb_writer\n"
        "lmdb_writer.BATCH_LINES, put = 1, lmdb_writer.put\n"
        "lmdb_writer.put = lambda *a: (put(*a), print('put', flush=True), time.sleep(0.05))\n"
        "lmdb_writer.write_lmdb([sys.argv[1]], sys.argv[2])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "words"), str(tmp_path / "lmdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        for _ in range(5):
            assert process.stdout.readline() == b"put\n"
        process.kill()
    assert not (tmp_path / "lmdb").exists()
    assert (tmp_path / ".lmdb.unfinished" / "train" / "data.mdb").exists()
    write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    write_lmdb([tmp_path / "words"], tmp_path / "whole")
    assert records_of(tmp_path / "lmdb") == records_of(tmp_path / "whole")


def test_stopped_program_says_what_to_do(tmp_path, small, stops):
    write_words(tmp_path / "words", "one", "two", "three")
    stops(1)
    done = call_script("make_lmdb.py", tmp_path / "words", "--output", tmp_path / "lmdb", expect=130)
    assert done.stderr.endswith("make_lmdb.py: stopped; the same command goes on.\n")


def test_no_line_remains(tmp_path):
    write_words(tmp_path / "words", "", "")
    with pytest.raises(InputError, match="lmdb: not written, no line remains; 2 × empty text"):
        write_lmdb([tmp_path / "words"], tmp_path / "lmdb")
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_texts_that_cannot_be_encoded_are_left_out(tmp_path):
    draw_line("a").save(tmp_path / "a.png")
    image = {"bytes": None, "path": str(tmp_path / "a.png")}
    state = StoreState()
    records = next_records(iter([{"image": image, "text": text} for text in ("a\ud800", "b")]), state)
    assert [key for key, _ in records] == [b"image-000000001", b"label-000000001", lmdb_writer.STATE]
    assert state.left_out == {"text that is no Unicode": (1, ["a.png"])}
    assert (state.read, state.written) == (2, 1)


def test_places_that_cannot_be_written(tmp_path):
    write_words(tmp_path / "words", "one")
    (tmp_path / "file").write_text("")
    done = call_script("make_lmdb.py", tmp_path / "words", "--output", tmp_path / "file" / "lmdb", expect=1)
    assert "file" in done.stderr
    assert done.stderr.count("\n") == 1
