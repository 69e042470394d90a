"""Any data sets of lines or words as LMDB stores of the layout that scene-text recognition uses."""

import json
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path

from datasets import Dataset
from tqdm import tqdm

from htr_convtext.errors import InputError
from processing.images import open_image

from .items import counted
from .lines import reason_against_image
from .sources import load_lines
from .split_names import SPLIT_NAMES


FIRST_MAP_BYTES = 64 * 2**20  # of a new store; doubled whenever it is full
BATCH_LINES, BATCH_BYTES = 1000, 64 * 2**20  # written at once, whichever comes first
EXAMPLES = 5  # names of what was left out for a reason
STATE = b"htr-convtext-state"  # key of how far an unfinished store is
logger = logging.getLogger(__name__)


@dataclass
class StoreReport:
    """How many lines the store of each split has, and how many were left out for which reason, with the first names."""

    written: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)  # in the folders of the sources, and why

    def leave_out(self, reason: str, names: list[str], count: int = 1) -> None:
        self.left_out[reason] += count
        examples = self.examples.setdefault(reason, [])
        examples += names[: EXAMPLES - len(examples)]

    def summary(self) -> str:
        """A few lines for the terminal."""
        rows = [f"{split:<12}{count:>8} lines" for split, count in self.written.items()]
        for reason, count in self.left_out.items():
            names = ", ".join(self.examples[reason]) + " …" * (count > len(self.examples[reason]))
            rows.append(f"{'left out':<12}{count:>8} × {reason}: {names}")
        return "\n".join(rows)


@dataclass
class StoreState:
    """
    How far an unfinished store is.

    Attributes:
        read: Lines of the data set that were read, of which `written` are in the store.
        digest: Of all that was read.
        left_out: For each reason the number of lines and the first names.
    """

    read: int = 0
    written: int = 0
    digest: str = ""
    left_out: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def leave_out(self, reason: str, name: str) -> None:
        count, names = self.left_out.get(reason, (0, []))
        self.left_out[reason] = (count + 1, [*names, name][:EXAMPLES])


