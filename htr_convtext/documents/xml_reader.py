"""Pages in PAGE-XML and ALTO, of every version: regions and lines with their text, polygon and baseline."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from htr_convtext.errors import InputError
from htr_convtext.folder_files import opened_file, read_file
from processing.errors import one_line

from .geometry import Points, course_of, has_area, parse_number, parse_points
from .page import Page, PageLine, Region


if TYPE_CHECKING:
    from lxml.etree import _Element

# The formats by the names of their root elements.
FORMATS: dict[str, Literal["page", "alto"]] = {"PcGts": "page", "alto": "alto"}
SAFE = {"resolve_entities": "internal", "no_network": True, "load_dtd": False}


class NotAPageError(InputError):
    """An XML file of another kind."""


def read_page(path: str | os.PathLike, words: bool = False) -> Page:
    """
    Reads a PAGE-XML or ALTO file. External entities are refused.

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
        width, height = (parse_number(pages[0].get(name, "0")) for name in sizes)
        regions = read(pages[0], words)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged {_local_name(root)}. ({error})") from None
    return Page(_image_of(root, pages[0]), width, height, regions, format=page_format, source=source)


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


def _word_lines(line: PageLine, words: Iterable[tuple[str, Points]]) -> list[PageLine]:
    """The words of a line, given by text and polygon, as lines."""
    baseline = line.baseline
    if not baseline and has_area(line.polygon):
        baseline = [(x, y) for x, y in course_of(line.polygon).tolist()]
    return [
        # A baseline stands for a polygon that has no area: here it would be that of the whole line.
        PageLine(f"{line.id}_word_{number}", text, polygon, baseline if has_area(polygon) else [])
        for number, (text, polygon) in enumerate(words, 1)
    ]


def _regions_of_page_xml(page: "_Element", words: bool) -> list[Region]:
    def read_line(line: "_Element") -> list[PageLine]:
        whole = PageLine(
            id=ids[line],
            text=_text_of_page_xml(line),
            polygon=_points_of_page_xml(line.find("{*}Coords")),
            baseline=_points_of_page_xml(line.find("{*}Baseline")),
        )
        if not words:
            return [whole]
        parts = line.findall("{*}Word")
        return _word_lines(whole, [(_text_of_page_xml(p), _points_of_page_xml(p.find("{*}Coords"))) for p in parts])

    ids = line_ids(page)
    order = _reading_order(page)
    found = sorted(_lines_by_parent(page), key=lambda item: order(item[0]))
    return [
        Region(parent.get("id", ""), _points_of_page_xml(parent.find("{*}Coords")), list(chain(*map(read_line, lines))))
        for parent, lines in found
    ]


def _reading_order(page: "_Element") -> Callable[["_Element"], int]:
    """The place of an element: its own in the `ReadingOrder`, or that of what it lies in; after all if it has none."""
    places: dict[str | None, int] = {}

    def collect(group: "_Element") -> None:
        for child in sorted(group.iterchildren("{*}*"), key=lambda child: int(child.get("index", 0))):
            if child.get("regionRef"):
                places.setdefault(child.get("regionRef"), len(places))
            collect(child)

    for group in page.iterfind("{*}ReadingOrder"):
        collect(group)

    def place(element: "_Element") -> int:
        around = (places.get(each.get("id")) for each in (element, *element.iterancestors()))
        return next((found for found in around if found is not None), len(places))

    return place


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


def _lines_by_parent(page: "_Element") -> list[tuple["_Element", list["_Element"]]]:
    """The elements that have lines, and these, in the order of the file or, if it is there, that of Transkribus."""
    found: dict[_Element, list[_Element]] = {}
    for line in page.iterfind(".//{*}TextLine"):
        found.setdefault(line.getparent(), []).append(line)
    for lines in found.values():
        places = [re.search(r"readingOrder\s*{\s*index:\s*(\d+)", line.get("custom", "")) for line in lines]
        if all(places):
            lines.sort(key=dict(zip(lines, (int(place[1]) for place in places), strict=True)).get)
    return list(found.items())


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
        return [(parse_number(point.get("x")), parse_number(point.get("y"))) for point in element.findall("{*}Point")]
    return parse_points(element.get("points"))


def _regions_of_alto(page: "_Element", words: bool) -> list[Region]:
    def read_line(line: "_Element") -> list[PageLine]:
        whole = PageLine(
            id=ids[line],
            text=_text_of_alto(line),
            polygon=_polygon_of_alto(line),
            baseline=_baseline_of_alto(line),
        )
        if not words:
            return [whole]
        return _word_lines(whole, [(p.get("CONTENT", ""), _polygon_of_alto(p)) for p in line.findall("{*}String")])

    ids = line_ids(page)
    return [
        Region(parent.get("ID", ""), _polygon_of_alto(parent), list(chain(*map(read_line, lines))))
        for parent, lines in _lines_by_parent(page)
    ]


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
    left, top, width, height = (parse_number(line.get(name, "0")) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    right, bottom = left + width, top + height
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _baseline_of_alto(line: "_Element") -> Points:
    baseline = line.get("BASELINE", "")
    if re.fullmatch(r"[\d.]+", baseline.strip()):  # until version 4 one height for the whole line
        left, width, height = (parse_number(text) for text in (line.get("HPOS", "0"), line.get("WIDTH", "0"), baseline))
        return [(left, height), (left + width, height)]
    return parse_points(baseline)
