"""Lines cut along their baseline, and the order in which lines are read."""

import math
from itertools import product

import numpy as np
import pytest
from PIL import Image

from htr_convtext.documents import PageLine, cut_box, cut_line
from htr_convtext.documents.geometry import has_area, parse_points, whole_outline
from htr_convtext.documents.reading_order import order_regions
from htr_convtext.errors import InputError
from tests.helpers import draw_line


def striped_page(course, height: int = 20, width: int = 400) -> Image.Image:
    """A white page with a band of vertical stripes, 10 pixels each, whose lower edge runs along `course(x)`."""
    page = np.full((300, width), 255, dtype=np.uint8)
    for x in range(20, width - 20):
        y = round(course(x))
        page[y - height : y, x] = 0 if (x // 10) % 2 else 128
    return Image.fromarray(page)


def band(course, height: int = 20, width: int = 400) -> tuple[list, list]:
    """Polygon and baseline of that band."""
    baseline = [(x, course(x)) for x in range(20, width - 19, 10)]
    return [*[(x, y - height) for x, y in baseline], *baseline[::-1]], baseline


SLANTED = [lambda x: 100 + 0.2 * x, lambda x: 250 - 0.3 * x]
CURVED = [lambda x: 150 + 20 * math.sin(x / 60)]


@pytest.mark.parametrize(("course", "with_baseline"), [*product(SLANTED, [True, False]), *product(CURVED, [True])])
def test_a_slanted_or_curved_line_is_straightened(course, with_baseline):
    polygon, baseline = band(course)
    cut = cut_line(striped_page(course), polygon, baseline if with_baseline else [])
    pixels = np.asarray(cut.image)
    assert 18 <= cut.image.height <= 26
    assert (pixels[pixels.shape[0] // 2] < 200).mean() > 0.97  # ink from end to end along the middle
    x, y = np.mean(cut.to_page(100, 100), 0)
    assert y == pytest.approx(course(x) - 10, abs=2)


def test_columns_of_a_straight_line_are_those_of_the_page():
    page = Image.new("L", (100, 50), 255)
    page.paste(draw_line("abc"), (10, 5))
    cut = cut_line(page, [(10, 5), (60, 5), (60, 45), (10, 45)], [(10, 35), (60, 35)])
    assert cut.image.tobytes() == page.crop((10, 5, 60, 45)).tobytes()
    assert cut.to_page(5, 20) == [(15, 5), (30, 5), (30, 45), (15, 45)]
    assert cut.to_page(-3, 500) == [(10, 5), (60, 5), (60, 45), (10, 45)]


@pytest.mark.parametrize(
    ("polygon", "baseline"),
    [
        ([(10, 10), (11, 90), (10, 90)], []),
        ([(10, 10), (90, 12), (90, 80), (10, 80)], [(50, 50)]),
        ([(10, 10), (90, 12), (90, 80), (10, 80)], [(90, 70), (89, 20), (15, 60), (15, 10)]),
        ([(-50, 10), (90, 60), (900, 400), (10, 80)], [(-50, 20), (900, 400)]),
    ],
    ids=["thin", "one point", "back and forth", "beyond the page"],
)
def test_odd_outlines_are_cut_nevertheless(polygon, baseline):
    page = Image.new("L", (100, 100), 200)
    cut = cut_line(page, polygon, baseline)
    assert min(cut.image.size) >= 1
    assert np.isfinite(cut.to_page(0, cut.image.width)).all()


@pytest.mark.parametrize(
    ("polygon", "baseline"),
    [
        ([(10, 10), (30_000, 9000), (30_000, 9500), (10, 60)], []),
        ([(10, 10), (190, 10), (190, 60), (10, 60)], [(10, 50), (90, 40_000), (180, 50)]),
    ],
    ids=["polygon", "baseline"],
)
def test_what_lies_beyond_the_page_does_not_widen_the_cut(polygon, baseline):
    cut = cut_line(Image.new("L", (200, 150), 200), polygon, baseline)
    assert max(cut.image.size) < 600


@pytest.mark.parametrize("end", [900, 8000])
@pytest.mark.parametrize("with_baseline", [True, False])
def test_a_line_that_leaves_the_page_is_straightened_as_others(end, with_baseline):
    polygon, baseline = band(lambda x: 60 + 0.3 * x, width=end)
    cut = cut_line(Image.new("L", (1000, 400), 200), polygon, baseline if with_baseline else [])
    assert cut.image.height < 45
    assert cut.normals[400] == pytest.approx([-0.287, 0.958], abs=0.01)


BOX = [(10, 20), (90, 20), (90, 50), (10, 50)]


@pytest.mark.parametrize(
    ("polygon", "outline"),
    [
        (BOX, BOX),
        ([(10, 50), (90, 20)], BOX),
        ([(10, 20), (90, 50), (10, 20)], BOX),
        ([(10, 20), (50, 35), (90, 50), (50, 35)], BOX),
        ([(10, 20), (90, 20), (10, 50), (90, 50)], BOX),
        (BOX * 2, BOX),
        ([(10, 20), (50, 25), (90, 20), (50, 25)], [(10, 20), (90, 20), (50, 25)]),
        ([(10, 20), (90, 20), (90, 50), (40, 50), (40, 48), (38, 52), (10, 50)], None),
        ([(10, 20), (50, 60), (90, 20), (90, 30), (50, 70), (10, 30)], None),
    ],
    ids=["box", "two", "back", "stroke", "bow-tie", "twice", "bent stroke", "small loop", "bent"],
)
def test_polygons_that_lost_their_area_have_an_outline(polygon, outline):
    assert sorted(whole_outline(polygon)) == sorted(polygon if outline is None else outline)


@pytest.mark.parametrize("polygon", [[], [(3, 3)], [(3, 3), (3, 3)], [(3, 3), (90, 3)], [(3, 3), (40, 3), (90, 3)]])
def test_nothing_is_made_of_points_without_height(polygon):
    assert not has_area(polygon)
    with pytest.raises(InputError, match="no area"):
        cut_line(Image.new("L", (100, 50)), whole_outline(polygon))


@pytest.mark.parametrize("text", ["1,2 3,4", "1 2 3 4", "1,2,3,4", "1 2, 3 4", " 1 , 2\n3, 4 "])
def test_points_however_they_are_parted(text):
    assert parse_points(text) == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    "text", ["1,2 3", "0,0 ,0 ,496 0,496", "1,2 ,4 5,6 7", "1 2 3", "1,2 x,4", "1,2 nan,4", "1,2,"]
)
def test_a_number_that_is_missing_does_not_move_the_others(text):
    with pytest.raises(InputError, match="coordinate"):
        parse_points(text)


def lines_at(*boxes: tuple[int, int, int, int]) -> list[PageLine]:
    """Lines named by their place in `boxes` (left, top, right, bottom)."""
    return [PageLine("", str(n), [(a, b), (c, b), (c, d), (a, d)], []) for n, (a, b, c, d) in enumerate(boxes)]


def read_in_order(*boxes) -> list[list[str]]:
    return [[line.text for line in region.lines] for region in order_regions(lines_at(*boxes))]


def test_one_column_is_read_from_top_to_bottom():
    heading, first, second, last = (300, 0, 500, 20), (0, 50, 500, 70), (0, 80, 490, 100), (0, 110, 120, 130)
    assert read_in_order(last, second, heading, first) == [["2", "3", "1", "0"]]
    # a date on the right above an address on the left is no column
    assert read_in_order((0, 40, 150, 60), (300, 0, 500, 20), (0, 70, 160, 90)) == [["1", "0", "2"]]


def test_pieces_of_one_line_are_read_from_left_to_right():
    assert read_in_order((200, 48, 400, 68), (0, 50, 180, 70), (0, 80, 400, 100)) == [["1", "0", "2"]]


def test_columns_are_read_one_after_the_other():
    left = [(0, y, 180, y + 20) for y in (50, 80, 110)]
    right = [(220, y, 400, y + 20) for y in (52, 82, 112)]
    assert read_in_order(*right, *left) == [["3", "4", "5"], ["0", "1", "2"]]
    heading, foot = (40, 0, 360, 20), (10, 150, 390, 170)
    ordered = read_in_order(*right, foot, *left, heading)
    assert ordered == [["7"], ["4", "5", "6"], ["0", "1", "2"], ["3"]]


def test_ids_and_outlines_of_regions():
    (region,) = order_regions(lines_at((10, 50, 200, 70), (0, 20, 180, 40)))
    assert region.id == "r1"
    assert [line.id for line in region.lines] == ["r1_l1", "r1_l2"]
    assert region.polygon == [(0, 20), (200, 20), (200, 70), (0, 70)]
    assert order_regions([]) == []


def test_box_that_is_not_turned_is_that_part_of_the_page():
    page = Image.new("L", (100, 50), 255)
    page.paste(draw_line("abc"), (10, 5))
    assert cut_box(page, (35, 25), (50, 40), 0).tobytes() == page.crop((10, 5, 60, 45)).tobytes()
    over_the_edge = np.asarray(cut_box(Image.new("L", (100, 50), 0), (0, 25), (40, 20), 0))
    assert (over_the_edge[:, :19] == 255).all()
    assert (over_the_edge[:, 21:] == 0).all()


@pytest.mark.parametrize(
    ("centre", "size"), [((50, 25), (0, 10)), ((50, 25), (10, -1)), ((50, 25), (9e9, 2)), ((500, 25), (20, 10))]
)
def test_boxes_that_cannot_be_cut(centre, size):
    with pytest.raises(InputError):
        cut_box(Image.new("L", (100, 50)), centre, size, 30)
