"""Whole folders of pages: what is read and written, going on where it stopped, and the programs."""

import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

from htr_convtext import load_recognizer
from htr_convtext.documents import Page, PageImages, PageLine, Region, read_page
from htr_convtext.documents.files import find_documents
from htr_convtext.documents.xml_writer import to_xml
from htr_convtext.transcription import (
    JobCounts,
    JobHooks,
    TranscriptionJob,
    open_documents,
    transcribe_image,
)
from htr_convtext.transcription.kept_pages import KeptPages
from htr_convtext.transcription.output_plan import plan_outputs
from tests.helpers import EXAMPLE_PAGE, EXAMPLE_TEXT, call_script, draw_line


def test_documents_of_a_folder(page, tmp_path, monkeypatch):
    folder = tmp_path / "export"
    (folder / "page").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.pdf"):
        (folder / name).write_bytes(b"")
    (folder / "page" / "a.xml").write_bytes(to_xml(replace(page, image="a.jpg"), "page"))
    (folder / "mets.xml").write_text("<mets/>")
    documents, failed = find_documents([folder])
    assert [(d.image.name, d.layout and d.layout.name, str(d.name)) for d in documents] == [
        ("b.jpg", None, "b"),
        ("c.pdf", None, "c"),
        ("a.jpg", "a.xml", os.path.join("page", "a")),
    ]
    assert failed == []
    documents, _ = find_documents([folder], use_layout=False)
    assert [d.image.name for d in documents] == ["a.jpg", "b.jpg", "c.pdf"]
    documents, _ = find_documents([folder / "page" / "a.xml"], use_layout=False)
    assert [(d.image.name, d.layout) for d in documents] == [("a.jpg", None)]
    documents, _ = find_documents([folder / "a.jpg", folder / "page" / "a.xml"])
    assert [d.layout and d.layout.name for d in documents] == ["a.xml"]
    assert len(find_documents([folder], leave_out=folder / "page")[0]) == 3
    assert (
        len(find_documents([folder], leave_out=folder)[0]) == len(find_documents([folder], leave_out=tmp_path)[0]) == 3
    )
    monkeypatch.chdir(folder / "page")
    assert find_documents(["a.xml"])[1] == []
    (folder / "a.jpg").unlink()
    assert "no page image a.jpg" in find_documents([folder])[1][0]
    assert "but <mets>" in find_documents([folder / "mets.xml"])[1][0]
    with pytest.raises(ValueError, match="no pages"):
        find_documents([folder / "page"], use_layout=False)


def test_nothing_is_written_over(page, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    image = Image.new("L", (30, 20))
    image.save(folder / "a.jpg")

    def plan(output_format: str, *paths: Path, **options) -> list[str]:
        documents, _ = find_documents(paths or [folder])
        opened = [(document, PageImages(document.image)) for document in documents]
        return [output.target.name for output in plan_outputs(opened, out, output_format, **options)]

    image.save(folder / "b.tif", save_all=True, append_images=[image])
    assert plan("text") == ["a.txt", "b.txt"]
    assert plan("alto") == ["a.xml", "b_0001.xml", "b_0002.xml"]
    image.save(folder / "b_0002.jpg")
    with pytest.raises(ValueError, match=r"b\.tif and .*b_0002\.jpg would both"):
        plan("page")
    assert plan("pdf", folder / "a.jpg") == ["a.pdf"]
    image.save(out / "a.pdf")
    with pytest.raises(ValueError, match=r"out.a\.pdf would be written over"):
        plan("pdf", out / "a.pdf")
    (out / "a.xml").write_bytes(to_xml(page, "page"))
    assert plan("page", folder / "a.jpg") == ["a.xml"]
    with pytest.raises(ValueError, match=r"out.a\.xml is there, but not as <alto>"):
        plan("alto", folder / "a.jpg")
    assert plan("alto", folder / "a.jpg", overwrite=True) == ["a.xml"]


class Recorded(JobHooks):
    """What a job told."""

    def __init__(self):
        self.messages, self.places, self.results = [], [], []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, done: int, total: int) -> None:
        self.places.append((done, total))

    def result(self, content: bytes) -> None:
        self.results.append(content.decode())


def nothing_found(image: Image.Image) -> list[Region]:
    return []


def test_a_job_without_a_folder_gives_its_results(recognizer, tmp_path):
    strip = Image.open(EXAMPLE_PAGE).crop((0, 80, 1240, 300))
    strip.save(tmp_path / "a.png")
    strip.save(tmp_path / "b.tif", save_all=True, append_images=[strip])
    (tmp_path / "bad.png").write_bytes(b"no image")
    hooks = Recorded()
    counts = TranscriptionJob(open_documents([tmp_path]), recognizer, hooks=hooks).run()
    assert counts == JobCounts(pages=3, lines=3 * hooks.results[0].count("\n"), errors=1)
    assert hooks.places == [(1, 3), (2, 3), (3, 3)]
    assert [result.count("\f") for result in hooks.results] == [0, 1]
    assert hooks.results[0] == hooks.results[1].split("\f")[0] != "\n"
    assert len(hooks.messages) == 1
    assert "bad.png: not an image" in hooks.messages[0]
    with pytest.raises(ValueError, match="folder is needed"):
        open_documents([tmp_path], "pdf")


