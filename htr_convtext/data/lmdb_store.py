"""Lines in an LMDB store of the layout that scene-text recognition uses."""

from collections.abc import Iterator
from pathlib import Path

from htr_convtext.errors import InputError

from .items import LineItems, file_stamp


CHUNK = 1000


def read_lmdb(folder: Path) -> LineItems:
    """
    Lines of a store with the keys `num-samples`, `image-000000001` … and `label-000000001` …

    Raises:
        InputError: names the store if it cannot be opened or is of another layout.
        ModuleNotFoundError: if lmdb is missing.
    """
    found = LineItems([], generate=read_records)
    stamp = file_stamp(folder / "data.mdb")
    with _open(folder) as environment, environment.begin() as transaction, transaction.cursor() as cursor:
        count = transaction.get(b"num-samples", b"")
        if not count.isdigit():
            raise InputError(f"{folder}: no num-samples in this LMDB store; its layout is not that of scene text.")
        indices = []
        for index in range(1, int(count) + 1):
            label = transaction.get(b"label-%09d" % index)
            if label is None:
                found.skipped.append((f"label-{index:09d}", "no such key"))
            elif not cursor.set_key(b"image-%09d" % index):
                found.skipped.append((f"image-{index:09d}", "no such key"))
            elif not _is_utf8(label):
                found.skipped.append((f"label-{index:09d}", "not UTF-8"))
            else:
                indices.append(index)
    for start in range(0, len(indices), CHUNK):
        found.items.append({"folder": str(folder), "stamp": stamp, "indices": indices[start : start + CHUNK]})
    return found


def read_records(items: list[dict]) -> Iterator[dict]:
    """Yields the lines of some chunks of indices."""
    for item in items:
        with _open(item["folder"]) as environment, environment.begin() as transaction:
            for index in item["indices"]:
                image = {"bytes": transaction.get(b"image-%09d" % index), "path": f"image-{index:09d}"}
                yield {"image": image, "text": transaction.get(b"label-%09d" % index).decode()}


def _is_utf8(label: bytes) -> bool:
    try:
        label.decode()
    except UnicodeDecodeError:
        return False
    return True


def _open(folder: str | Path):
    try:
        import lmdb
    except ModuleNotFoundError:
        raise ModuleNotFoundError("LMDB stores need lmdb: pip install 'htr-convtext[train]'") from None
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise InputError(f"{folder}: this LMDB store cannot be opened. ({error})") from None
