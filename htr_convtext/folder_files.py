"""The files of folders, and why some things in them cannot be opened."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from htr_convtext.errors import InputError
from processing.image_files import CIRCLE, NO_FILE, open_file, reason_of


@dataclass(frozen=True)
class FolderFiles:
    """
    What is in a folder and below.

    Attributes:
        files: Sorted.
        unreadable: What is neither a file nor a folder that can be listed, and why, in a few words.
    """

    files: list[Path]
    unreadable: dict[Path, str]


def walk(folder: str | os.PathLike, leave_out: str | os.PathLike | None = None) -> FolderFiles:
    """
    Lists the files in a folder and below; links to folders are followed, each folder is listed once. No error is raised
    for what cannot be listed, the folder itself included: it is `unreadable`.

    Args:
        leave_out: A folder within that is not searched.
    """
    outside = leave_out and os.path.realpath(leave_out)
    files: list[Path] = []
    unreadable: dict[Path, str] = {}
    seen: set[str] = set()
    folders, links = deque([Path(folder)]), deque()
    while folders or links:  # what lies within goes before what is linked: it keeps its own name
        path = (folders or links).popleft()
        here = os.path.realpath(path)
        if here in seen or (seen and here == outside):
            continue
        seen.add(here)
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            unreadable[path] = reason_of(error, path)
            continue
        for entry in entries:
            inner = path / entry.name
            try:
                if entry.is_file():
                    files.append(inner)
                elif not entry.is_dir():
                    os.stat(inner)
                    unreadable[inner] = NO_FILE
                elif not entry.is_symlink():
                    folders.append(inner)
                elif Path(here).is_relative_to(os.path.realpath(inner)):
                    unreadable[inner] = CIRCLE
                else:
                    links.append(inner)
            except OSError as error:
                unreadable[inner] = reason_of(error, inner)
    return FolderFiles(sorted(files), dict(sorted(unreadable.items())))


def is_barred(path: str | os.PathLike) -> bool:
    """Whether there is something that is no folder, or may be, but cannot be opened as a file."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode) and not os.path.isfile(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return os.path.islink(path)


@contextmanager
def opened_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """
    A file to read.

    Raises:
        InputError: names what cannot be opened and says why: there is nothing, no permission, it is a folder or a pipe.
    """
    try:
        handle = open_file(path)
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error, path)}.") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    with handle:
        yield handle


def read_file(path: str | os.PathLike) -> bytes:
    """What is in a file; errors as `opened_file` raises them."""
    with opened_file(path) as handle:
        return handle.read()
