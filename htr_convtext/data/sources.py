"""Lines of handwriting from anywhere as `datasets` objects: columns `image` (not decoded), `text` and `source`."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from datasets import (
    Dataset,
    DatasetDict,
    Features,
    Image,
    IterableDataset,
    IterableDatasetDict,
    Value,
    concatenate_datasets,
    config,
    load_dataset,
    load_dataset_builder,
)
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from huggingface_hub import snapshot_download

from htr_convtext.errors import InputError
from htr_convtext.whole_files import NO_ROOM, disk_error
from htr_convtext.xml_characters import drop_unwritable

from .columns import find_image_column, find_text_column
from .folders import refuse_without_parquet, split_readers, word_readers
from .iam_words import read_iam_words
from .imgur5k import read_imgur5k
from .items import counted, report_skipped
from .pages import read_pages
from .split_names import SPLIT_NAMES, split_of


HAVE_WORDS = {read_iam_words, read_imgur5k, read_pages}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
NO_IMAGE = {"bytes": b"", "path": None}  # opening it is an error that is counted
logger = logging.getLogger(__name__)


def load_lines(
    source: str | os.PathLike,
    split: str | None = None,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
    image_root: str | os.PathLike | None = None,
    words: bool = False,
    partition: str | os.PathLike | None = None,
    streaming: bool = False,
    skipped: list[tuple[str, str, str]] | None = None,
    unreadable: dict[Path, str] | None = None,
    dropped: Counter[str] | None = None,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict | None:
    """
    Loads a data set of lines.

    Args:
        source: One of

            - a Hub id, `owner/name`;
            - Parquet: a file or a folder;
            - an image folder: images and `metadata.jsonl`, `.csv` or `.parquet` with `file_name` and the text, or such
              a table alone (`.csv`, `.jsonl`);
            - `.ln` lists: one image name a line, the text in a `.txt` beside each image; a file or a folder of them;
            - tables with tabs, `.tsv` or `.txt`: image name and text, or more columns under a header; likewise;
            - LMDB with `num-samples`, `image-%09d` and `label-%09d`: a folder with `data.mdb`;
            - PAGE-XML or ALTO files and their page images, a file or a folder; lines are cut out by their polygons;
            - IAM words: a folder with the owners' `words.txt` and their images in `words`;
            - Imgur5K: `imgur5k_annotations_*.json`, a file or their folder, and the images beside it.

            Splits are named by the files (`val.ln`), or by sub-folders; what is not named is `train`. `val`, `valid`
            and `dev` are `validation`. Texts are those in the files, whatever they look like: `null`, `0012`, `True`;
            but characters that PAGE-XML and ALTO cannot hold are dropped, with a warning. Nothing is downloaded but
            data sets of the Hub.
        split: The split to load; by default all.
        image_column: The column of images, where it cannot be found by its type or name; in tables, of their names.
        text_column: The column of texts, where it cannot be found by its name.
        image_root: Folder of the images of lists, tables, IAM words and Imgur5K; by default that of the list or those
            in it.
        words: Whether to take words: the ones that pages mark, instead of their lines. IAM words and Imgur5K are words
            anyway; other sources are refused.
        partition: Of IAM words, a folder of lists of forms, lines or words, one list a split; without it all are
            `train`.
        streaming: Whether to read while iterating, rather than before.
        skipped: Is given split, name and reason of each item that was left out. They are also logged, as a warning.
        unreadable: Is given what cannot be opened in the folder, and why. It is also logged, as a warning.
        dropped: Is given how many texts had each of the characters (`"U+0002"`) that were dropped, unless streaming.

    Returns:
        The lines of the split, or `None` if the data set has no such split; without `split` a dict of all. `image` is
        `{"bytes": ..., "path": ...}`, a missing text is empty, `source` is the name of the data set (unless it has
        such a column), and other columns stay as they are. Images are not opened: see `select_trainable`.

    Raises:
        InputError: names the source if it is missing, of no known kind, holds no line or its columns cannot be told.
    """
    path = hub_image_folder(source) or Path(source)
    wanted = split and SPLIT_NAMES.get(split, split)
    loaded, reasons = {}, Counter()
    try:
        readers = None
        if path.exists() or path.is_symlink():
            readers = word_readers(path, image_root, partition)
            barred: dict[Path, str] = {}
            readers = readers or split_readers(path, image_root, image_column, text_column, words, barred)
            report_skipped(str(source), [(str(inner), reason) for inner, reason in barred.items()])
            reasons.update(barred.values())
            if unreadable is not None:
                unreadable |= barred
        kinds = {read.func for read in readers.values()} if readers else {load_native}
        if words and not kinds <= HAVE_WORDS:
            state = "no words are marked there" if path.exists() else "there is no such file or folder"
            raise InputError(f"{source}: {state}; words come from IAM words, Imgur5K, PAGE-XML and ALTO.")
        if partition is not None and kinds != {read_iam_words}:
            raise InputError(f"{source}: a partition is for IAM words, a folder with words.txt; this is none.")
        if readers is None:
            for name, lines in load_native(source, streaming).items():
                if wanted in (None, name):
                    lines = standard_columns(lines, f"{source}, {name}", image_column, text_column)
                    loaded[name] = writable_texts(lines, f"{source}, {name}", Counter(), dropped)
        else:
            for name, read in readers.items():
                if wanted in (None, name):
                    found = read()
                    lines = found.dataset(streaming)
                    loaded[name] = writable_texts(lines, f"{source}, {name}", found.dropped, dropped)
                    report_skipped(f"{source}, {name}", found.skipped)
                    reasons.update(reason for _, reason in found.skipped)
                    if skipped is not None:
                        skipped.extend((name, *item) for item in found.skipped)
    except ModuleNotFoundError as error:
        raise InputError(f"{source}: {error}") from None
    if loaded and not streaming and not any(map(len, loaded.values())):
        raise InputError(f"{source}: no line can be used; {counted(reasons) or 'there is none'}.")
    title = path.stem if path.is_file() else Path(os.path.abspath(source)).name  # of `.` too
    loaded = {name: add_source(lines, title) for name, lines in loaded.items()}
    if split is not None:
        return loaded.get(wanted)
    return IterableDatasetDict(loaded) if streaming else DatasetDict(loaded)


def load_sources(sources: Iterable[str | os.PathLike], split: str) -> Dataset:
    """
    The lines of several data sets in one, their columns cut down to `image`, `text` and `source`.

    Raises:
        InputError: if none of the sources has the split.
    """
    parts = [load_lines(source, split) for source in sources]
    parts = [part.select_columns(["image", "text", "source"]) for part in parts if part is not None]
    if not parts:
        raise InputError(
            f"None of the data sets has a {split} split. `htr prepare` makes one, with --split-by page, writer or line."
        )
    return concatenate_datasets(parts)


def load_splits(sources: Iterable[str | os.PathLike], split: str | None = None) -> dict[tuple[str, str], Dataset]:
    """
    The lines of several data sets by source, as it was given, and split.

    Args:
        split: Only this one; a source that does not have it is left out, with a warning.

    Raises:
        InputError: names a source that cannot be read or is given twice, or says that there are no lines.
    """
    sets: dict[tuple[str, str], Dataset] = {}
    for source in map(str, sources):
        if any(source == other for other, _ in sets):
            raise InputError(f"{source} is given twice.")
        wanted = split and SPLIT_NAMES.get(split, split)
        found = load_lines(source) if split is None else {wanted: load_lines(source, split)}
        found = {name: lines for name, lines in found.items() if lines}
        if not found:
            logger.warning("%s has no lines in a %s split; left out.", source, split)
        sets |= {(source, name): lines for name, lines in found.items()}
    if not sets:
        raise InputError(f"none of the data sets has lines in a {split} split.")
    return sets


def hub_image_folder(source: str | os.PathLike) -> Path | None:
    """A copy of what the Hub has under an id, if that is an image folder: here its metadata are read as they are."""
    if os.path.lexists(source) or not HUB_ID.fullmatch(str(source)):
        return None
    try:
        if not isinstance(load_dataset_builder(str(source)), ImageFolder):
            return None
        return Path(snapshot_download(str(source), repo_type="dataset"))
    except Exception:  # of many kinds; `load_native` tries again and says what is wrong
        return None


def load_native(source: str | os.PathLike, streaming: bool) -> dict[str, Dataset | IterableDataset]:
    """The splits of what `datasets` reads by itself: the Hub and Parquet."""
    path = Path(source)
    if path.is_file():
        options = {"path": "parquet", "data_files": {split_of(path.stem) or "train": str(path)}}
    elif path.is_dir():
        refuse_without_parquet(path)
        options = {"path": "parquet", "data_dir": str(path)}
    elif HUB_ID.fullmatch(str(source)):
        options = {"path": str(source)}
    else:
        raise InputError(f"{source}: there is no such file or folder.")
    try:
        data = load_dataset(**options, streaming=streaming)
    except Exception as error:  # `datasets` raises many kinds
        full = disk_error(error, config.HF_DATASETS_CACHE)
        if full is not None and full.errno in NO_ROOM:
            raise full from None
        remedy = "give Parquet files or images with metadata" if path.exists() else "no such folder, nor Hub data set"
        raise InputError(f"{source}: no lines found; {remedy}. ({error.__cause__ or error})") from None
    known = {name: SPLIT_NAMES.get(name, name) for name in data}
    known = {name: name if other in data else other for name, other in known.items()}
    if len(set(known.values())) < len(known):
        raise InputError(f"{source}: two of its splits {', '.join(known)} are the same; rename one.")
    return {known[name]: lines for name, lines in data.items()}


def standard_columns(
    lines: Dataset | IterableDataset, where: str, image_column: str | None, text_column: str | None
) -> Dataset | IterableDataset:
    """Names the columns of images and texts `image` and `text`, not decoded and never `None`; others stay."""
    if lines.features is None:
        raise InputError(f"{where}: its columns are not known before it is read; load it without streaming.")
    image_column = find_image_column(lines.features, image_column, where)
    text_column = find_text_column(lines.features, text_column, where)
    for name, found in (("image", image_column), ("text", text_column)):
        if found != name:
            lines = lines.remove_columns([name]) if name in lines.column_names else lines
            lines = lines.rename_column(found, name)
    lines = lines.cast_column("image", Image(decode=False))
    try:
        if lines.features["text"] != Value("string"):  # a cast copies all lines
            lines = lines.cast_column("text", Value("string"))
        if isinstance(lines, Dataset):
            lines.data.column("text").validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: the column {text_column!r} cannot be read as text. ({error})") from None
    if isinstance(lines, IterableDataset):
        return lines.map(
            lambda line: {"image": line["image"] or NO_IMAGE, "text": line["text"] or ""}, features=lines.features
        )
    if lines.data.column("image").null_count:
        lines = lines.map(lambda line: {"image": line["image"] or NO_IMAGE}, features=lines.features)
    return lines


def writable_texts(
    lines: Dataset | IterableDataset, where: str, before: Counter[str], dropped: Counter[str] | None
) -> Dataset | IterableDataset:
    """
    The lines with texts that PAGE-XML and ALTO can hold, a missing one empty; what is dropped is logged.

    Args:
        before: What was dropped already, as in `LineItems`.
        dropped: Is given this and what is dropped now, if any.
    """
    if isinstance(lines, IterableDataset):
        return lines.map(lambda line: {"text": drop_unwritable(line["text"])}, features=lines.features)
    found, texts = Counter(before), list(lines["text"])
    writable = [drop_unwritable(text or "", found) for text in texts]
    if writable != texts:
        lines = lines.remove_columns("text").add_column("text", writable, feature=Value("string"))
    if found:
        shown = ", ".join(f"{character} in {count} lines" for character, count in found.most_common())
        logger.warning("%s: characters that PAGE-XML and ALTO cannot hold are dropped: %s", where, shown)
    if dropped is not None:
        dropped.update(found)
    return lines


def add_source(lines: Dataset | IterableDataset, name: str) -> Dataset | IterableDataset:
    """Adds the column `source`, or fills what is missing in one of texts."""
    if "source" in lines.features and lines.features["source"] != Value("string"):
        lines = lines.remove_columns("source")
    if isinstance(lines, IterableDataset):
        features = Features({**lines.features, "source": Value("string")})
        return lines.map(lambda line: {"source": line.get("source") or name}, features=features)
    sources = [None] * len(lines)
    if "source" in lines.features:
        sources = lines["source"][:]
        if all(sources):
            return lines
        lines = lines.remove_columns("source")
    return lines.add_column("source", [source or name for source in sources], feature=Value("string"))
