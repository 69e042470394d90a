"""Programs in bounded memory, whatever they are given."""

import os
import resource
import subprocess
import sys
import time

import pytest
from PIL import Image

from htr_convtext.documents import cut_line
from htr_convtext.documents.layout import in_pixels
from htr_convtext.documents.page import Page, PageLine, Region
from tests.helpers import ROOT, draw_line


MB = 1_000_000
LIMIT = 2000  # half of it is taken by PyTorch, transformers and the bundled model


def run_limited(megabytes: int, *command, timeout: int = 120) -> subprocess.CompletedProcess:
    """Runs Python with arguments in an address space of so many megabytes."""
    # Each thread would take address space of its own.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes * MB,) * 2),
        cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=timeout,
    )  # fmt: skip


def page_xml(name: str, width: int, height: int, lines: list[str]) -> str:
    joined = "".join(f'<TextLine id="l{number}">{line}</TextLine>' for number, line in enumerate(lines))
    return (
        '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        f'<Page imageFilename="{name}" imageWidth="{width}" imageHeight="{height}">'
        f'<TextRegion id="r"><Coords points="0,0 {width},0 {width},{height} 0,{height}"/>{joined}</TextRegion>'
        "</Page></PcGts>"
    )


def test_damaged_files_are_refused_in_one_line(tmp_path):
    done = run_limited(1500, "-m", "tests.damaged_files", tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "200 images" in done.stdout
    assert "60 documents, 0 failures" in done.stdout


def test_large_images_of_lines(tmp_path):
    """Eight of 169 megapixels, 1.35 GB when they are decoded, and a thin one."""
    large = Image.new("1", (13_000, 13_000), 1)
    large.paste(draw_line("abc", height=1000).resize((9000, 2000)), (500, 4000))
    large.save(tmp_path / "0.png", compress_level=1)
    for number in range(1, 8):
        (tmp_path / f"{number}.png").write_bytes((tmp_path / "0.png").read_bytes())
    Image.new("L", (1, 200_000), 255).save(tmp_path / "thin.png")
    done = run_limited(LIMIT, "scripts/recognize.py", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 9


def test_many_lines_that_cover_the_page_and_one_of_many_points(tmp_path):
    """100 lines of 12 megapixels."""
    width, height = 4000, 3000
    Image.new("L", (width, height), 255).save(tmp_path / "page.png")
    lines = [f'<Coords points="0,0 {width},0 {width},{height} 0,{height}"/>'] * 100
    upper = [f"{100 + number * 3800 // 20_000},{500 + number // 50 + number % 3}" for number in range(20_000)]
    lower = [f"{100 + number * 3800 // 20_000},{600 + number // 50 + number % 3}" for number in range(20_000)]
    points = " ".join([*upper, *lower[::-1]])
    lines.append(f'<Coords points="{points}"/><Baseline points="100,580 3900,980"/>')
    (tmp_path / "page.xml").write_text(page_xml("page.png", width, height, lines))
    done = run_limited(LIMIT, "scripts/transcribe.py", tmp_path / "page.xml", "--format", "text")
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_polygon_of_very_many_points_is_cut_as_one_of_few():
    page = Image.effect_noise((1500, 400), 90)
    few = [(100, 100), (1400, 200), (1400, 300), (100, 200)]
    many = [(100 + 1300 * n / 40_000, 100 + 100 * n / 40_000) for n in range(40_001)]
    many += [(x, y + 100) for x, y in many[::-1]]
    one, other = (cut_line(page, polygon, [(100, 170), (1400, 270)]) for polygon in (few, many))
    assert other.image.size == one.image.size
    assert (other.above, other.below) == pytest.approx((one.above, one.below), abs=0.5)


def test_a_thousand_baselines_in_less_than_a_second():
    lines = [
        PageLine(f"l{n}", "", [], [(10, 20 + 10 * n), (500, 24 + 10 * n), (900, 20 + 10 * n)]) for n in range(1000)
    ]
    page = Page("", 1000, 10_100, [Region("r", [], lines)])
    start = time.process_time()
    page = in_pixels(page, Image.new("L", (1000, 10_100)))
    assert time.process_time() - start < 1
    assert page.lines[0].polygon[0] == pytest.approx((10, 20 - 0.75 * 10))
    assert page.lines[0].polygon[-1] == pytest.approx((10, 20 + 0.3 * 10))
