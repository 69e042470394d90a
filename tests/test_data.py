"""Loading lines and choosing those that can be trained on."""

import re
from collections import Counter

import pytest
import torch
from datasets import Dataset
from PIL import Image

from htr_convtext.data import SimilarWidthSampler, load_lines, load_sources, select_trainable
from htr_convtext.data.sampler import batch_counts
from htr_convtext.errors import InputError
from modeling_htr_convtext import HTRConvTextConfig
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor
from processing.ctc import required_frames
from tests.helpers import draw_line, write_image_folder


@pytest.fixture
def image_folder(tmp_path):
    write_image_folder(tmp_path / "lines", "train", ["one", "two words", "three"])
    write_image_folder(tmp_path / "lines", "validation", ["four"])
    return tmp_path / "lines"


def test_image_folder(image_folder):
    lines = load_lines(image_folder, "train")
    assert sorted(lines["text"]) == ["one", "three", "two words"]
    assert set(lines["source"]) == {"lines"}
    assert load_lines(image_folder, "test") is None


def test_the_folder_where_one_is_has_a_name(image_folder, monkeypatch):
    monkeypatch.chdir(image_folder)
    assert set(load_lines(".", "train")["source"]) == {"lines"}


def test_parquet(image_folder, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    for split in ("train", "validation"):
        lines = load_lines(image_folder, split).remove_columns("source")
        lines.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    packed = load_lines(folder, "train")
    assert sorted(packed["text"]) == ["one", "three", "two words"]
    single = folder / "validation-00000-of-00001.parquet"
    assert len(load_lines(single, "validation")) == 1
    assert load_lines(single, "train") is None  # the same lines are never train and validation
    single.rename(folder / "lines.parquet")
    assert len(load_lines(folder / "lines.parquet", "train")) == 1
    assert load_lines(folder / "lines.parquet", "test") is None


def test_all_splits_and_their_other_names(image_folder):
    (image_folder / "validation").rename(image_folder / "val")
    data = load_lines(image_folder)
    assert {split: len(lines) for split, lines in data.items()} == {"train": 3, "validation": 1}
    assert load_lines(image_folder, "dev")["text"] == ["four"]


def test_sources_are_put_together(image_folder, tmp_path):
    write_image_folder(tmp_path / "more", "train", ["five"])
    lines = load_sources([image_folder, tmp_path / "more"], "train")
    assert sorted(set(lines["source"])) == ["lines", "more"]
    assert len(lines) == 4


def test_texts_that_are_numbers_or_missing(tmp_path):
    for index in range(2):
        draw_line("1").save(tmp_path / f"{index}.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\n0.png,1905\n1.png,1906\n")
    assert sorted(load_lines(tmp_path, "train")["text"]) == ["1905", "1906"]
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "0.png", "text": "a"}\n{"file_name": "1.png", "text": null}'
    )
    assert sorted(load_lines(tmp_path, "train")["text"]) == ["", "a"]


def test_width_is_that_of_the_upright_line(processor, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_line("turned").rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    lines = Dataset.from_list([{"image": {"bytes": None, "path": str(tmp_path / "turned.jpg")}, "text": "turned"}])
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    image = draw_line("turned")
    assert not left_out
    kept, _ = select_trainable(kept.map(lambda line: {"width": 0}), processor, HTRConvTextConfig())
    assert kept["width"] == [processor.image_processor.resized_width(image.height, image.width)]


def test_bad_sources_are_named(tmp_path, image_folder):
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "lines.doc").write_bytes(b"")
    for name, message in {
        "nowhere": "there is no such file or folder.",
        "damaged.parquet": "no lines found; give Parquet files or images with metadata. (Parquet file size is 4 bytes",
        "empty": "no lines found; give Parquet files or images with metadata.",
        "lines.doc": "not a list (.ln, .tsv, .txt, .csv, .jsonl), a page (.xml) or a Parquet file.",
    }.items():
        with pytest.raises(InputError, match=re.escape(f"{tmp_path / name}: {message}")):
            load_lines(tmp_path / name, "train")
    with pytest.raises(InputError, match=r"^nobody/nothing: no lines found; no such folder, nor Hub data set"):
        load_lines("nobody/nothing", "train")
    (image_folder / "train" / "metadata.jsonl").unlink()
    (image_folder / "validation" / "metadata.jsonl").unlink()
    with pytest.raises(InputError, match=r"lines: images without texts; give metadata\.jsonl"):
        load_lines(image_folder, "train")
    with pytest.raises(InputError, match="None of the data sets has a test split"):
        load_sources([], "test")


