"""What is wrong with the form of a PAGE-XML or ALTO file, as far as every version of their schemas has it."""

import re
from collections import Counter

from lxml import etree


NAME = re.compile(r"[^\W\d][\w.\-\u00b7]*")  # what xs:ID takes, nearly: https://www.w3.org/TR/xml-names/#NT-NCName
POINTS = re.compile(r"(\d+,\d+ )+\d+,\d+")
# What elements must have: by their names attributes and children.
REQUIRED = {
    "page": {
        "PcGts": ((), ("Metadata",)),
        "Page": (("imageFilename", "imageWidth", "imageHeight"), ()),
        "TextRegion": (("id",), ("Coords",)),
        "TextLine": (("id",), ("Coords",)),
        "Word": (("id",), ("Coords",)),
        "RegionRefIndexed": (("regionRef", "index"), ()),
    },
    "alto": {
        "Page": (("ID", "PHYSICAL_IMG_NR"), ()),
        "TextBlock": (("ID",), ()),
        "String": (("CONTENT",), ()),
    },
}


def is_name(identifier: str) -> bool:
    """Whether XML takes it as an id."""
    return NAME.fullmatch(identifier) is not None


def faults_of(root: etree._Element, kind: str) -> list[str]:
    """Why a file is not valid, each kind of fault once with its first place; empty if none of these is found."""
    faults: dict[str, str] = {}
    required = REQUIRED[kind]
    attribute = {"page": "id", "alto": "ID"}[kind]
    for element in root.iter("{*}*"):
        name = etree.QName(element).localname
        where = f"{name} {element.get(attribute)}" if element.get(attribute) else f"{name} in row {element.sourceline}"
        attributes, children = required.get(name, ((), ()))
        for each in attributes:
            if element.get(each) is None:
                faults.setdefault(f"{name} without {each}", where)
        for each in children:
            if element.find(f"{{*}}{each}") is None:
                faults.setdefault(f"{name} without {each}", where)
        if kind == "page" and element.get("points") is not None and not POINTS.fullmatch(element.get("points")):
            faults.setdefault(f"{name} with points {element.get('points')[:40]!r}", _place(element.getparent(), where))
    ids = Counter(element.get(attribute) for element in root.iter("{*}*") if element.get(attribute) is not None)
    for identifier, count in ids.items():
        if not is_name(identifier):
            faults.setdefault("an id that XML does not take", repr(identifier))
        if count > 1:
            faults.setdefault("an id that several elements have", repr(identifier))
    if kind == "page":
        for reference in root.iter("{*}RegionRefIndexed", "{*}RegionRef"):
            if reference.get("regionRef") is not None and reference.get("regionRef") not in ids:
                faults.setdefault("a reference to no region", repr(reference.get("regionRef")))
    return [f"{fault} ({where})" for fault, where in faults.items()]


def _place(element: etree._Element | None, otherwise: str) -> str:
    if element is None or not element.get("id"):
        return otherwise
    return f"{etree.QName(element).localname} {element.get('id')}"
