"""Lines from text files that list images: `.ln` lists with a `.txt` beside each image, and tables with tabs."""

import os
from collections.abc import Iterator
from pathlib import Path

from htr_convtext.errors import InputError

from .columns import KNOWN_COLUMNS, find_column
from .items import LineItems


FILE_COLUMNS = ("file_name", "filename", "file", "path", "image_path", "img_path", "image_file")


def read_ln(path: Path, image_root: str | os.PathLike | None = None) -> LineItems:
    """
    Lines of a `.ln` list: one image name a line, the text in the `.txt` file of the same name beside the image.

    Args:
        image_root: Folder of the images; by default they are looked for beside the list and in the folders there.

    Raises:
        InputError: names the list if it is not UTF-8.
    """
    found = LineItems([])
    find_image = image_finder(path, image_root)
    for _, name in read_rows(path):
        image = find_image(name.strip())
        if image is None:
            found.skipped.append((name, "no such image"))
            continue
        try:
            text = image.with_suffix(".txt").read_text(encoding="utf-8-sig").rstrip("\n")
        except FileNotFoundError:
            found.skipped.append((name, "no .txt beside the image"))
        except UnicodeDecodeError:
            found.skipped.append((name, "the .txt is not UTF-8"))
        else:
            found.items.append({"image": {"bytes": None, "path": str(image)}, "text": text})
    return found


def read_table(
    path: Path,
    image_root: str | os.PathLike | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
) -> LineItems:
    """
    Lines of a table with tabs: image name and text, or more columns under a header. There is no quoting.

    Args:
        image_root: Folder of the images; by default they are looked for beside the list and in the folders there.
        image_column: Its header; by default found by its name, as that of `text_column`.

    Raises:
        InputError: names the table if it is not UTF-8 or has not the columns.
    """
    rows = ((number, row.split("\t")) for number, row in read_rows(path))
    first = next(rows, None)
    if first is None:
        return LineItems([])
    header = [name.strip() for name in first[1]]
    names = {name.lower() for name in header}
    if (
        image_column
        or text_column
        or (names & {*KNOWN_COLUMNS["image"], *FILE_COLUMNS} and names & {*KNOWN_COLUMNS["text"]})
    ):
        if len(set(header)) < len(header):
            raise InputError(f"{path}: two columns have one name: {', '.join(header)}.")
        image_column = find_column("image", header, image_column, str(path), more_names=FILE_COLUMNS)
        text_column = find_column("text", header, text_column, str(path))
    else:
        header, image_column, text_column = ["image", "text"], "image", "text"
        rows = iter([first, *rows])
    others = [name for name in header if name not in (image_column, text_column, "image", "text")]
    found = LineItems([], columns=others)
    find_image = image_finder(path, image_root)
    for number, cells in rows:
        if len(cells) != len(header):
            found.skipped.append((f"{path.name}:{number}", f"not {len(header)} columns"))
            continue
        row = dict(zip(header, cells, strict=True))
        image = find_image(row[image_column].strip())
        if image is None:
            found.skipped.append((row[image_column], "no such image"))
            continue
        line = {"image": {"bytes": None, "path": str(image)}, "text": row[text_column]}
        found.items.append({**line, **{name: row[name] for name in others}})
    return found


def read_rows(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers (from 1), without line breaks."""
    with path.open(encoding="utf-8-sig") as handle:
        try:
            for number, row in enumerate(handle, 1):
                if row.strip():
                    yield number, row.rstrip("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: the list is not UTF-8; save it as UTF-8. ({error})") from None


def image_finder(path: Path, image_root: str | os.PathLike | None):
    """A function from a name in the list `path` to the file it means, or `None`."""
    if image_root is not None:
        roots = [Path(image_root)]
    else:
        roots = [path.parent, *sorted(folder for folder in path.parent.iterdir() if folder.is_dir())]

    def find(name: str) -> Path | None:
        for root in roots:
            if name and (root / name).is_file():
                return root / name
        return None

    return find
