"""Pages in PAGE-XML and ALTO, of every version: regions and lines with their text, polygon and baseline."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from htr_convtext.errors import InputError
from htr_convtext.folder_files import opened_file, read_file
from processing.errors import one_line

from .geometry import Points, bounding_box, box_points, course_of, has_area, parse_number, parse_points
from .page import Page, PageLine, Region
from .stated_order import lines_in_order, whole_number


if TYPE_CHECKING:
    from lxml.etree import _Element

# The formats by the names of their root elements.
FORMATS: dict[str, Literal["page", "alto"]] = {"PcGts": "page", "alto": "alto"}
SAFE = {"resolve_entities": "internal", "no_network": True, "load_dtd": False}


class NotAPageError(InputError):
    """An XML file of another kind."""


def read_page(path: str | os.PathLike, words: bool = False) -> Page:
    """
    Reads a PAGE-XML or ALTO file. External entities are refused. A line whose coordinates are damaged has an `error`;
    a size or an index that is empty counts as missing.

    Args:
        words: Whether to give the words (PAGE-XML `Word`, ALTO `String`) in place of the lines, each as a line of its
            own; their baseline is that of the line they are in, or its middle.

    Raises:
        NotAPageError: names the file if it is of another kind.
        InputError: names the file if it cannot be opened, is damaged or has not exactly one page.
        ModuleNotFoundError: if lxml is missing.
    """
    etree = _import_lxml()
    source = read_file(path)
    try:
        root = parse_xml(source, os.fspath(path))
    except etree.XMLSyntaxError as error:
        raise InputError(f"{path}: damaged XML. ({one_line(error)})") from None
    page_format = _format_of(root, path)
    pages = root.findall(".//{*}Page")
    if len(pages) != 1:
        raise InputError(f"{path}: it must describe one page, not {len(pages)}.")
    read, sizes = {
        "page": (_regions_of_page_xml, ("imageWidth", "imageHeight")),
        "alto": (_regions_of_alto, ("WIDTH", "HEIGHT")),
    }[page_format]
    try:
        width, height = (max(0.0, parse_number(pages[0].get(name, "").strip() or "0")) for name in sizes)
    except InputError as error:
        raise InputError(f"{path}: damaged {_local_name(root)}. ({error})") from None
    regions = read(pages[0], words)
    unit, space = _measures_of_alto(root, pages[0]) if page_format == "alto" else ("pixel", [])
    image = _image_of(root, pages[0])
    return Page(image, width, height, regions, format=page_format, source=source, unit=unit, print_space=space)


def parse_xml(source: bytes, name: str | None = None) -> "_Element":
    """The root element of an XML file; `name` is what errors (`XMLSyntaxError`) call it."""
    from lxml import etree

    return etree.fromstring(source, etree.XMLParser(**SAFE), base_url=name)


@dataclass(frozen=True)
class PageHead:
    """What stands in a PAGE-XML or ALTO file before the page itself: its format, and the name of the image or `""`."""

    format: Literal["page", "alto"]
    image: str


def read_head(path: str | os.PathLike) -> PageHead:
    """
    Reads a PAGE-XML or ALTO file as far as its page begins.

    Raises:
        As `read_page`, but for what is wrong further on.
    """
    etree = _import_lxml()
    with opened_file(path) as handle:
        elements = (element for _, element in etree.iterparse(handle, events=("start",), **SAFE))
        try:
            root = next(elements)
            page_format = _format_of(root, path)
            for element in elements:
                if _local_name(element) == "Page":
                    return PageHead(page_format, _image_of(root, element))
        except etree.XMLSyntaxError as error:
            raise InputError(f"{path}: damaged XML. ({one_line(error)})") from None
    raise InputError(f"{path}: it must describe one page, not 0.")


def _import_lxml():
    try:
        from lxml import etree
    except ModuleNotFoundError:
        raise ModuleNotFoundError("PAGE-XML and ALTO need lxml: pip install 'htr-convtext[pages]'") from None
    return etree


def _format_of(root: "_Element", path: str | os.PathLike) -> Literal["page", "alto"]:
    kind = _local_name(root)
    if kind not in FORMATS:
        raise NotAPageError(f"{path}: neither PAGE-XML nor ALTO, but <{kind}>.")
    return FORMATS[kind]


def _local_name(element: "_Element") -> str:
    return element.tag.rpartition("}")[2]


def _image_of(root: "_Element", page: "_Element") -> str:
    """The name of the image without a folder, be it written as on Windows or elsewhere; empty if there is none."""
    name = page.get("imageFilename") or root.findtext(".//{*}sourceImageInformation/{*}fileName") or ""
    return name.strip().replace("\\", "/").rpartition("/")[2]


def root_name(path: str | os.PathLike) -> str | None:
    """The name of the root element of a file without its namespace; `None` if it is no XML."""
    from lxml import etree

    try:
        with opened_file(path) as handle:
            _, root = next(etree.iterparse(handle, events=("start",), resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    return _local_name(root)


def _regions_of_page_xml(page: "_Element", words: bool) -> list[Region]:
    return _regions(page, words, "Word", _text_of_page_xml, _polygon_of_page_xml, _baseline_of_page_xml)


def _regions_of_alto(page: "_Element", words: bool) -> list[Region]:
    return _regions(page, words, "String", _text_of_alto, _polygon_of_alto, _baseline_of_alto)


def _regions(
    page: "_Element",
    words: bool,
    word_name: str,
    text_of: Callable[["_Element"], str],
    polygon_of: Callable[["_Element"], Points],
    baseline_of: Callable[["_Element"], Points],
) -> list[Region]:
    """
    The regions of a page with their lines, or with the words of these.

    Args:
        word_name: The name of the elements that are words.
        text_of: Gives the text of a line or a word, `polygon_of` its polygon, or an `InputError`.
        baseline_of: Gives the baseline of a line, or an `InputError`.
    """
    ids = line_ids(page)

    def read(element: "_Element", identifier: str, baseline: Callable[[Points], Points]) -> PageLine:
        """A line or a word; damaged coordinates cost no more than that."""
        try:
            polygon = polygon_of(element)
            return PageLine(identifier, text_of(element), polygon, baseline(polygon))
        except InputError as error:
            return PageLine(identifier, text_of(element), [], [], error=f"damaged coordinates ({error})")

    def read_line(element: "_Element") -> list[PageLine]:
        line = read(element, ids[element], lambda _: baseline_of(element))
        if not words:
            return [line]
        baseline = line.baseline
        if not baseline and has_area(line.polygon):
            baseline = [(x, y) for x, y in course_of(line.polygon).tolist()]
        return [
            # A baseline stands for a polygon that has no area: here it would be that of the whole line.
            read(word, f"{line.id}_word_{number}", lambda polygon: baseline if has_area(polygon) else [])
            for number, word in enumerate(element.findall(f"{{*}}{word_name}"), 1)
        ]

    def outline(element: "_Element") -> Points:
        try:
            return polygon_of(element)
        except InputError:
            return []  # its lines have their own

    return [
        Region(parent.get("id") or parent.get("ID") or "", outline(parent), list(chain(*map(read_line, lines))))
        for parent, lines in lines_in_order(page)
    ]


def line_ids(page: "_Element") -> dict["_Element", str]:
    """The lines of a page and their ids; one without, or with that of another, is named by its place in the file."""
    lines = list(page.iterfind(".//{*}TextLine"))
    first: dict[str, _Element] = {}
    for line in lines:
        first.setdefault(line.get("id") or line.get("ID") or "", line)
    ids: dict[_Element, str] = {}
    for number, line in enumerate(lines, 1):
        identifier = line.get("id") or line.get("ID") or ""
        if not identifier or first[identifier] is not line:
            identifier = f"line_{number}"
            while identifier in first:
                identifier += "_"
            first[identifier] = line
        ids[line] = identifier
    return ids


def _text_of_page_xml(line: "_Element") -> str:
    """The text with the lowest index, or the first one; without any that of the words."""
    texts = [text for text in line.findall("{*}TextEquiv") if text.findtext("{*}Unicode")]
    if texts:
        return min(texts, key=lambda text: whole_number(text.get("index"), 0)).findtext("{*}Unicode")
    return " ".join(filter(None, map(_text_of_page_xml, line.findall("{*}Word"))))


def _polygon_of_page_xml(element: "_Element") -> Points:
    """The polygon of a region, line or word, or else the box around its words."""
    return _or_around_words(_points_of_page_xml(element.find("{*}Coords")), element, "Word", _polygon_of_page_xml)


def _baseline_of_page_xml(line: "_Element") -> Points:
    return _points_of_page_xml(line.find("{*}Baseline"))


def _points_of_page_xml(element: "_Element | None") -> Points:
    if element is None:
        return []
    if element.get("points") is None:  # until 2010
        return [(parse_number(point.get("x")), parse_number(point.get("y"))) for point in element.findall("{*}Point")]
    return parse_points(element.get("points"))


def _or_around_words(
    polygon: Points, line: "_Element", name: str, polygon_of: Callable[["_Element"], Points]
) -> Points:
    """A polygon, or if it has no area the box around the words, the elements of this name, if there are any."""
    words = [] if has_area(polygon) else line.findall(f"{{*}}{name}")
    points = [point for word in words for point in polygon_of(word)]
    return box_points(*bounding_box(points)) if points else polygon


def _text_of_alto(line: "_Element") -> str:
    """Strings and hyphens, apart where there is an `SP`; a line without any `SP` has a space between its strings."""
    if _local_name(line) == "String":  # a word
        return line.get("CONTENT", "")
    between = "" if line.find("{*}SP") is not None else " "
    text = ""
    for part in line.iterfind("{*}*"):
        kind = _local_name(part)
        if kind == "SP":
            text += " "
        elif kind == "String":
            text += (between if text else "") + part.get("CONTENT", "")
        elif kind == "HYP":
            text += part.get("CONTENT", "")
    return text


def _polygon_of_alto(element: "_Element") -> Points:
    """The polygon of a block, line or word, or else its box, or else the box around its words."""
    polygon = element.find("{*}Shape/{*}Polygon")
    points = parse_points(polygon.get("POINTS", "")) if polygon is not None else []
    return _or_around_words(points or _box_of_alto(element), element, "String", _polygon_of_alto)


def _measures_of_alto(root: "_Element", page: "_Element") -> tuple[str, Points]:
    """The unit, and the box around the print space and the margins, empty if it is not known."""
    points = []
    for part in page.iterchildren("{*}*"):
        try:
            points += _box_of_alto(part)
        except InputError:
            return _unit_of_alto(root), []
    return _unit_of_alto(root), box_points(*bounding_box(points)) if points else []


def _unit_of_alto(root: "_Element") -> str:
    return (root.findtext("{*}Description/{*}MeasurementUnit") or "").strip().lower() or "pixel"


def _box_of_alto(element: "_Element") -> Points:
    """The box of an element; empty if one of its numbers is missing."""
    numbers = [element.get(name, "").strip() for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if not all(numbers):
        return []
    left, top, width, height = map(parse_number, numbers)
    return box_points(left, top, left + width, top + height)


def _baseline_of_alto(line: "_Element") -> Points:
    baseline = line.get("BASELINE", "").strip()
    if not re.fullmatch(r"[\d.]+", baseline):
        return parse_points(baseline)
    # Until version 4 one height for the whole line.
    polygon = _polygon_of_alto(line)
    if not polygon:
        return []
    left, _, right, _ = bounding_box(polygon)
    height = parse_number(baseline)
    return [(left, height), (right, height)]
