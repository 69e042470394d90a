"""Files that are there whole or not at all, whatever stops a program or fills the disk. All programs write so."""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError


if TYPE_CHECKING:
    from PIL.Image import Image

PART = ".part"  # follows the name of a file that is being written
UNFINISHED = ".unfinished"  # a folder that is being written, hidden
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # nothing can be written to this disk
# What safetensors, written in Rust, and torch.save say where Python has an OSError.
RUST_ERROR = re.compile(r"(?P<text>[^:]*) \(os error (?P<number>\d+)\)")
TORCH_ERROR = re.compile(r"inline_container|PytorchStreamWriter|iostream error|file write failed")


@contextmanager
def disk_errors(path: str | os.PathLike) -> Iterator[None]:
    """
    Within the context what writers raise because of the disk, each in its own way, is an `OSError` with a file name.

    Args:
        path: What is written, for errors without a name.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # safetensors, torch.save and datasets have kinds of their own
        found = disk_error(error, path)
        if found is None or found is error:
            raise
        raise found from error


def disk_error(error: BaseException, path: str | os.PathLike) -> OSError | None:
    """The `OSError`, with a file name, that is or is behind an error; `None` if it is none of the disk's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            if cause.filename2 is not None and cause.errno in NO_ROOM:  # copying names what it reads, too
                return OSError(cause.errno, os.strerror(cause.errno), cause.filename2)
            if cause.filename is not None or cause.errno is None:
                return cause
            return OSError(cause.errno, os.strerror(cause.errno), os.fspath(path))
        said = RUST_ERROR.search(str(cause))
        if said:
            return OSError(int(said["number"]), said["text"].strip(), os.fspath(path))
        if isinstance(cause, RuntimeError) and TORCH_ERROR.search(str(cause)):
            return OSError(errno.EIO, "it cannot be written; is the disk full?", os.fspath(path))
        cause = cause.__cause__
    return None


@contextmanager
def whole_file(path: str | os.PathLike, keep: bool = False) -> Iterator[Path]:
    """
    Gives a place beside `path` to write to, which takes the name `path` at the end. If the block fails, whatever was
    at `path` stays as it is. What is no regular file, such as a pipe or device, is written to itself.

    Args:
        keep: Whether to keep what was written before it failed, beside `path`.

    Raises:
        OSError: names the file if it cannot be written.
    """
    path = Path(path)
    with disk_errors(path):
        if path.exists() and not path.is_file():
            yield path
            return
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + PART)
        try:
            yield part
            part.replace(path)
        finally:
            if not keep:
                part.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes a whole file, in UTF-8 if it is text; as escapes what UTF-8 cannot hold, as in some names of files."""
    with whole_file(path) as part:
        part.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def write_picture(picture: "Image", path: str | os.PathLike) -> None:
    """Writes a whole Pillow image; its format is that of the suffix (`InputError` if it stands for none)."""
    from PIL import Image

    picture_format = Image.registered_extensions().get(Path(path).suffix.lower())
    if picture_format not in Image.SAVE:
        raise InputError(f"{path}: a picture needs a suffix such as .png.")
    with whole_file(path) as part:
        picture.save(part, picture_format)


@contextmanager
def whole_folder(
    folder: str | os.PathLike, name: str = "", last: str = "", stale: Iterable[str] = ()
) -> Iterator[Path]:
    """
    Gives a new hidden folder within `folder` to write to; at the end all files in it take their places in `folder`. If
    the block fails nothing there changes. What a killed run left in that place is removed first.

    Args:
        name: Tells apart what may be written to one folder at the same time.
        last: A suffix: files with it are moved when the others are there.
        stale: Patterns of files in `folder` that go where no new ones take their place.

    Raises:
        OSError: names a file or the folder if it cannot be written.
    """
    folder = Path(folder)
    with disk_errors(folder):
        unfinished = folder / (f".{name}{UNFINISHED}" if name else UNFINISHED)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            written = [file.relative_to(unfinished) for file in unfinished.rglob("*") if file.is_file()]
            for file in sorted(written, key=lambda file: (bool(last) and file.name.endswith(last), file)):
                (folder / file).parent.mkdir(exist_ok=True, parents=True)
                (unfinished / file).replace(folder / file)
            for old in [old for pattern in stale for old in folder.glob(pattern)]:
                if old.relative_to(folder) not in written:
                    old.unlink()
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
