"""What a data set holds: counts, distributions, duplicates and what was left out, as JSON and as Markdown."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from PIL import Image

from htr_convtext.families import DEFAULT_FAMILY
from processing.tokenization_characters import describe


QUANTILES = {"min": 0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1}
EXAMPLES = 20
FRAMES = "more characters than frames"


@dataclass
class SplitMeasures:
    """One value for each line of a split, sizes in pixels as stored; and the names of lines too narrow to train on."""

    texts: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    narrow: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        values = {"characters": [len(text) for text in self.texts], "width": self.widths, "height": self.heights}
        quantiles = {name: quantiles_of(numbers) for name, numbers in values.items()}
        return {"lines": len(self.texts), **quantiles, FRAMES: {"count": len(self.narrow), "lines": self.narrow}}


class DataReport:
    """
    Collects the facts about some splits.

    Args:
        charset: Characters to compare the texts with, if any.
    """

    def __init__(self, charset: str | None = None):
        self.charset = charset
        self.notes: list[str] = []  # what was done with the data set as a whole
        self.splits: dict[str, SplitMeasures] = {}
        self.left_out: dict[str, list[str]] = defaultdict(list)  # reason → names
        self.unreadable = 0  # of these, what could not be opened
        self.characters: Counter[str] = Counter()
        self.outside: dict[str, list[str]] = defaultdict(list)  # character → some lines
        self.changed_texts = 0
        self.dropped_characters: Counter[str] = Counter()  # that no XML can hold → lines that had them
        self.dropped_duplicates = 0
        self.duplicates: dict[tuple[str, ...], list[str]] = defaultdict(list)  # one or two splits → pairs of names
        self._images: dict[bytes, dict[str, str]] = defaultdict(dict)  # digest → split → the first name

    def leave_out(self, name: str, reason: str, is_unreadable: bool = False) -> None:
        """Notes an item that is no line of the data set, and whether it is one that could not be opened."""
        self.left_out[reason].append(name)
        self.unreadable += is_unreadable

    def is_duplicate(self, split: str, name: str, image: Image.Image) -> bool:
        """Whether an image of exactly these pixels was seen before, in this or another split; each case is noted."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16, salt=b"%dx%d" % image.size)
        seen = self._images[digest.digest()]
        for other, first in {split: seen[split]}.items() if split in seen else seen.items():
            self.duplicates[tuple(sorted({split, other}))].append(f"{name} = {first}")
        duplicate = bool(seen)
        seen.setdefault(split, name)
        return duplicate

    def add(self, split: str, name: str, text: str, width: int, height: int) -> None:
        """Notes a line of the data set, with the size of its image in pixels."""
        measures = self.splits.setdefault(split, SplitMeasures())
        measures.texts.append(text)
        measures.widths.append(width)
        measures.heights.append(height)
        if DEFAULT_FAMILY.is_narrow(text, height, width):
            measures.narrow.append(name)
        self.characters.update(text)
        if self.charset is not None:
            for character in set(text) - set(self.charset):
                if len(self.outside[character]) < 3:
                    self.outside[character].append(f"{name}: {text}")

    @property
    def lines(self) -> int:
        return sum(len(measures.texts) for measures in self.splits.values())

    def identical_texts(self) -> dict[str, int]:
        """For two splits, how many different texts are in both."""
        texts = {split: set(measures.texts) for split, measures in self.splits.items()}
        return {f"{a} and {b}": len(texts[a] & texts[b]) for a, b in combinations(texts, 2)}

    def outside_characters(self) -> list[tuple[str, list[str]]]:
        """The characters outside the charset with example lines, the most frequent first."""
        return sorted(self.outside.items(), key=lambda item: -self.characters[item[0]])

    def as_dict(self) -> dict:
        """Everything, with all names, to write as JSON."""
        outside = {
            character: {"count": self.characters[character], "lines": lines}
            for character, lines in self.outside_characters()
        }
        return {
            "notes": self.notes,
            "splits": {split: measures.as_dict() for split, measures in self.splits.items()},
            "charset": dict(self.characters.most_common()),
            "outside_charset": None if self.charset is None else outside,
            "duplicate_images": {" and ".join(splits): names for splits, names in self.duplicates.items()},
            "dropped_duplicates": self.dropped_duplicates,
            "identical_texts": self.identical_texts(),
            "changed_texts": self.changed_texts,
            "dropped_characters": dict(self.dropped_characters),
            "left_out": dict(self.left_out),
        }

    def as_markdown(self) -> str:
        """The same to read, with the first names of each kind."""
        parts = ["# Data report", *self.notes]
        for split, measures in self.splits.items():
            facts = measures.as_dict()
            parts.append(f"## {split}: {facts['lines']} lines")
            parts.append(table(["", *QUANTILES], [[n, *facts[n].values()] for n in ("characters", "width", "height")]))
            parts.append(f"{FRAMES.capitalize()} {DEFAULT_FAMILY.default_frames}: {listed(measures.narrow)}")
        parts.append("Width and height in pixels, as stored.\n\n## Duplicates")
        for splits, names in self.duplicates.items():
            where = f"within {splits[0]}" if len(splits) == 1 else f"**between {' and '.join(splits)}**"
            parts.append(f"Same image {where}: {listed(names)}")
        parts.append(f"Dropped: {self.dropped_duplicates}" if self.duplicates else "No image occurs twice.")
        parts += [f"Different texts in both {pair}: {count}" for pair, count in self.identical_texts().items()]
        parts.append("## Left out")
        parts += [f"{reason}: {listed(names)}" for reason, names in self.left_out.items()] or ["Nothing."]
        if self.charset is not None:
            parts.append("## Characters outside the charset")
            rows = [[describe(c), self.characters[c], lines[0]] for c, lines in self.outside_characters()]
            parts.append(table(["character", "count", "for example"], rows) if rows else "None.")
        parts.append(f"## Charset: {len(self.characters)} characters")
        parts.append(f"Texts changed by the text policy: {self.changed_texts}")
        dropped = ", ".join(f"{name} in {count} lines" for name, count in self.dropped_characters.most_common())
        parts.append(f"Characters that PAGE-XML and ALTO cannot hold, dropped: {dropped or 'none'}")
        parts.append(table(["character", "count"], [[describe(c), n] for c, n in self.characters.most_common()]))
        return "\n\n".join(parts) + "\n"

    def summary(self) -> str:
        """A few lines for the terminal."""
        rows = [f"{split:<12}{len(measures.texts):>8} lines" for split, measures in self.splits.items()]
        rows.append(f"{'charset':<12}{len(self.characters):>8} characters")
        if self.charset is not None:
            rows.append(f"{'outside':<12}{len(self.outside):>8} characters that the given charset lacks")
        rows += [f"{'left out':<12}{len(names):>8} × {reason}" for reason, names in self.left_out.items()]
        rows += [
            f"{'dropped':<12}{count:>8} × {name}, which PAGE-XML and ALTO cannot hold"
            for name, count in self.dropped_characters.most_common()
        ]
        for splits, names in self.duplicates.items():
            where = "within " + splits[0] if len(splits) == 1 else "BETWEEN " + " AND ".join(splits)
            rows.append(f"{'duplicates':<12}{len(names):>8} × the same image {where}")
        narrow = sum(len(measures.narrow) for measures in self.splits.values())
        return "\n".join([*rows, f"{'narrow':<12}{narrow:>8} × {FRAMES}"])


def quantiles_of(numbers: list[int]) -> dict[str, int]:
    """Selected quantiles; each is one of the numbers."""
    values = np.quantile(numbers, list(QUANTILES.values()), method="nearest").tolist()
    return dict(zip(QUANTILES, values, strict=True))


def listed(names: list[str]) -> str:
    """The number of names, and the first of them."""
    if not names:
        return "0"
    return f"{len(names)} ({'; '.join(names[:EXAMPLES])}{'; …' * (len(names) > EXAMPLES)})"


def table(header: list[str], rows: list[list]) -> str:
    """A Markdown table; its cells may hold anything."""
    lines = [header, ["---"] * len(header), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
