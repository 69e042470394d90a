"""Files found by the names that other files give them."""

import os
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote


def find_file(folders: Sequence[Path], name: str) -> Path | None:
    """
    The file in the first of some folders, or below, that a name means. If none has that very name, one that is written
    with backslashes as on Windows, as in a URL (`%20`), composed otherwise (NFD beside NFC), or with other capitals if
    no other file could be meant. `None` if there is none.
    """
    if not name or "\0" in name:
        return None
    for folder in folders:
        if os.path.isfile(folder / name):  # `Path.is_file` fails in a folder without permission
            return folder / name
    for spelling in dict.fromkeys((name, name.replace("\\", "/"), unquote(name.replace("\\", "/")))):
        for folder in folders if "\0" not in spelling else ():
            found = _find_alike(folder, spelling)
            if found is not None and os.path.isfile(found):
                return found
    return None


def _find_alike(folder: Path, name: str) -> Path | None:
    for part in PurePosixPath(name).parts:
        if part == ".." or os.path.exists(folder / part):
            folder = folder / part
            continue
        try:
            alike = _names(folder, folder.stat().st_mtime_ns).get(_key(part), [])
        except OSError:
            return None
        composed = unicodedata.normalize("NFC", part)
        same = [other for other in alike if unicodedata.normalize("NFC", other) == composed]
        if len(same or alike) != 1:
            return None
        folder = folder / (same or alike)[0]
    return folder


@lru_cache(maxsize=1024)
def _names(folder: Path, changed: int) -> dict[str, list[str]]:
    """The names in a folder as it was when it `changed` last, by their keys."""
    names: dict[str, list[str]] = {}
    for path in folder.iterdir():
        names.setdefault(_key(path.name), []).append(path.name)
    return names


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
