"""What a reader of some format hands to `load_lines`: the lines of one split, their images not opened yet."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset, Features, Image, IterableDataset, Value, config
from datasets.fingerprint import Hasher

from htr_convtext.whole_files import disk_errors


logger = logging.getLogger(__name__)


@dataclass
class LineItems:
    """
    The lines of one split.

    Args:
        items: Rows with `image` (`{"bytes": ..., "path": ...}`), `text` and what else is in `columns`, or whatever
            `generate` makes such rows of.
        columns: Names of the columns of text besides `text`.
        generate: Makes rows of some of the items, where that means to open files. `datasets` keeps its rows on the
            disk for the next time, by the items: they must change when the files do (`file_stamp`) and when the code
            does (`code_stamp`).
        skipped: Name and reason of everything that is left out.
        dropped: For each character that no XML can hold (`"U+0002"`) how many texts had it, before they were put here.
    """

    items: list[dict]
    columns: list[str] = field(default_factory=list)
    generate: Callable[[list[dict]], Iterator[dict]] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def dataset(self, streaming: bool = False) -> Dataset | IterableDataset:
        """The lines as a data set; `generate` runs once and now, or with `streaming` while the lines are read."""
        columns = {name: Value("string") for name in ["text", *self.columns]}
        features = Features({"image": Image(decode=False), **columns})
        if self.generate is None or not self.items:
            rows = {name: [item[name] for item in self.items] for name in features}
            lines = Dataset.from_dict(rows, features=features)
            return lines.to_iterable_dataset() if streaming else lines
        kind = IterableDataset if streaming else Dataset
        with disk_errors(config.HF_DATASETS_CACHE):
            return kind.from_generator(self.generate, gen_kwargs={"items": self.items}, features=features)


def counted(reasons: Mapping[str, int]) -> str:
    """Reasons with their numbers, the most frequent first: `12 × no page image, 3 × no text`."""
    return ", ".join(f"{count} × {reason}" for reason, count in Counter(reasons).most_common())


def report_skipped(where: str, skipped: list[tuple[str, str]], what: str = "left out") -> None:
    """Logs a warning for each reason, with the first of the names."""
    for reason, count in Counter(reason for _, reason in skipped).items():
        names = [name for name, other in skipped if other == reason]
        logger.warning("%s: %d %s, %s: %s%s", where, count, what, reason, ", ".join(names[:5]), " …" * (count > 5))


def file_stamp(path: Path) -> list[int]:
    """Size and time of change of a file, in bytes and nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def code_stamp(files: Iterable[Path]) -> str:
    """A hash of what is in some source files."""
    return Hasher.hash([file.read_bytes() for file in sorted(files)])
