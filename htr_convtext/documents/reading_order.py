"""The order in which lines are read: columns from left to right, and in each from top to bottom."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from .geometry import bounding_box
from .page import PageLine, Region


# Lines of at least this share of the text's width run across its columns.
SPANNING = 0.6


def order_regions(lines: list[PageLine]) -> list[Region]:
    """
    Gathers lines into regions in reading order, and names both: `r1`, `r1_l1` …

    Columns are told apart by white between them that no line crosses, but for headings and the like that run across.
    """
    if not lines:
        return []
    boxes = np.array([bounding_box(line.polygon) for line in lines])
    regions = []
    for number, block in enumerate(_blocks(boxes, np.arange(len(lines))), 1):
        members = [
            replace(lines[index], id=f"r{number}_l{place}") for place, index in enumerate(_rows(boxes, block), 1)
        ]
        corners = boxes[block]
        left, top = corners[:, :2].min(0).tolist()
        right, bottom = corners[:, 2:].max(0).tolist()
        outline = [(left, top), (right, top), (right, bottom), (left, bottom)]
        regions.append(Region(f"r{number}", outline, members))
    return regions


def _blocks(boxes: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Columns, and between them what runs across."""
    columns = _columns(boxes, members)
    if len(columns) > 1:
        return [block for column in columns for block in _blocks(boxes, column)]
    width = boxes[members, 2].max() - boxes[members, 0].min()
    spanning = members[boxes[members, 2] - boxes[members, 0] >= SPANNING * width]
    others = np.setdiff1d(members, spanning)
    if not len(spanning) or len(_columns(boxes, others)) < 2:
        return [members]
    blocks: list[np.ndarray] = []
    middle = boxes[:, 1::2].mean(1)
    borders = np.sort(middle[spanning])
    places = np.searchsorted(borders, middle[others])
    for place in range(len(borders) + 1):
        between = others[places == place]
        if len(between):
            blocks += _columns(boxes, between)
        if place < len(borders):
            across = spanning[np.argsort(middle[spanning])[place : place + 1]]
            # Text that is followed by nothing but more of its kind stays together.
            follows = blocks and not len(between) and np.isin(blocks[-1], spanning).all()
            blocks = [*blocks[:-1], np.concatenate([blocks[-1], across])] if follows else [*blocks, across]
    return blocks


def _columns(boxes: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Lines side by side, a white strip of half a line or more between them; the pieces of one line are none."""
    if not len(members):
        return []
    gap = 0.5 * np.median(boxes[members, 3] - boxes[members, 1])
    by_left = members[np.argsort(boxes[members, 0])]
    reach = np.maximum.accumulate(boxes[by_left, 2])
    starts = np.flatnonzero(boxes[by_left[1:], 0] > reach[:-1] + gap) + 1
    columns = np.split(by_left, starts)
    if len(columns) == len(members):
        return [members]
    for one, other in pairwise(columns):
        common = np.minimum(boxes[one, 3][:, None], boxes[other, 3]) - np.maximum(
            boxes[one, 1][:, None], boxes[other, 1]
        )
        beside = common > gap
        if max(beside.any(0).mean(), beside.any(1).mean()) < 0.5:
            return [members]
    return columns


def _rows(boxes: np.ndarray, members: np.ndarray) -> list[int]:
    """From top to bottom; lines that begin at about the same height from left to right."""
    middle = boxes[:, 1::2].mean(1)
    rows: list[list[int]] = []
    for index in members[np.argsort(middle[members])]:
        height = boxes[index, 3] - boxes[index, 1]
        if rows and middle[index] - np.mean(middle[rows[-1]]) < 0.4 * height:
            rows[-1].append(int(index))
        else:
            rows.append([int(index)])
    return [index for row in rows for index in sorted(row, key=lambda index: boxes[index, 0])]
