"""The reading order that PAGE-XML and ALTO files state, of regions and lines."""

import re
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from lxml.etree import _Element

LAST = float("inf")


def whole_number(text: str | None, missing: int) -> int:
    """An index; `missing` if it is empty, or none."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return missing


def lines_in_order(page: "_Element") -> list[tuple["_Element", list["_Element"]]]:
    """
    The elements that have lines, and these: by the `ReadingOrder` of the file, or else by ALTO's `IDNEXT`; the lines
    also by Transkribus' `custom`. What no order names comes last, as it stands in the file.
    """
    found: dict[_Element, list[_Element]] = {}
    for line in page.iterfind(".//{*}TextLine"):
        found.setdefault(line.getparent(), []).append(line)
    place = _places(page)
    for lines in found.values():
        indices = [re.search(r"readingOrder\s*{\s*index:\s*(\d+)", line.get("custom", "")) for line in lines]
        if all(indices):
            lines.sort(key=dict(zip(lines, (int(index[1]) for index in indices), strict=True)).get)
        lines.sort(key=place)
    # A region that is not named itself stands where the first of its lines does.
    return sorted(found.items(), key=lambda item: min(place(item[0]), place(item[1][0])))


def _places(page: "_Element") -> Callable[["_Element"], float]:
    """The place of an element: its own in the reading order, or that of what it lies in; `LAST` if it has none."""
    places: dict[str, int] = {}
    numbers = count()

    def collect(group: "_Element") -> None:
        # One without an index stays where it stands in the file.
        indexed = enumerate(group.iterchildren("{*}*"))
        for _, child in sorted(indexed, key=lambda item: whole_number(item[1].get("index"), item[0])):
            name = child.get("regionRef") or child.get("REF")
            if name:
                places.setdefault(name, next(numbers))
            collect(child)

    # In PAGE-XML it is in the page, in ALTO (4.3) beside the layout.
    for group in page.getroottree().getroot().iterfind(".//{*}ReadingOrder"):
        collect(group)
    if not places:
        for name in _chained(page):
            places.setdefault(name, next(numbers))

    def place(element: "_Element") -> float:
        around = (places.get(each.get("id") or each.get("ID")) for each in (element, *element.iterancestors()))
        return next((found for found in around if found is not None), LAST)

    return place


def _chained(page: "_Element") -> list[str]:
    """The blocks of ALTO by their `IDNEXT`: each chain from its first block on, where that stands in the file."""
    blocks = page.findall(".//{*}*[@ID]")
    nexts = {block.get("ID"): block.get("IDNEXT") for block in blocks if block.get("IDNEXT")}
    if not nexts:
        return []
    chained = {*nexts, *nexts.values()}
    following = {}
    for block in blocks:
        # One in a composed block that is in a chain stands where that does.
        is_free = block.tag.endswith("TextBlock") and not any(
            around.get("ID") in chained for around in block.iterancestors()
        )
        if block.get("ID") in chained or is_free:
            following[block.get("ID")] = nexts.get(block.get("ID"))
    led_to = {after for block, after in following.items() if after != block}
    order: dict[str, None] = {}
    # Then those of rings, which have no first block.
    for name in [*(name for name in following if name not in led_to), *following]:
        while name in following and name not in order:
            order[name] = None
            name = following[name]
    return list(order)
