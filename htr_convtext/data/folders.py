"""Which reader the files of a source need, for each of its splits."""

import os
from functools import partial
from pathlib import Path

from htr_convtext.documents.files import IMAGE_SUFFIXES
from htr_convtext.errors import InputError
from htr_convtext.folder_files import opened_file, walk

from .iam_words import find_word_list, iam_word_readers
from .imgur5k import find_annotations, imgur5k_readers
from .lists import read_ln
from .lmdb_store import read_lmdb
from .pages import read_pages
from .split_names import SPLIT_NAMES, split_of
from .tables import METADATA, read_table, read_tables


def split_folders(folder: Path, files: list[Path]) -> list[tuple[str, Path]]:
    """A folder and those with `files` in it that have the name of a split, each with its split."""
    names = {file.relative_to(folder).parts[0] for file in files if file.parent != folder}
    own = SPLIT_NAMES.get(folder.name.lower(), "train")
    inner = [name for name in sorted(names) if name.lower() in SPLIT_NAMES]
    return [(own, folder), *((SPLIT_NAMES[name.lower()], folder / name) for name in inner)]


def word_readers(
    path: Path, image_root: str | os.PathLike | None, partition: str | os.PathLike | None
) -> dict[str, partial] | None:
    """For each split of IAM words or Imgur5K a function that reads it; `None` if `path` is neither."""
    iam_words = find_word_list(path)
    if iam_words is not None:
        return iam_word_readers(iam_words, partition, image_root)
    return imgur5k_readers(find_annotations(path), image_root) or None


def split_readers(
    path: Path,
    image_root: str | os.PathLike | None,
    image_column: str | None,
    text_column: str | None,
    words: bool = False,
    unreadable: dict[Path, str] | None = None,
) -> dict[str, partial] | None:
    """
    For each split of lists, tables, stores or pages a function that reads it; `None` for what `datasets` itself reads.

    Args:
        unreadable: Is given what cannot be opened in a folder, and why.

    Raises:
        InputError: if it is a file of no known kind, or two lists or stores are of one split.
    """
    table_options = {"image_root": image_root, "image_column": image_column, "text_column": text_column}
    read_list = dict.fromkeys((".tsv", ".txt", ".csv", ".jsonl"), partial(read_table, **table_options))
    read_list[".ln"] = partial(read_ln, image_root=image_root)
    if not os.path.isdir(path):
        with opened_file(path):
            suffix = path.suffix.lower()
        if suffix == ".parquet":
            return None
        if suffix in read_list:
            return {split_of(path.stem) or "train": partial(read_list[suffix], path)}
        if suffix == ".xml":
            return {"train": partial(read_pages, [path], path.parent, words)}
        raise InputError(f"{path}: not a list (.ln, .tsv, .txt, .csv, .jsonl), a page (.xml) or a Parquet file.")

    found = walk(path)
    if unreadable is not None:
        unreadable |= found.unreadable
    folders = split_folders(path, found.files)
    stores: dict[str, partial] = {}
    for split, folder in folders:
        if folder / "data.mdb" in found.files:
            add_reader(stores, split, partial(read_lmdb, folder))
    if stores:
        return stores
    lists: dict[str, partial] = {}
    spaced: dict[str, partial] = {}  # lists by their names, but no table by what is in them
    for folder_split, folder in folders:
        for file in (file for file in found.files if file.parent == folder):
            suffix, split = file.suffix.lower(), split_of(file.stem) or folder_split
            if suffix in (".ln", ".tsv") or (suffix == ".txt" and is_named_as_list(file) and has_tab(file)):
                add_reader(lists, split, partial(read_list[suffix], file))
            elif suffix == ".txt" and is_named_as_list(file):
                spaced.setdefault(split, partial(read_list[suffix], file))
    if lists:
        return lists
    if has_parquet(found.files):
        return None
    metadata = metadata_files(folders, found.files)
    if metadata:
        return {split: partial(read_tables, files, **table_options) for split, files in metadata.items()}
    pages: dict[str, list[Path]] = {}
    splits = {folder.name: split for split, folder in folders[1:]}
    for file in (file for file in found.files if file.suffix.lower() == ".xml"):
        split = splits.get(file.relative_to(path).parts[0], folders[0][0])
        pages.setdefault(split, []).append(file)
    return {split: partial(read_pages, files, path, words) for split, files in pages.items()} or spaced or None


def has_parquet(files: list[Path]) -> bool:
    """Whether there are lines in Parquet among files, other than metadata of images."""
    return any(file.suffix == ".parquet" and file.name not in METADATA for file in files)


def metadata_files(folders: list[tuple[str, Path]], files: list[Path]) -> dict[str, list[Path]]:
    """
    The metadata files of image folders, by splits: by the first folder on the way to them that is named by one.

    Args:
        folders: Of `split_folders`.
        files: All that are in the first of them and below.

    Raises:
        InputError: if there are two in one folder.
    """
    own, path = folders[0]
    found: dict[Path, Path] = {}
    for file in (file for file in files if file.name in METADATA):
        if any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        if found.setdefault(file.parent, file) != file:
            raise InputError(f"{file.parent}: {found[file.parent].name} and {file.name}; leave one of them there.")
    by_split: dict[str, list[Path]] = {}
    for file in sorted(found.values()):
        names = map(split_of, file.relative_to(path).parts[:-1])
        by_split.setdefault(next(filter(None, names), own), []).append(file)
    return by_split


def add_reader(readers: dict[str, partial], split: str, reader: partial) -> None:
    """Adds what reads a file, its first argument, for a split; an `InputError` names both if the split has one."""
    if split in readers:
        first, second = readers[split].args[0], reader.args[0]
        raise InputError(f"{first} and {second.name} are both {split}; give one.")
    readers[split] = reader


def is_named_as_list(file: Path) -> bool:
    """Whether a `.txt` file has the name of a list: `gt` or that of a split."""
    return file.stem.lower() == "gt" or split_of(file.stem) is not None


def has_tab(file: Path) -> bool:
    with opened_file(file) as handle:
        return b"\t" in handle.read(1 << 16)


def refuse_without_parquet(folder: Path) -> None:
    """Raises an `InputError` that says what is in a folder without lists, pages and Parquet files."""
    found = walk(folder)
    if has_parquet(found.files):
        return
    suffixes = {file.suffix.lower() for file in found.files}
    if suffixes & set(IMAGE_SUFFIXES):
        raise InputError(
            f"{folder}: images without texts; give metadata.jsonl or metadata.csv with file_name and text."
        )
    remedy = "unpack the archives" if ".zip" in suffixes else "give Parquet files or images with metadata"
    if found.unreadable:
        path, reason = next(iter(found.unreadable.items()))
        remedy = f"{len(found.unreadable)} cannot be opened ({path}: {reason})"
    raise InputError(f"{folder}: no lines found; {remedy}.")
