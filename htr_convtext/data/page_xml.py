"""Pages in PAGE-XML and ALTO, of every version: lines with their text, polygon and baseline."""

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw


if TYPE_CHECKING:
    from lxml.etree import _Element


Points = list[tuple[float, float]]


@dataclass(frozen=True)
class PageLine:
    """A line of a page: its text (empty if there is none), outline and baseline in the units of the page, or empty."""

    id: str
    text: str
    polygon: Points
    baseline: Points


@dataclass(frozen=True)
class Page:
    """
    A page as its XML file describes it.

    `width` and `height` are those of the image in the units of the polygons (pixels, or in ALTO also 1/10 mm or
    1/1200 inch), 0 where the file does not say; `image` is the file name without a folder, or empty.
    """

    image: str
    width: float
    height: float
    lines: list[PageLine]


def read_page(path: str | os.PathLike) -> Page:
    """
    Reads a PAGE-XML or ALTO file. External entities are refused.

    Raises:
        OSError: if there is no such file.
        ValueError: names the file if it is damaged, of another kind, or has not exactly one page.
        ModuleNotFoundError: if lxml is missing.
    """
    try:
        from lxml import etree
    except ModuleNotFoundError:
        raise ModuleNotFoundError("PAGE-XML and ALTO need lxml: pip install 'htr-convtext[train]'") from None
    with open(path, "rb") as handle:
        try:
            parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False)
            root = etree.parse(handle, parser).getroot()
        except etree.XMLSyntaxError as error:
            raise ValueError(f"{path}: damaged XML. ({error})") from None
    kind = etree.QName(root).localname
    if kind not in ("PcGts", "alto"):
        raise ValueError(f"{path}: neither PAGE-XML nor ALTO, but <{kind}>.")
    pages = root.findall(".//{*}Page")
    if len(pages) != 1:
        raise ValueError(f"{path}: it must describe one page, not {len(pages)}.")
    try:
        return _page_of_page_xml(pages[0]) if kind == "PcGts" else _page_of_alto(root, pages[0])
    except ValueError as error:
        raise ValueError(f"{path}: damaged {kind}. ({error})") from None


def _page_of_page_xml(page: "_Element") -> Page:
    return Page(
        image=base_name(page.get("imageFilename", "")),
        width=float(page.get("imageWidth", 0)),
        height=float(page.get("imageHeight", 0)),
        lines=[
            PageLine(
                id=line.get("id", ""),
                text=_text_of_page_xml(line),
                polygon=_points_of_page_xml(line.find("{*}Coords")),
                baseline=_points_of_page_xml(line.find("{*}Baseline")),
            )
            for line in page.iterfind(".//{*}TextLine")
        ],
    )


def _text_of_page_xml(line: "_Element") -> str:
    """The text with the lowest index, or the first one; without any that of the words."""
    texts = [text for text in line.findall("{*}TextEquiv") if text.findtext("{*}Unicode")]
    if texts:
        return min(texts, key=lambda text: int(text.get("index", 0))).findtext("{*}Unicode")
    return " ".join(filter(None, map(_text_of_page_xml, line.findall("{*}Word"))))


def _points_of_page_xml(element: "_Element | None") -> Points:
    if element is None:
        return []
    if element.get("points") is None:  # until 2010
        return [(float(point.get("x")), float(point.get("y"))) for point in element.findall("{*}Point")]
    return parse_points(element.get("points"))


def _page_of_alto(root: "_Element", page: "_Element") -> Page:
    return Page(
        image=base_name(root.findtext(".//{*}sourceImageInformation/{*}fileName") or ""),
        width=float(page.get("WIDTH", 0)),
        height=float(page.get("HEIGHT", 0)),
        lines=[
            PageLine(
                id=line.get("ID", ""),
                text=_text_of_alto(line),
                polygon=_polygon_of_alto(line),
                baseline=_baseline_of_alto(line),
            )
            for line in page.iterfind(".//{*}TextLine")
        ],
    )


def _text_of_alto(line: "_Element") -> str:
    """Strings and hyphens, apart where there is an `SP`; a line without any `SP` has a space between its strings."""
    between = "" if line.find("{*}SP") is not None else " "
    text = ""
    for part in line.iterfind("{*}*"):
        kind = part.tag.rpartition("}")[2]
        if kind == "SP":
            text += " "
        elif kind == "String":
            text += (between if text else "") + part.get("CONTENT", "")
        elif kind == "HYP":
            text += part.get("CONTENT", "")
    return text


def _polygon_of_alto(line: "_Element") -> Points:
    polygon = line.find("{*}Shape/{*}Polygon")
    if polygon is not None:
        return parse_points(polygon.get("POINTS", ""))
    if line.get("HPOS") is None:
        return []
    left, top = float(line.get("HPOS")), float(line.get("VPOS", 0))
    right, bottom = left + float(line.get("WIDTH", 0)), top + float(line.get("HEIGHT", 0))
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _baseline_of_alto(line: "_Element") -> Points:
    baseline = line.get("BASELINE", "")
    if re.fullmatch(r"[\d.]+", baseline.strip()):  # until version 4 one height for the whole line
        left, height = float(line.get("HPOS", 0)), float(baseline)
        return [(left, height), (left + float(line.get("WIDTH", 0)), height)]
    return parse_points(baseline)


def parse_points(text: str) -> Points:
    """
    Points written `"x,y x,y"` (PAGE-XML) or `"x y x y"` (also seen in ALTO).

    Raises:
        ValueError: if these are not pairs of numbers.
    """
    numbers = [float(number) for number in text.replace(",", " ").split()]
    if len(numbers) % 2 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"not pairs of coordinates: {text!r}")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def base_name(name: str) -> str:
    """A file name without its folder, be it written as on Windows or elsewhere."""
    return name.strip().replace("\\", "/").rpartition("/")[2]


def crop_polygon(image: Image.Image, polygon: Points) -> Image.Image:
    """
    Cuts a polygon, in pixels, out of a grey image: its bounding box within the image, white outside of the polygon.

    Raises:
        ValueError: if nothing of it lies within the image.
    """
    across, down = zip(*polygon, strict=True) if polygon else ((0,), (0,))
    left, top = max(0, math.floor(min(across))), max(0, math.floor(min(down)))
    right, bottom = min(image.width, math.ceil(max(across))), min(image.height, math.ceil(max(down)))
    if left >= right or top >= bottom:
        raise ValueError("the polygon has no area within the page")
    crop = image.crop((left, top, right, bottom))
    mask = Image.new("1", crop.size)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in polygon], fill=1)
    return Image.composite(crop, Image.new("L", crop.size, 255), mask)
