"""PAGE-XML 2019 and ALTO 4 of what was read on a page, or the file it came from with the new text."""

import logging
import re
from collections.abc import Callable, Set
from dataclasses import replace
from itertools import chain, count
from typing import Literal

from lxml import etree

from htr_convtext import __version__
from htr_convtext.xml_characters import drop_unwritable

from .geometry import Points, bounding_box, scale_points
from .page import Page, PageLine, Region
from .provenance import CREATOR, add_child, now, record_in_alto, record_in_page_xml
from .xml_faults import faults_of, is_name
from .xml_reader import line_ids, parse_xml


PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
ALTO_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
DOUBTFUL = "doubtful"  # the tag of words in ALTO
XSI = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
logger = logging.getLogger(__name__)
OWN_IDS = ("order", "page_1", "processing_1", DOUBTFUL)  # of elements that new files have


def to_xml(page: Page, kind: Literal["page", "alto"], min_confidence: float | None = None) -> bytes:
    """
    A page as PAGE-XML 2019 or ALTO 4, in UTF-8, with what read it in its metadata.

    If the page came from a file of that kind, this is that file, of its own version: the lines that were read have the
    new text, words and confidences, everything else is as it was. If it was not valid, neither is this; a warning says
    why. Characters that XML cannot hold are left out.

    Args:
        min_confidence: Marks the words (and lines without words) that are less sure: in PAGE-XML with Transkribus' tag
            `unclear` in the `custom` of their line, and a line in which nothing was read with `gap`; in ALTO, from
            version 2, with the tag `doubtful`.
    """
    page = _writable(page)
    build, fill, mark = {
        "page": (_new_page_xml, _fill_page_xml, _mark_page_xml),
        "alto": (_new_alto, _fill_alto, _mark_alto),
    }[kind]
    is_source = page.source is not None and page.format == kind
    if not is_source:
        page = _with_unique_ids(page)
    root = parse_xml(page.source) if is_source else build(page)
    element = root.find(".//{*}Page")
    scale = _scale_to(element, page) if is_source else list
    lines = {line.id: line for line in page.lines if line.score is not None or not is_source}
    filled = {line: lines[name] for line, name in line_ids(element).items() if name in lines}
    for line_element in filled:
        _empty(line_element)
    taken = {each.get("id") or each.get("ID") for each in root.iter("{*}*")}
    for line_element, line in filled.items():
        fill(line_element, line, scale, _word_ids(line, taken))
        mark(line_element, line, min_confidence)
    if kind == "page":
        _update_page_xml(root, page)
        record_in_page_xml(root.find("{*}Metadata"), page)
    elif page.provenance is not None or not is_source:
        record_in_alto(root, page)
    if not is_source:
        etree.indent(root)
    elif faults := faults_of(root, kind):
        name = {"page": "PAGE-XML", "alto": "ALTO"}[kind]
        logger.warning(
            "%s: its %s was not valid, and is not so as it is written: %s.", page.image, name, "; ".join(faults)
        )
    return etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8")


def _writable(page: Page) -> Page:
    """The page without the characters that XML cannot hold: a model may have learned some, a file be named with one."""
    lines = [
        replace(
            line,
            text=drop_unwritable(line.text),
            words=[replace(word, text=drop_unwritable(word.text)) for word in line.words],
        )
        for line in page.lines
    ]
    return replace(page.with_lines(lines), image=drop_unwritable(page.image))


def _with_unique_ids(page: Page) -> Page:
    """The page with an id for each line and region that nothing else in the file has, as XML wants it."""
    given = {part.id for part in (*page.regions, *page.lines)}
    taken = set(OWN_IDS)

    def unique(identifier: str, kind: str, words: int = 0) -> str:
        others = (name for number in count(1) if (name := f"{kind}_{number}") not in given)
        for name in chain(filter(is_name, [identifier]), others):
            own = {name, *(_word_id(name, number) for number in range(1, words + 1))}
            if taken.isdisjoint(own):
                taken.update(own)
                return name

    page = page.with_lines([replace(line, id=unique(line.id, "line", len(line.words))) for line in page.lines])
    return replace(page, regions=[replace(region, id=unique(region.id, "region")) for region in page.regions])


def _word_id(line_id: str, number: int) -> str:
    return f"{line_id}_w{number}"


def _word_ids(line: PageLine, taken: Set[str]) -> list[str]:
    """Ids for the words of a line that nothing else in the file has."""
    stem = line.id
    while True:
        ids = [_word_id(stem, number) for number in range(1, len(line.words) + 1)]
        if taken.isdisjoint(ids):
            return ids
        stem += "_"