def test_a_damaged_layout_is_told_and_its_image_read(page, recognizer, tmp_path):
    """From a folder, where the image is; of a layout that was named itself it is only told."""
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "page").mkdir(parents=True)
    image = Image.open(EXAMPLE_PAGE)
    image.save(folder / "a.tif", save_all=True, append_images=[image])
    file = folder / "page" / "a.xml"
    file.write_bytes(to_xml(replace(page, image="a.tif"), "page").replace(b"</PcGts>", b""))

    def run(*paths) -> tuple[JobCounts, Recorded]:
        hooks = Recorded()
        plan = open_documents(paths, "page", out)
        return TranscriptionJob(plan, recognizer, nothing_found, hooks=hooks).run(), hooks

    counts, hooks = run(folder)
    assert counts == JobCounts(pages=2, errors=1)
    assert [f"{file}: damaged XML" in message for message in hooks.messages] == [True]
    assert hooks.places[-1] == (2, 2)
    assert sorted(each.name for each in out.iterdir()) == ["a_0001.xml", "a_0002.xml"]
    assert run(folder)[0] == JobCounts(done_before=2, errors=1)
    counts, hooks = run(file)
    assert counts == JobCounts(errors=1)
    assert hooks.places[-1] == (0, 0)

    # not what would be written over the output of another
    image.save(folder / "a_0002.png")
    counts, hooks = run(folder)
    assert counts.errors == 2
    assert "would both be written to" in hooks.messages[-1]


def test_a_mistake_on_a_page_does_not_end_the_job_nor_hide(recognizer, tmp_path, caplog):
    for name in "ab":
        Image.new("RGB", (200, 100)).save(tmp_path / f"{name}.png")

    def segmenter(image):
        raise KeyError("a mistake")

    hooks = Recorded()
    with caplog.at_level(logging.ERROR):
        counts = TranscriptionJob(open_documents([tmp_path]), recognizer, segmenter, hooks=hooks).run()
    assert counts == JobCounts(errors=2)
    assert ["'a mistake'" in message for message in hooks.messages] == [True, True]
    assert caplog.records[0].exc_info[0] is KeyError


