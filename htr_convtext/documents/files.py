"""The page images and PAGE-XML or ALTO files of a folder."""

import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from htr_convtext.errors import InputError

from .page import Page
from .xml_reader import NotAPageError, read_page


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".jp2")


@dataclass(frozen=True)
class Document:
    """
    A file of one page or several.

    Attributes:
        image: The image, or PDF.
        layout: The PAGE-XML or ALTO file whose lines are taken, or `None`: they are to be found.
        name: What its outputs are called: the way from the folder that was given, without a suffix.
    """

    image: Path
    layout: Path | None
    name: Path


def find_documents(
    paths: Iterable[str | os.PathLike], use_layout: bool = True, leave_out: str | os.PathLike | None = None
) -> tuple[list[Document], list[str]]:
    """
    The documents of files and folders, sorted, and the errors of those that cannot be read. Others are passed over.

    A PAGE-XML or ALTO file stands for the image that it describes. An image that is so described is not taken a second
    time, nor is the ALTO file in a folder that has PAGE-XML of the image too, as exports of Transkribus do.

    Args:
        use_layout: Whether to take the lines of PAGE-XML and ALTO files. If not, the ones in folders are passed over,
            and one that is named itself stands for its image alone.
        leave_out: A folder in these folders that is not searched.

    Raises:
        InputError: if nothing was found.
    """
    outside = Path(leave_out).resolve() if leave_out is not None else None
    files: list[tuple[Path, Path, bool]] = []  # with the folder that its name starts from, and whether it was named
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.is_file())
            if outside and path.resolve() in outside.parents:
                found = [file for file in found if outside not in file.resolve().parents]
            files += [(file, path, False) for file in found]
        else:
            files.append((path, path.parent, True))
    documents: dict[Path, Document] = {}
    failed: list[str] = []
    images: dict[Path, Path] = {}  # that XML files describe
    alto: set[Path] = set()
    for file, root, is_named in files:
        if file.suffix.lower() != ".xml" or not (use_layout or is_named):
            continue
        try:
            page = read_page(file)
            image = find_page_image(file, page)
        except (OSError, InputError) as error:
            if is_named or not isinstance(error, NotAPageError):
                failed.append(str(error))
            continue
        images[file.resolve()] = image.resolve()
        if page.format == "alto" and not is_named:
            alto.add(file.resolve())
        layout = file if use_layout else None
        documents[file.resolve()] = Document(image, layout, file.relative_to(root).with_suffix(""))
    for file in alto_beside_page_xml(images, alto):
        del documents[file]
    described = set(images.values())
    for file, root, is_named in files:
        suffix = file.suffix.lower()
        is_page = suffix in (*IMAGE_SUFFIXES, ".pdf") or (is_named and suffix != ".xml")
        if is_page and file.resolve() not in described:
            documents.setdefault(file.resolve(), Document(file, None, file.relative_to(root).with_suffix("")))
    if not documents and not failed:
        raise InputError(f"There are no pages in {', '.join(map(str, paths))}.")
    return sorted(documents.values(), key=lambda document: document.name), failed


def alto_beside_page_xml(images: Mapping[Path, Path], alto: Set[Path]) -> set[Path]:
    """
    The ALTO files whose image has PAGE-XML too.

    Args:
        images: The images of some files.
        alto: Those of the files that are ALTO.
    """
    described = {image for file, image in images.items() if file not in alto}
    return {file for file in alto if images[file] in described}


def find_page_image(file: Path, page: Page) -> Path:
    """
    The image that a page names, or else the one named as its XML file, beside it or in the folder above.

    Raises:
        InputError: if there is none.
    """
    beside = file.parent
    folders = (beside, beside.parent if beside.name else beside / "..")
    names = [page.image] if page.image else []
    for name in [*names, *(file.stem + suffix for suffix in IMAGE_SUFFIXES)]:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise InputError(f"{file}: no page image {page.image or file.stem} beside it")
