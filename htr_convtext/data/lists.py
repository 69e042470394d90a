"""Lines from `.ln` lists of images with a `.txt` beside each, and what all lists of images need."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

from htr_convtext.documents.file_names import find_file
from htr_convtext.errors import InputError
from htr_convtext.folder_files import is_barred, opened_file
from processing.image_files import NO_FILE, open_file, reason_of

from .items import LineItems


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
            with open_file(image.with_suffix(".txt")) as content:
                text = io.TextIOWrapper(content, encoding="utf-8-sig").read().rstrip("\n")
        except FileNotFoundError:
            found.skipped.append((name, "no .txt beside the image"))
        except UnicodeDecodeError:
            found.skipped.append((name, "the .txt is not UTF-8"))
        except OSError as error:
            found.skipped.append((name, f"the .txt cannot be read: {reason_of(error, image.with_suffix('.txt'))}"))
        except InputError:
            found.skipped.append((name, f"the .txt is {NO_FILE}"))
        else:
            found.items.append({"image": {"bytes": None, "path": str(image)}, "text": text})
    return found


def read_rows(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers (from 1), without line breaks."""
    with opened_file(path) as content, io.TextIOWrapper(content, encoding="utf-8-sig") as handle:
        try:
            for number, row in enumerate(handle, 1):
                if row.strip():
                    yield number, row.rstrip("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: the list is not UTF-8; save it as UTF-8. ({error})") from None


def image_finder(path: Path, image_root: str | os.PathLike | None):
    """A function from a name in the list `path` to the file it means (`find_file`), or `None`."""
    if image_root is not None:
        roots = [Path(image_root)]
    else:
        roots = [path.parent, *sorted(folder for folder in path.parent.iterdir() if os.path.isdir(folder))]

    def find(name: str) -> Path | None:
        barred = (root / name for root in roots if name and is_barred(root / name))
        return find_file(roots, name) or next(barred, None)

    return find