def _empty(line: etree._Element) -> None:
    """Removes the text and words of a line."""
    for name in ("Word", "TextEquiv", "String", "SP", "HYP"):
        for child in line.findall(f"{{*}}{name}"):
            line.remove(child)


def _scale_to(element: etree._Element, page: Page) -> Callable[[Points], Points]:
    """From the units of `page` to those of the file that it came from: by its `units`, or else by the sizes of both."""
    width = float(element.get("imageWidth") or element.get("WIDTH") or 0) or page.width
    height = float(element.get("imageHeight") or element.get("HEIGHT") or 0) or page.height
    across, down = page.units or (width / page.width, height / page.height)
    return lambda points: scale_points(points, across, down)


def _outline(region: Region) -> Points:
    """The polygon of a region, or else a box around its lines."""
    if region.polygon:
        return region.polygon
    left, top, right, bottom = bounding_box([point for line in region.lines for point in line.polygon] or [(0, 0)])
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


# --- PAGE-XML ---


def _new_page_xml(page: Page) -> etree._Element:
    def tag(name: str) -> str:
        return f"{{{PAGE_NAMESPACE}}}{name}"

    root = etree.Element(tag("PcGts"), nsmap={None: PAGE_NAMESPACE})
    root.set(XSI, f"{PAGE_NAMESPACE} {PAGE_NAMESPACE}/pagecontent.xsd")
    metadata = etree.SubElement(root, tag("Metadata"))
    for name, text in (("Creator", f"{CREATOR} {__version__}"), ("Created", now()), ("LastChange", now())):
        etree.SubElement(metadata, tag(name)).text = text
    size = {"imageWidth": str(round(page.width)), "imageHeight": str(round(page.height))}
    element = etree.SubElement(root, tag("Page"), imageFilename=page.image, **size)
    if page.regions:
        group = etree.SubElement(etree.SubElement(element, tag("ReadingOrder")), tag("OrderedGroup"), id="order")
    for index, region in enumerate(page.regions):
        etree.SubElement(group, tag("RegionRefIndexed"), index=str(index), regionRef=region.id)
        region_element = etree.SubElement(element, tag("TextRegion"), id=region.id)
        _add_page_xml_points(region_element, "Coords", _outline(region))
        for line in region.lines:
            line_element = etree.SubElement(region_element, tag("TextLine"), id=line.id)
            _add_page_xml_points(line_element, "Coords", line.polygon)
            if line.baseline:
                _add_page_xml_points(line_element, "Baseline", line.baseline)
    return root


def _add_page_xml_points(parent: etree._Element, name: str, points: Points) -> None:
    """Points as whole numbers, two at least, as the schema wants them; as elements where it is older than 2013."""
    element = add_child(parent, name)
    whole = [(max(0, round(x)), max(0, round(y))) for x, y in points] or [(0, 0)]
    whole = whole * 2 if len(whole) == 1 else whole
    namespace = etree.QName(parent).namespace or ""
    if "/2009-" in namespace or "/2010-" in namespace:
        for x, y in whole:
            add_child(element, "Point", x=str(x), y=str(y))
    else:
        element.set("points", " ".join(f"{x},{y}" for x, y in whole))


def _fill_page_xml(
    element: etree._Element, line: PageLine, scale: Callable[[Points], Points], word_ids: list[str]
) -> None:
    before = [element.find(f"{{*}}{name}") for name in ("AlternativeImage", "Coords", "Baseline")]
    place = max((element.index(child) + 1 for child in before if child is not None), default=0)
    added = []
    for word, identifier in zip(line.words, word_ids, strict=True):
        word_element = add_child(element, "Word", id=identifier)
        _add_page_xml_points(word_element, "Coords", scale(word.polygon))
        _add_page_xml_text(word_element, word.text, word.score)
        added.append(word_element)
    added.append(_add_page_xml_text(element, line.text, line.certainty))
    for offset, child in enumerate(added):
        element.insert(place + offset, child)


def _mark_page_xml(element: etree._Element, line: PageLine, min_confidence: float | None) -> None:
    """Marks what is doubtful, in place of the marks of the text that was there before."""
    marks = [re.sub(r"\b(unclear|gap)\s*\{[^}]*\}\s*", "", element.get("custom", "")).strip()]
    for start, end in [] if min_confidence is None else line.doubtful_parts(min_confidence):
        marks.append(f"{'unclear' if start < end else 'gap'} {{offset:{start}; length:{end - start};}}")
    element.attrib.pop("custom", None)
    if any(marks):
        element.set("custom", " ".join(filter(None, marks)))