def test_lines_that_cannot_be_trained_on_are_counted(processor, tmp_path):
    draw_line("good line").save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("L", (8, 32), 255).save(tmp_path / "narrow.png")
    rows = [
        ("good.png", "good line"),
        ("good.png", ""),
        ("good.png", "unknown É"),
        ("broken.png", "broken"),
        ("narrow.png", "two frames only"),
        ("gone.png", "gone"),
    ]
    lines = Dataset.from_list(
        [{"image": {"bytes": None, "path": str(tmp_path / name)}, "text": text} for name, text in rows]
    )
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert kept["text"] == ["good line"]
    image = draw_line("good line")
    assert kept["width"] == [processor.image_processor.resized_width(image.height, image.width)]
    assert left_out == {
        "empty text": 1,
        "unknown character": 1,
        "unreadable image": 1,
        "no such image": 1,
        "more characters than frames": 1,
    }


@pytest.mark.parametrize("unknown", ["drop", "replace"])
def test_lines_with_unknown_characters_and_long_lines_are_left_out(processor, tmp_path, unknown):
    """Where that is asked for; after it the tokenizer does to texts what it did before."""
    tokenizer = processor.tokenizer
    tokenizer.set_policy(unknown, "a", "NFC")
    draw_line("a line of some width").save(tmp_path / "line.png")
    image = {"bytes": None, "path": str(tmp_path / "line.png")}
    lines = Dataset.from_list([{"image": image, "text": text} for text in ("abc", "abÉ", "abcde", "abcdef", "É")])

    def select(**options) -> tuple[list[str], dict[str, int]]:
        kept, left_out = select_trainable(lines, processor, HTRConvTextConfig(), **options)
        return kept["text"], dict(left_out)

    assert select(leave_out_unknown=True) == (["abc", "abcde", "abcdef"], {"unknown character": 2})
    assert select(leave_out_unknown=True, max_characters=5) == (
        ["abc", "abcde"], {"unknown character": 2, "more than 5 characters": 1}
    )  # fmt: skip
    assert (tokenizer.unknown, tokenizer.replacement, tokenizer.unicode_form) == (unknown, "a", "NFC")
    kept, left_out = select(max_characters=5)
    none_known = {"no character of the text is in the charset": 1}
    assert left_out == {"more than 5 characters": 1} | (none_known if unknown == "drop" else {})
    assert "abÉ" in kept


def test_frames_that_ctc_needs():
    assert required_frames([]) == 0
    assert required_frames([1, 2, 3]) == 3
    assert required_frames([1, 1, 1, 2]) == 6


def test_collator_pads_labels(processor, image_folder):
    batch = processor(list(load_lines(image_folder, "train")))
    assert batch["pixel_values"].shape[0] == batch["labels"].shape[0] == 3
    lengths = (batch["labels"] != -100).sum(-1)
    assert sorted(lengths.tolist()) == [3, 5, 9]
    assert not (batch["labels"] == 0).any()


def test_padding_gives_frames_where_the_network_does_not_know_it(tokenizer, tmp_path):
    """As in the published system: every line has the 128 frames of 512 pixels."""
    Image.new("L", (8, 32), 255).save(tmp_path / "narrow.png")
    image = {"bytes": None, "path": str(tmp_path / "narrow.png")}
    lines = Dataset.from_list([{"image": image, "text": "seven characters"}, {"image": image, "text": "a" * 65}])
    processor = HTRConvTextProcessor(HTRConvTextImageProcessor.published(), tokenizer)
    kept, left_out = select_trainable(lines, processor, HTRConvTextConfig())
    assert (kept["text"], kept["width"]) == (["seven characters"], [512])
    assert left_out == {"more characters than frames": 1}


# --- batches of similar width ---


def test_sampler_gives_every_line_once_and_similar_widths():
    widths = torch.randint(50, 1000, (2003,), generator=torch.Generator().manual_seed(0))
    sampler = SimilarWidthSampler(widths, batch_size=8, seed=1)
    order = list(sampler)
    assert sorted(order) == list(range(2003))
    assert len(sampler) == 2003
    batches = [widths[order[start : start + 8]] for start in range(0, 2000, 8)]
    padding = sum((batch.max() - batch).sum() for batch in batches) / widths.sum()
    assert padding < 0.02
    means = torch.tensor([batch.float().mean() for batch in batches])
    neighbours = torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1]
    assert abs(neighbours) < 0.25  # wide and narrow batches follow one another at random


