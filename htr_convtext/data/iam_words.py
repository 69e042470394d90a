"""
Words of the IAM database, from the files of its owners and lists of what belongs to which split.

The database is free for research, after registration: https://fki.tic.heia-fr.ch/databases/iam-handwriting-database.
`ascii.tgz` has `words.txt` and `forms.txt`, `words.tgz` the images `a01/a01-000u/a01-000u-00-00.png` ….
"""

import os
import re
from functools import partial
from itertools import combinations
from pathlib import Path

from htr_convtext.errors import InputError

from .items import LineItems
from .lists import read_rows
from .split_names import split_of


# `a01-000u`, a form; `a01-000u-00`, a line of it; `a01-000u-00-00`, a word of that.
IDENTIFIER = re.compile(r"([a-z]\d\d-\d{3}[a-z]?)(-\d\d)?(-\d\d)?(?![\w-])")
# A row of words.txt: id, ok or err, grey level, x, y, width, height, tag, and the text, in which there may be spaces.
WORD = re.compile(r"(?P<id>[a-z]\d\d-\d{3}[a-z]?-\d\d-\d\d) (?P<mark>ok|err) (?:\S+ ){6}(?P<text>.*)")


def find_word_list(path: Path) -> Path | None:
    """The `words.txt` that a path means or that is in a folder (or its `ascii`), if it is one of the IAM database."""
    files = [path] if os.path.isfile(path) else [path / "words.txt", path / "ascii" / "words.txt"]
    for file in files:
        if file.suffix.lower() == ".txt" and os.path.isfile(file):
            with file.open("rb") as handle:
                first = next((row for row in handle if row.strip() and not row.startswith(b"#")), b"")
            if WORD.match(first.decode("utf-8", "replace")):
                return file
    return None


def iam_word_readers(
    words: Path, partition: str | os.PathLike | None = None, image_root: str | os.PathLike | None = None
) -> dict[str, partial]:
    """
    For each split a function that reads its words; without a partition all are `train`.

    Args:
        words: The file `words.txt`.
        partition: A folder of lists, see `read_partition`.
        image_root: Folder of the images; by default `words` beside the file, or beside its folder.

    Raises:
        InputError: as `read_partition` does.
    """
    if partition is None:
        return {"train": partial(read_iam_words, words, None, image_root)}
    lists = read_partition(Path(partition))
    return {split: partial(read_iam_words, words, names, image_root) for split, names in lists.items()}


def read_partition(folder: Path) -> dict[str, set[str]]:
    """
    The ids of each split, from the files whose names speak of one (`train.uttlist`, `RWTH.….valid.thresh`): one id a
    line, of a form, a line or a word, and anything after it. Of lists of one split, those of words go before those
    of lines, and these before those of forms.

    Raises:
        InputError: names the folder without lists, the list with another row, or two lists that share an id or are of
            one split.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give the one with the lists of the partition.")
    found: dict[str, tuple[int, Path, set[str]]] = {}
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        split = split_of(file.name)
        if split is None:
            continue
        names, depth = read_identifiers(file)
        if split in found and found[split][0] == depth:
            raise InputError(f"{found[split][1]} and {file.name} are both {split}; leave one of them there.")
        if split not in found or found[split][0] < depth:
            found[split] = depth, file, names
    if not found:
        raise InputError(f"{folder}: no lists there; they are called after their splits, such as train.uttlist.")
    for (_, first, names), (_, second, others) in combinations(found.values(), 2):
        if names & others:
            raise InputError(f"{first} and {second.name} both have {min(names & others)}; it belongs to one.")
    return {split: names for split, (_, _, names) in found.items()}


def read_identifiers(file: Path) -> tuple[set[str], int]:
    """The ids in a list, and how deep they go: 1 for forms, 2 for lines, 3 for words."""
    names, depth = set(), 0
    for number, row in read_rows(file):
        if row.startswith("#"):
            continue
        identifier = IDENTIFIER.match(row.strip())
        if identifier is None:
            raise InputError(f"{file}:{number}: no id of an IAM form, line or word, such as a01-000u-00: {row[:40]!r}.")
        names.add(identifier[0])
        depth = max(depth, sum(map(bool, identifier.groups())))
    return names, depth


def read_iam_words(words: Path, names: set[str] | None, image_root: str | os.PathLike | None = None) -> LineItems:
    """
    The words of a split, with `page` (their form) and, if `forms.txt` is beside the list, `writer`.

    Words with the mark `err` were cut out wrongly; they are left out, but where `names` has them themselves. So are
    words without an image: two of those of the owners are empty.

    Args:
        names: Ids of forms, lines and words; by default all words.
    """
    root = words.parent.parent if words.parent.name == "ascii" else words.parent
    images = Path(image_root) if image_root is not None else root / "words"
    writers = read_writers(words.with_name("forms.txt"))
    found = LineItems([], columns=["page", "writer"] if writers else ["page"])
    missing = set(names or ())
    for number, row in read_rows(words):
        if row.startswith("#"):
            continue
        word = WORD.match(row)
        if word is None:
            if names is None:
                found.skipped.append((f"{words.name}:{number}", "no row of a word"))
            continue
        name = word["id"]
        line = name.rpartition("-")[0]
        form = line.rpartition("-")[0]
        if names is not None:
            missing -= {form, line, name}
            if names.isdisjoint((form, line, name)):
                continue
        file = next(filter(Path.is_file, (images / form[:3] / form / f"{name}.png", images / f"{name}.png")), None)
        if word["mark"] == "err" and name not in (names or ()):
            found.skipped.append((name, "marked as cut out wrongly (err)"))
        elif file is None:
            found.skipped.append((name, "no such image"))
        else:
            item = {"image": {"bytes": None, "path": str(file)}, "text": word["text"].strip(), "page": form}
            found.items.append({**item, "writer": writers.get(form)})
    found.skipped += [(name, f"not in {words.name}") for name in sorted(missing)]
    return found


def read_writers(forms: Path) -> dict[str, str]:
    """The writer of each form, as `forms.txt` has them; empty without that file."""
    if not forms.is_file():
        return {}
    rows = (row.split() for _, row in read_rows(forms) if not row.startswith("#"))
    return {row[0]: row[1] for row in rows if len(row) > 1}