def _add_page_xml_text(parent: etree._Element, text: str, conf: float | None) -> etree._Element:
    element = add_child(parent, "TextEquiv")
    if conf is not None:
        element.set("conf", f"{conf:.4f}")
    add_child(element, "Unicode").text = text
    return element


def _update_page_xml(root: etree._Element, page: Page) -> None:
    """The text of regions that have one of their own and of which lines were read, and the time of the change."""
    texts = {
        region.id: "\n".join(line.text for line in region.lines)
        for region in page.regions
        if any(line.score is not None for line in region.lines)
    }
    for region in root.iterfind(".//{*}TextRegion"):
        text = region.find("{*}TextEquiv/{*}Unicode")
        if text is not None and region.get("id") in texts:
            text.text = texts[region.get("id")]
    changed = root.find("{*}Metadata/{*}LastChange")
    if changed is not None:
        changed.text = now()


# --- ALTO ---


def _new_alto(page: Page) -> etree._Element:
    def tag(name: str) -> str:
        return f"{{{ALTO_NAMESPACE}}}{name}"

    root = etree.Element(tag("alto"), nsmap={None: ALTO_NAMESPACE})
    root.set(XSI, f"{ALTO_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd")
    description = etree.SubElement(root, tag("Description"))
    etree.SubElement(description, tag("MeasurementUnit")).text = "pixel"
    source = etree.SubElement(description, tag("sourceImageInformation"))
    etree.SubElement(source, tag("fileName")).text = page.image
    size = {"WIDTH": _number(page.width), "HEIGHT": _number(page.height)}
    layout = etree.SubElement(root, tag("Layout"))
    element = etree.SubElement(layout, tag("Page"), ID="page_1", PHYSICAL_IMG_NR="1", **size)
    space = etree.SubElement(element, tag("PrintSpace"), HPOS="0", VPOS="0", **size)
    for region in page.regions:
        block = etree.SubElement(space, tag("TextBlock"), ID=region.id)
        _set_alto_shape(block, _outline(region))
        for line in region.lines:
            line_element = etree.SubElement(block, tag("TextLine"), ID=line.id)
            if line.baseline:
                line_element.set("BASELINE", _alto_points(line.baseline))
            _set_alto_shape(line_element, line.polygon)
    return root


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _alto_points(points: Points) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _set_alto_shape(element: etree._Element, polygon: Points) -> None:
    if not polygon:
        return
    left, top, right, bottom = bounding_box(polygon)
    for name, value in (("HPOS", left), ("VPOS", top), ("WIDTH", right - left), ("HEIGHT", bottom - top)):
        element.set(name, _number(value))
    if "ns-v4" in (etree.QName(element).namespace or ""):  # before, not all of these elements have a shape
        add_child(add_child(element, "Shape"), "Polygon", POINTS=_alto_points(polygon))


def _fill_alto(element: etree._Element, line: PageLine, scale: Callable[[Points], Points], word_ids: list[str]) -> None:
    for word, identifier in zip(line.words, word_ids, strict=True):
        if element.find("{*}String") is not None:
            add_child(element, "SP")
        string = add_child(element, "String", ID=identifier, CONTENT=word.text)
        string.set("WC", f"{word.score:.4f}")
        _set_alto_shape(string, scale(word.polygon))
    if not line.words:  # the schema wants one
        add_child(element, "String", CONTENT=line.text)


def _mark_alto(element: etree._Element, line: PageLine, min_confidence: float | None) -> None:
    namespace = etree.QName(element).namespace or ""
    if min_confidence is None or "ccs-gmbh" in namespace:  # version 1 has no tags
        return
    strings = element.findall("{*}String")
    if line.words:
        doubtful = [word.score < min_confidence for word in line.words]
    else:
        doubtful = [bool(line.doubtful_parts(min_confidence))]
    for string, is_doubtful in zip(strings, doubtful, strict=True):
        if is_doubtful:
            string.set("TAGREFS", _doubtful_tag(element.getroottree().getroot()))


def _doubtful_tag(root: etree._Element) -> str:
    """The ID of the tag of doubtful words, which is made where there is none."""
    tags = root.find("{*}Tags")
    if tags is None:
        tags = add_child(root, "Tags")
        root.insert(root.index(root.find("{*}Layout")), tags)
    for tag in tags.findall("{*}OtherTag"):
        if tag.get("LABEL") == DOUBTFUL and tag.get("TYPE") == "confidence":
            return tag.get("ID")
    identifier, taken = DOUBTFUL, {element.get("ID") for element in root.iter("{*}*")}
    while identifier in taken:
        identifier += "_"
    add_child(tags, "OtherTag", ID=identifier, TYPE="confidence", LABEL=DOUBTFUL)
    return identifier
