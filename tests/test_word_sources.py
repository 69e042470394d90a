"""Words: of IAM and Imgur5K in the files of their owners, and those that pages mark."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from htr_convtext.data import load_lines
from htr_convtext.errors import InputError
from processing.images import open_image
from tests.helpers import call_script, draw_line
from tests.test_page_sources import alto, page_xml, write_page


# --- IAM ---

WORDS = """\
#--- words.txt ---------------------------------------------------------------#
#
# format: a01-000u-00-00 ok 154 1 408 768 27 51 AT A
#
a01-000u-00-00 ok 154 408 768 27 51 AT A
a01-000u-00-01 ok 154 507 766 213 48 NN MOVE
a01-000u-01-00 err 156 395 932 441 100 VBG nominating
a01-000x-00-00 ok 154 408 768 27 51 NP B B C
a01-117-05-02 ok 160 1 2 3 4 AT gone
b04-010-00-00 ok 170 1 2 3 4 , ,
b04-010-00-01 ok 170 1 2 3 4 AT empty
broken row
c03-000a-00-00 ok 170 -1 -1 -1 -1 AT other
"""


@pytest.fixture
def iam(tmp_path):
    folder = tmp_path / "iam"
    for name in (row.split()[0] for row in WORDS.splitlines() if row[0] in "abc" and row[3] == "-"):
        if name != "a01-117-05-02":
            form = name.rsplit("-", 2)[0]
            (folder / "words" / form[:3] / form).mkdir(parents=True, exist_ok=True)
            draw_line(name[-5:]).save(folder / "words" / form[:3] / form / f"{name}.png")
    (folder / "words" / "b04" / "b04-010" / "b04-010-00-01.png").write_bytes(b"")
    (folder / "words.txt").write_text(WORDS)
    return folder


def write_partition(folder, **lists: str):
    folder.mkdir()
    for name, rows in lists.items():
        (folder / f"{name}.uttlist").write_text(rows)
    (folder / "README.md").write_text("what is what")
    return folder


def test_iam_words(iam):
    skipped = []
    data = load_lines(iam, words=True, skipped=skipped)
    assert list(data) == ["train"]
    assert data["train"]["text"] == ["A", "MOVE", "B B C", ",", "empty", "other"]
    assert data["train"]["page"][:3] == ["a01-000u", "a01-000u", "a01-000x"]
    assert data["train"].column_names == ["image", "text", "page", "source"]
    assert open_image(data["train"][1]["image"]).size == draw_line("00-01").size
    assert skipped == [
        ("train", "a01-000u-01-00", "marked as cut out wrongly (err)"),
        ("train", "a01-117-05-02", "no such image"),
        ("train", "words.txt:12", "no row of a word"),
    ]
    assert load_lines(iam / "words.txt", "train")["text"] == data["train"]["text"]


def test_iam_words_as_the_archives_unpack(iam):
    """The texts in `ascii`, with the writers; the images without folders."""
    (iam / "ascii").mkdir()
    (iam / "words.txt").rename(iam / "ascii" / "words.txt")
    (iam / "ascii" / "forms.txt").write_text(
        "# a comment\na01-000u 000 2 prt 7 5 52 36\na01-000x 001 2 prt 7 5 52 36\n"
    )
    for image in list((iam / "words").rglob("*.png")):
        image.rename(iam / "words" / image.name)
    lines = load_lines(iam, "train")
    assert lines["writer"] == ["000", "000", "001", None, None, None]
    assert lines["text"][0] == "A"
    assert load_lines(iam, "train", image_root=iam / "words")["text"] == lines["text"]


@pytest.mark.parametrize(
    ("lists", "texts"),
    [
        (("a01-000u\na01-000x", "b04-010\n", "c03-000a"), (["A", "MOVE", "B B C"], [",", "empty"], ["other"])),
        (("# lines\na01-000u-00\n", "a01-000x-00", "c03-000a-00"), (["A", "MOVE"], ["B B C"], ["other"])),
        # as they come with a grey level and the text; a word that is named itself is taken though its mark is err
        (("a01-000u-00-01,154 MOVE\na01-000u-01-00,156 n", "b04-010-00-00.png", "a01-000x-00-00 B B C"),
         (["MOVE", "nominating"], [","], ["B B C"])),
    ],
)  # fmt: skip
def test_partition_of_forms_lines_or_words(iam, tmp_path, lists, texts):
    folder = write_partition(tmp_path / "rwth", **dict(zip(("train", "valid", "RWTH.test"), lists, strict=True)))
    data = load_lines(iam, partition=folder)
    assert [data[split]["text"] for split in ("train", "validation", "test")] == list(texts)
    assert load_lines(iam, "val", partition=folder)["text"] == texts[1]


def test_what_a_partition_names_in_vain(iam, tmp_path):
    skipped = []
    load_lines(iam, partition=write_partition(tmp_path / "rwth", train="a01-000u\na01-117\nz99-000"), skipped=skipped)
    assert skipped[1:] == [("train", "a01-117-05-02", "no such image"), ("train", "z99-000", "not in words.txt")]


def test_lists_of_words_go_before_lists_of_lines(iam, tmp_path):
    folder = write_partition(tmp_path / "rwth", **{"lines.train": "a01-000u-00", "words.train": "a01-000u-00-01"})
    assert load_lines(iam, "train", partition=folder)["text"] == ["MOVE"]
    (folder / "more.train").write_text("a01-000u-00-00")
    with pytest.raises(InputError, match=r"more\.train and words\.train\.uttlist are both train"):
        load_lines(iam, partition=folder)


def test_partitions_that_are_none(iam, tmp_path):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        load_lines(iam, partition="nowhere")
    folder = write_partition(tmp_path / "rwth")
    with pytest.raises(InputError, match="rwth: no lists there"):
        load_lines(iam, partition=folder)
    (folder / "train.txt").write_text("a01-000u\n\nwriter 7\n")
    with pytest.raises(InputError, match=r"train\.txt:3: no id of an IAM form.*writer 7"):
        load_lines(iam, partition=folder)
    (folder / "train.txt").write_text("a01-000u\n")
    (folder / "test.txt").write_text("a01-000u\n")
    with pytest.raises(InputError, match=r"test\.txt and train\.txt both have a01-000u"):
        load_lines(iam, partition=folder)
    with pytest.raises(InputError, match="words: a partition is for IAM words"):
        load_lines(iam / "words", partition=folder)


def test_a_table_that_is_called_words(tmp_path):
    draw_line("one").save(tmp_path / "one.png")
    (tmp_path / "words.txt").write_text("one.png\tone\n")
    assert load_lines(tmp_path / "words.txt", "train")["text"] == ["one"]


def test_program(iam, tmp_path):
    """Counts per split, and what is left out."""
    folder = write_partition(tmp_path / "rwth", train="a01-000u\na01-117", test="b04-010", validation="c03-000a")
    done = call_script(
        "prepare_dataset.py", "--words", iam, "--partition", folder, "--output", tmp_path / "out", "--max-height", 0
    )
    for row in ("train              2 lines", "test               1 lines", "validation         1 lines",
                "1 × no such image", "1 × marked as cut out wrongly (err)", "1 × unreadable image"):  # fmt: skip
        assert row in done.stdout
    data = load_lines(tmp_path / "out")
    assert {split: lines["text"] for split, lines in data.items()} == {
        "train": ["A", "MOVE"], "validation": ["other"], "test": [","],
    }  # fmt: skip
    assert data["train"]["page"] == ["a01-000u", "a01-000u"]
    done = call_script("make_lmdb.py", iam, "--partition", folder, "--output", tmp_path / "lmdb")
    assert load_lines(tmp_path / "lmdb", "train")["text"] == ["A", "MOVE"]
    done = call_script("prepare_dataset.py", "--words", tmp_path / "out", "--output", tmp_path / "x", expect=1)
    assert "out: no words are marked there" in done.stderr


# --- Imgur5K ---


def turned_page(word: Image.Image, angle: float) -> tuple[Image.Image, list[float]]:
    """A page with a word turned counterclockwise (as Pillow does), and its box as Imgur5K gives it."""
    page = Image.new("L", (500, 400), 255)
    page.paste(word, (300, 120))
    x, y = 300 + word.width / 2 - 250, 120 + word.height / 2 - 200
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    centre = 250 + x * cosine + y * sine, 200 - x * sine + y * cosine
    turned = page.rotate(angle, Image.Resampling.BICUBIC, fillcolor=255)
    return turned, [*map(float, centre), word.width, word.height, angle]


def write_imgur5k(folder, words: dict[str, list[tuple[str, list | str]]], split: str = "train", **hashes) -> None:
    """The annotations of a split, in the form of the owners: for each image its words and boxes."""
    (folder / "dataset_info").mkdir(parents=True, exist_ok=True)
    named = {f"{index}_{n}": word for index, found in words.items() for n, word in enumerate(found)}
    content = {
        "index_id": {
            index: {"image_url": "-", "image_path": f"images/{index}.jpg", "image_hash": hashes.get(index, "")}
            for index in words
        },
        "index_to_ann_map": {index: [f"{index}_{n}" for n in range(len(found))] for index, found in words.items()},
        "ann_id": {name: {"word": word, "bounding_box": str(box)} for name, (word, box) in named.items()},
    }
    (folder / "dataset_info" / f"imgur5k_annotations_{split}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("angle", [0, 17.5, -40, 90, -90, 180, 135])
def test_rotated_boxes_come_out_upright(tmp_path, angle):
    word = ImageOps.expand(draw_line("Fly 7"), 2, 255)
    page, box = turned_page(word, angle)
    (tmp_path / "images").mkdir()
    page.save(tmp_path / "images" / "abc.jpg", quality=95)
    write_imgur5k(tmp_path, {"abc": [("Fly7", box)]})
    (line,) = load_lines(tmp_path, "train")
    assert (line["text"], line["page"], line["source"]) == ("Fly7", "abc", tmp_path.name)
    cut = open_image(line["image"])
    assert cut.size == word.size

    def distance(other: Image.Image) -> float:
        return np.abs(np.asarray(cut, float) - np.asarray(other.resize(cut.size), float)).mean()

    assert distance(word) < 8
    assert min(distance(other) for other in (word.rotate(180), ImageOps.mirror(word), ImageOps.flip(word))) > 20


def test_imgur5k_splits_and_what_is_left_out(tmp_path):
    box = [30, 30, 20, 10, 0]
    image = tmp_path / "here.png"
    Image.new("RGB", (100, 60), "grey").save(image, "JPEG")
    image.rename(tmp_path / "here.jpg")
    digest = hashlib.md5((tmp_path / "here.jpg").read_bytes()).hexdigest()
    words = [
        ("one", box),
        (".", box),
        ("", box),
        ("two", "."),
        ("outside", [500, 500, 20, 10, 0]),
        ("big", [1, 1, 9e9, 1, 0]),
    ]
    write_imgur5k(tmp_path, {"here": words, "gone": [("three", box)]}, here=digest)
    write_imgur5k(tmp_path, {"here": [("four", box)]}, "val", here="0" * 32)
    skipped = []
    data = load_lines(tmp_path, words=True, image_root=tmp_path, skipped=skipped)
    assert data["train"]["text"] == ["one", "outside", "big"]
    assert [bool(line["image"]["bytes"]) for line in data["train"]] == [True, False, False]
    assert open_image(data["train"][0]["image"]).size == (20, 10)
    assert [bool(line["image"]["bytes"]) for line in data["validation"]] == [False]  # another image by its MD5
    assert sorted(skipped) == [
        ("train", "gone_0", "no such image"),
        ("train", "here_1", "illegible"),
        ("train", "here_2", "illegible"),
        ("train", "here_3", "no word and box of five numbers"),
    ]
    one = tmp_path / "dataset_info" / "imgur5k_annotations_val.json"
    assert load_lines(one, "validation", image_root=tmp_path)["text"] == ["four"]


def test_annotations_that_are_none(tmp_path):
    file = tmp_path / "imgur5k_annotations.json"
    for content in ("{", "[]", '{"index_id": {"a": []}, "index_to_ann_map": {}, "ann_id": {}}'):
        file.write_text(content)
        with pytest.raises(InputError, match=r"imgur5k_annotations\.json: damaged, or not the annotations"):
            load_lines(tmp_path)


# --- pages ---


def box(left: int, top: int, right: int, bottom: int) -> str:
    return f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"


def test_words_of_page_xml(tmp_path):
    words = "".join(
        f'<Word id="w"><Coords points="{points}"/><TextEquiv><Unicode>{text}</Unicode></TextEquiv></Word>'
        for text, points in (
            ("one", box(10, 10, 30, 40)), ("", box(30, 10, 40, 40)), ("two words", box(40, 10, 50, 40)),
            ("flat", "50,10 60,10"), ("none", ""),
        )
    )  # fmt: skip
    line = (
        f'<TextLine id="l"><Coords points="{box(10, 10, 60, 40)}"/><Baseline points="10,35 60,35"/>{words}</TextLine>'
    )
    write_page(tmp_path, page_xml(line))
    skipped = []
    lines = load_lines(tmp_path, "train", words=True, skipped=skipped)
    assert lines["text"] == ["one", "flat"]
    assert lines["word_id"] == ["l_word_1", "l_word_4"]
    assert open_image(lines[0]["image"]).size == (20, 30)
    assert lines[1]["image"]["bytes"] == b""  # never the image of the whole line
    assert [item[1:] for item in skipped] == [
        ("p1#l_word_2", "no text"), ("p1#l_word_3", "several words in one"), ("p1#l_word_5", "no polygon or baseline"),
    ]  # fmt: skip
    assert len(load_lines(tmp_path, "train")) == 1


def test_words_of_alto(tmp_path):
    place = 'VPOS="10" HEIGHT="30"'
    strings = (
        f'<String CONTENT="one" HPOS="10" WIDTH="25" {place}/><SP/><String CONTENT="two" HPOS="40" WIDTH="20" {place}/>'
    )
    write_page(tmp_path, alto(f'<TextLine ID="l" HPOS="10" WIDTH="50" {place}>{strings}</TextLine>'))
    lines = load_lines(tmp_path / "p1.xml", "train", words=True)
    assert lines["text"] == ["one", "two"]
    assert [open_image(line["image"]).size for line in lines] == [(25, 30), (20, 30)]


def test_words_follow_the_baseline_of_their_line(tmp_path):
    """Also where the line has none: its middle then. A tight polygon of one word says little of the slant."""
    word = [(20, 30), (60, 30 + 16), (60, 50 + 16), (20, 50)]
    points, line_points = (
        " ".join(f"{x},{y}" for x, y in p) for p in (word, [(20, 30), (180, 94), (180, 114), (20, 50)])
    )
    inner = f'<Word><Coords points="{points}"/><TextEquiv><Unicode>one</Unicode></TextEquiv></Word>'
    for baseline in ('<Baseline points="20,48 180,112"/>', ""):
        folder = tmp_path / str(len(baseline))
        write_page(folder, page_xml(f'<TextLine id="l"><Coords points="{line_points}"/>{baseline}{inner}</TextLine>'))
        (found,) = load_lines(folder, "train", words=True)
        width, height = open_image(found["image"]).size
        assert width == pytest.approx(np.hypot(40, 16), abs=2)
        assert height < 26  # upright it would be 36


def test_sources_without_words_are_refused(tmp_path):
    write_page(tmp_path / "pages", page_xml(f'<TextLine id="l"><Coords points="{box(0, 0, 9, 9)}"/></TextLine>'))
    with pytest.raises(InputError, match="pages: no line can be used; 1 × a page without words"):
        load_lines(tmp_path / "pages", words=True)
    (tmp_path / "train.tsv").write_text("a.png\ta\n")
    for source in (tmp_path, tmp_path / "train.tsv"):
        with pytest.raises(InputError, match=f"{source}: no words are marked there"):
            load_lines(source, words=True)
    with pytest.raises(InputError, match="owner/name: there is no such file or folder; words come from"):
        load_lines("owner/name", words=True)