def write_lmdb(
    sources: Iterable[str | os.PathLike], output: str | os.PathLike, split: str | None = None, **load_options
) -> StoreReport:
    """
    Writes the lines of all sources as LMDB: `num-samples`, and `image-%09d` and `label-%09d` from 1. Images are stored
    as the bytes they have; each is opened. Lines without text and unreadable images are left out and counted.

    Until it is complete, the folder is hidden beside its place. Where that was begun and stopped, at whatever moment,
    it goes on, if the lines are still the same; if not, it says so and starts anew.

    Args:
        output: A folder that does not exist. It has a store in a folder for each split; or is one itself if there is
            only `train`.
        split: The split to write, as one store.
        load_options: For `load_lines`.

    Raises:
        InputError: names the source that cannot be loaded or has not the split, or the folder that exists already or
            cannot be written; or no line remains.
        ModuleNotFoundError: if lmdb is missing.
    """
    output = Path(os.path.abspath(output))
    if output.exists():
        raise InputError(f"{output}: it exists already; give another folder, or remove it.")
    report, parts = StoreReport(), {}
    for source in sources:
        for name, lines in load_parts(source, split, report, load_options).items():
            parts.setdefault(name, []).append(lines)
    unfinished = output.with_name(f".{output.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    for folder in unfinished.iterdir():
        if folder.name not in parts:
            shutil.rmtree(folder)
    for name, lines in parts.items():
        state = write_store(lines, unfinished / name, f"{output.name}, {name}")
        report.written[name] = state.written
        for reason, (count, names) in state.left_out.items():
            report.leave_out(reason, names, count)
    for name, count in report.written.items():
        if count:
            finish_store(unfinished / name, count)
        else:
            shutil.rmtree(unfinished / name)
    if not any(report.written.values()):
        unfinished.rmdir()
        reasons = counted(report.left_out) or "there was none"
        raise InputError(f"{output}: not written, no line remains; {reasons}.")
    if split is None and set(parts) != {"train"}:
        unfinished.rename(output)
    else:
        (store,) = unfinished.iterdir()
        store.rename(output)
        unfinished.rmdir()
    return report


def load_parts(
    source: str | os.PathLike, split: str | None, report: StoreReport, load_options: dict
) -> dict[str, Dataset]:
    """The splits of a source, or the one; an `InputError` names the source without it."""
    skipped: list[tuple[str, str, str]] = []
    if split is None:
        parts = load_lines(source, skipped=skipped, unreadable=report.unreadable, **load_options)
    else:
        lines = load_lines(source, split, skipped=skipped, unreadable=report.unreadable, **load_options)
        if lines is None:
            raise InputError(f"{source}: there is no {split} split.")
        parts = {SPLIT_NAMES.get(split, split): lines}
    for _, name, reason in skipped:
        report.leave_out(reason, [name])
    return parts


def write_store(parts: list[Dataset], folder: Path, title: str) -> StoreState:
    """
    Writes the lines of a split into a store, or goes on where the same was stopped; `finish_store` makes it whole.

    Raises:
        InputError: if the disk is full or something else is wrong with it.
    """
    total = sum(map(len, parts))
    folder.mkdir(exist_ok=True)
    with open_store(folder) as store:
        state = state_of(store)
    lines = chain(*parts)
    if state is None or digest_of(lines, state.read) != state.digest:
        if state is not None:
            logger.warning("%s: what was begun there is of other lines, or they have changed; starting anew.", title)
        shutil.rmtree(folder)
        folder.mkdir()
        state, lines = StoreState(), chain(*parts)
    with (
        open_store(folder) as store,
        tqdm(total=total, initial=state.read, desc=title, unit="line", file=sys.stderr, disable=None) as progress,
    ):
        while state.read < total:
            before = state.read
            put(store, next_records(lines, state))
            progress.update(state.read - before)
    return state


@contextmanager
def open_store(folder: Path):
    """An opened store; an `InputError` names the folder if anything is wrong with it."""
    import lmdb

    try:
        with lmdb.open(str(folder), map_size=FIRST_MAP_BYTES) as store:
            yield store
    except lmdb.Error as error:
        raise InputError(f"{folder}: the store cannot be written; is the disk full? ({error})") from None


def state_of(store) -> StoreState | None:
    """How far a store is; `None` if it is new."""
    with store.begin() as transaction:
        stored = transaction.get(STATE)
    return StoreState(**json.loads(stored)) if stored else None


def next_records(lines: Iterator[dict], state: StoreState) -> list[tuple[bytes, bytes]]:
    """Reads and checks the next lines, and moves `state` on; the keys and values to write at once, with the state."""
    records, size = [], 0
    for line in islice(lines, BATCH_LINES):
        content = image_bytes(line)
        state.digest = chained(state.digest, line["text"], content)
        state.read += 1
        name = os.path.basename(line["image"]["path"] or f"line {state.read}")
        reason, label = check(line["text"], line["image"], content)
        if reason:
            state.leave_out(reason, name)
        else:
            state.written += 1
            records.append((b"image-%09d" % state.written, content))
            records.append((b"label-%09d" % state.written, label))
            size += len(content)
        if size > BATCH_BYTES:
            break
    return [*records, (STATE, json.dumps(vars(state)).encode())]


def check(text: str, image: dict, content: bytes | None) -> tuple[str | None, bytes]:
    """What is against a line, if anything, and its text in UTF-8; `content` are the bytes of its image."""
    if not text.strip():
        return "empty text", b""
    try:
        label = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return "text that is no Unicode", b""
    try:
        open_image({"bytes": content or b"", "path": None})
    except InputError:
        return reason_against_image(image), b""
    return None, label


def image_bytes(line: dict) -> bytes | None:
    """The encoded image of a line as it is stored there; `None` if the file cannot be read."""
    if line["image"]["bytes"] is not None:
        return line["image"]["bytes"]
    try:
        return Path(line["image"]["path"]).read_bytes()
    except OSError:
        return None


def digest_of(lines: Iterator[dict], count: int) -> str:
    """A digest of the texts and images of the next lines."""
    digest = ""
    next_lines = islice(lines, count)
    for line in tqdm(
        next_lines, total=count, desc="comparing", unit="line", file=sys.stderr, disable=None, leave=False
    ):
        digest = chained(digest, line["text"], image_bytes(line))
    return digest


def chained(digest: str, text: str, content: bytes | None) -> str:
    """The digest of some lines and one more."""
    label = text.encode(errors="surrogatepass")
    value = blake2b(f"{digest} {len(label)} {content is None}".encode(), digest_size=16)
    value.update(label)
    value.update(content or b"")
    return value.hexdigest()


def put(store, records: list[tuple[bytes, bytes | None]]) -> None:
    """Writes all records, or none, in a map that grows as they need it; one without a value is removed."""
    import lmdb

    while True:
        try:
            with store.begin(write=True) as transaction:
                for key, value in records:
                    if value is None:
                        transaction.delete(key)
                    else:
                        transaction.put(key, value)
            return
        except lmdb.MapFullError:
            store.set_mapsize(2 * store.info()["map_size"])


def finish_store(folder: Path, written: int) -> None:
    """Makes a store whole: with `num-samples`, and nothing besides the lines."""
    with open_store(folder) as store:
        put(store, [(b"num-samples", b"%d" % written), (STATE, None)])
    (folder / "lock.mdb").unlink(missing_ok=True)
