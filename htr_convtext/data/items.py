"""What a reader of some format hands to `load_lines`: the lines of one split, their images not opened yet."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset, Features, Image, IterableDataset, Value
from datasets.fingerprint import Hasher


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
    """

    items: list[dict]
    columns: list[str] = field(default_factory=list)
    generate: Callable[[list[dict]], Iterator[dict]] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def dataset(self, streaming: bool = False) -> Dataset | IterableDataset:
        """The lines as a data set; `generate` runs once and now, or with `streaming` while the lines are read."""
        columns = {name: Value("string") for name in ["text", *self.columns]}
        features = Features({"image": Image(decode=False), **columns})
        if self.generate is None or not self.items:
            rows = {name: [item[name] for item in self.items] for name in features}
            lines = Dataset.from_dict(rows, features=features)
            return lines.to_iterable_dataset() if streaming else lines
        kind = IterableDataset if streaming else Dataset
        return kind.from_generator(self.generate, gen_kwargs={"items": self.items}, features=features)


def file_stamp(path: Path) -> list[int]:
    """Size and time of change of a file, in bytes and nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def code_stamp(files: Iterable[Path]) -> str:
    """A hash of what is in some source files."""
    return Hasher.hash([file.read_bytes() for file in sorted(files)])