def test_few_lines_come_together_with_others_in_each_epoch():
    sampler = SimilarWidthSampler(range(40), batch_size=8)
    batches = set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        order = list(sampler)
        batches |= {frozenset(order[start : start + 8]) for start in range(0, 40, 8)}
    assert len(batches) > 15


def test_sampler_orders_differ_by_epoch_and_repeat():
    sampler = SimilarWidthSampler([10, 20, 30, 40] * 10, batch_size=4, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)


def test_sampler_weighs_sources():
    sources = ["large"] * 100 + ["small"] * 10 + ["middle"] * 50
    sampler = SimilarWidthSampler(range(160), batch_size=8, sources=sources, source_weights={"small": 3})
    seen = Counter()
    for epoch in range(5):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert Counter(sources[index] for index in order) == {"large": 32, "small": 96, "middle": 32}
        assert order == list(sampler)
        seen.update(order)
    # Within a source none comes again before all have come, over the epochs.
    assert {seen[index] for index in range(100)} == {1, 2}
    assert {seen[index] for index in range(100, 110)} == {48}
    assert {seen[index] for index in range(110, 160)} == {3, 4}


def test_every_batch_has_the_shares_of_the_sources():
    """Half, three eighths, and an eighth: 4, 3 and 1 of 8 lines; and shares that are no whole lines of a batch."""
    generator = torch.Generator().manual_seed(0)
    sources = ["a"] * 500 + ["b"] * 300 + ["c"] * 203
    widths = torch.randint(50, 1000, (1003,), generator=generator)
    for weights, shares in (
        ({"a": 4, "b": 3}, {"a": {4}, "b": {3}, "c": {1}}),
        ({"a": 10, "b": 9, "c": 1}, {"a": {4}, "b": {3, 4}, "c": {0, 1}}),
    ):
        plain, mixed = (
            SimilarWidthSampler(widths, 8, 1, sources=sources, source_weights=weights, source_batches=each)
            for each in (False, True)
        )
        seen, orders = Counter(), set()
        for epoch in range(3):
            plain.set_epoch(epoch)
            mixed.set_epoch(epoch)
            order = list(mixed)
            assert order == list(mixed)
            assert Counter(order) == Counter(plain)  # nothing more and nothing less than without
            seen.update(order)
            batches = [order[start : start + 8] for start in range(0, 1003, 8)]
            orders.update(frozenset(batch) for batch in batches)
            counts = [Counter(sources[index] for index in batch) for batch in batches[:-1]]
            # An epoch has whole lines of each source, so one batch may be a line off.
            other = [count for count in counts if any(count[name] not in found for name, found in shares.items())]
            assert len(other) <= 1
            assert len(batches[-1]) == 3
            padding = sum((widths[batch].max() - widths[batch]).sum() for batch in batches) / widths[order].sum()
            assert padding < 0.2
            means = torch.tensor([widths[batch].float().mean() for batch in batches])
            assert abs(torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1]) < 0.3
        assert len(orders) > 300  # other lines come together in each epoch
        assert {seen[index] for index in range(500)} <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("totals", "batch_size"), [([50, 51], 4), ([1, 99], 10), ([3, 4], 8), ([7, 7, 7], 6), ([1, 1, 98, 3], 4), ([5], 2)]
)
def test_lines_of_a_source_are_spread_over_batches(totals, batch_size):
    counts = batch_counts(totals, batch_size, torch.Generator().manual_seed(0))
    assert counts.sum(0).tolist() == totals
    whole, rest = divmod(sum(totals), batch_size)
    assert counts.sum(1).tolist() == [batch_size] * whole + [rest] * (rest > 0)
    for index, total in enumerate(totals):
        share = batch_size * total // sum(totals)
        assert set(counts[:whole, index].tolist()) <= {share, share + 1}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"latge": 2}, "no data set 'latge'.* large, small"),
        ({"small": 0}, "small must be pos"),
        ({"small": 0.01}, "none of small"),
    ],
)
def test_wrong_source_weights(weights, message):
    with pytest.raises(InputError, match=message):
        SimilarWidthSampler(range(4), 2, sources=["large", "large", "small", "small"], source_weights=weights)
    with pytest.raises(InputError, match="only where these have weights"):
        SimilarWidthSampler(range(4), 2, source_batches=True)