def test_transcribe_script_goes_on_where_it_stopped(page, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    small = Image.open(EXAMPLE_PAGE).crop((0, 80, 1240, 300))
    small.save(folder / "one.png")
    small.save(folder / "two.tif", save_all=True, append_images=[small.rotate(180)])
    (folder / "bad.png").write_bytes(b"no image")
    done = call_script("transcribe.py", folder, "--format", "page", "--output", out, expect=1)
    assert "bad.png: not an image" in done.stderr
    assert "3 pages" in done.stderr
    assert sorted(file.name for file in out.iterdir()) == ["one.xml", "two_0001.xml", "two_0002.xml"]
    written = read_page(out / "two_0001.xml")
    assert written.lines[0].text == read_page(out / "one.xml").lines[0].text != ""

    (folder / "bad.png").unlink()
    (out / "two_0002.xml").unlink()
    kept = (out / "one.xml").stat().st_mtime_ns
    done = call_script("transcribe.py", folder, "--format", "page", "--output", out)
    assert "1 pages" in done.stderr
    assert "2 done before" in done.stderr
    assert (out / "one.xml").stat().st_mtime_ns == kept
    assert (out / "two_0002.xml").exists()

    # outputs within the folder are not taken for pages; with the pages they could not be told from them
    inside = ("transcribe.py", folder / "one.png", folder, "--format", "page", "--output", folder / "inside")
    call_script(*inside)
    assert "3 done before, 0 errors" in call_script(*inside).stderr
    done = call_script("transcribe.py", folder, "--format", "page", "--output", folder, expect=1)
    assert "choose another --output" in done.stderr

    # the lines of the XML files, with their ids, in another format
    done = call_script("transcribe.py", out / "one.xml", folder / "two.tif", "--format", "jsonl", expect=1)
    assert "no page image" in done.stderr
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert {row["page"] for row in rows} == {1, 2}
    (folder / "one.xml").write_bytes((out / "one.xml").read_bytes().replace(b"r1_l1", b"my_line"))
    done = call_script("transcribe.py", folder / "one.xml", "--format", "jsonl")
    assert json.loads(done.stdout.splitlines()[0])["line"] == "my_line"
    done = call_script("transcribe.py", folder / "one.xml", "--format", "page", "--output", folder, expect=1)
    assert "would be written over" in done.stderr
    (tmp_path / "file").write_text("")
    done = call_script("transcribe.py", folder / "one.xml", "--output", tmp_path / "file", expect=1)
    assert "File exists" in done.stderr


def test_a_document_goes_on_where_it_stopped(page, tmp_path):
    small = Image.open(EXAMPLE_PAGE).crop((0, 80, 1240, 300))
    small.save(tmp_path / "two.tif", save_all=True, append_images=[small.rotate(180)])
    command = ("transcribe.py", tmp_path / "two.tif", "--format", "jsonl", "--output", tmp_path)
    target = tmp_path / "two.jsonl"
    kept = KeptPages(target, page.provenance)
    kept.put(page)
    kept.put(replace(page, number=2))
    assert kept.get(2, newer_than=tmp_path / "two.tif") == replace(page, number=2)
    assert KeptPages(target, replace(page.provenance, model="other")).get(2, newer_than=tmp_path / "two.tif") is None
    assert KeptPages(target, replace(page.provenance, decoder="beam")).get(2, newer_than=tmp_path / "two.tif") is None
    (kept.folder / "0002.json").unlink()
    done = call_script(*command)
    assert "1 pages" in done.stderr
    assert "1 done before" in done.stderr
    rows = [json.loads(row) for row in target.read_text().splitlines()]
    assert [row["text"] for row in rows if row["page"] == 1] == [line.text for line in page.lines]
    assert rows[-1]["page"] == 2
    assert not kept.folder.exists()
    assert "2 done before" in call_script(*command).stderr

    # what was read again, but not written any more, is not lost
    target.write_text("old")
    kept.put(page)
    kept.put(replace(page, number=2))
    assert "0 pages" in call_script(*command).stderr
    assert len(target.read_text().splitlines()) == 2 * len(page.lines)

    # nor is what was corrected by hand
    kept.put(page)
    kept.put(replace(page, number=2))
    target.write_text("corrected")
    os.utime(target, ns=(2 * time.time_ns(),) * 2)
    assert "0 pages" in call_script(*command).stderr
    assert target.read_text() == "corrected"

    kept.put(page)
    os.utime(kept.folder / "0001.json", (0, 0))
    assert kept.get(1, newer_than=tmp_path / "two.tif") is None
    assert "2 pages" in call_script(*command).stderr


def test_transcribe_script_tells_what_to_expect(calibrated_folder, calibration, tmp_path):
    sheet = Image.new("RGB", (400, 60), "white")
    sheet.paste(draw_line("some words of text", 30), (15, 10))
    sheet.save(tmp_path / "two.tif", save_all=True, append_images=[sheet])
    outline = [(10.0, 8.0), (390.0, 8.0), (390.0, 38.0), (10.0, 38.0)]
    layout = Page("a.png", 400, 60, [Region("r", [], [PageLine("l", "", outline, [])])])
    sheet.save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_bytes(to_xml(layout, "page"))
    command = ("transcribe.py", tmp_path / "a.xml", "--model", calibrated_folder, "--device", "cpu", "--format")
    done = call_script(*command, "page", "--output", tmp_path / "out", "--min-confidence", 1)
    assert "expected CER " in done.stderr
    assert "check first" not in done.stderr  # there is one page only
    root = etree.parse(tmp_path / "out" / "a.xml")
    assert calibration.id in [label.get("value") for label in root.iter("{*}Label")]
    (line,) = root.iter("{*}TextLine")
    assert line.get("custom").count("unclear") == len(line.findall("{*}Word"))
    done = call_script(*command, "jsonl", "--decoder", "beam", "--min-confidence", 0.5)
    assert "expected CER" not in done.stderr
    assert "not calibrated for the decoder beam" in done.stderr
    assert "calibration" not in json.loads(done.stdout)

    # a page that is kept is counted with those that are read, and read again where the calibration is another
    reader = load_recognizer(calibrated_folder, "cpu")
    page = transcribe_image(sheet, reader, layout)
    kept = KeptPages(tmp_path / "two.jsonl", reader.provenance)
    kept.put(page)
    assert kept.get(1, newer_than=tmp_path / "two.tif") == page
    assert page.lines[0].confidence.words
    other = KeptPages(tmp_path / "two.jsonl", replace(reader.provenance, calibration="another"))
    assert other.get(1, newer_than=tmp_path / "two.tif") is None
    job = TranscriptionJob(open_documents([tmp_path / "two.tif"], "jsonl", tmp_path), reader, lambda _: layout.regions)
    assert job.run() == JobCounts(pages=1, lines=1, done_before=1)
    assert [each.name for each in job.summary.to_check()] == [f"{tmp_path / 'two.tif'}, page {n}" for n in (1, 2)]


def test_evaluate_pages_script(page, tmp_path):
    Image.open(EXAMPLE_PAGE).save(tmp_path / "page.jpg", quality=95)
    regions = [Region("r", [], [replace(a, text=b) for a, b in zip(page.lines, EXAMPLE_TEXT, strict=True)])]
    (tmp_path / "page.xml").write_bytes(to_xml(replace(page, regions=regions), "alto"))
    done = call_script("evaluate_pages.py", tmp_path, "--output", tmp_path / "pages.json")
    counts = json.loads((tmp_path / "pages.json").read_text())["page"]
    assert (counts["lines"], counts["matched"], counts["detected"]) == (13, 13, 13)
    assert counts["errors"] < 0.06 * counts["characters"]
    assert "100.0" in done.stdout.splitlines()[-1]
