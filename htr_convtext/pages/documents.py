"""The page images and PAGE-XML or ALTO files of a folder."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


def find_documents(paths: Iterable[str | os.PathLike], use_layout: bool = True) -> tuple[list[Document], list[str]]:
    """
    The documents of files and folders, sorted, and the errors of those that cannot be read. Others are passed over.

    A PAGE-XML or ALTO file stands for the image that it describes. An image that is so described in the same folder is
    not taken a second time.

    Args:
        use_layout: Whether to take the lines of PAGE-XML and ALTO files; else images alone are looked for.

    Raises:
        ValueError: names two files whose outputs would have the same name, or if nothing was found.
    """
    documents: list[Document] = []
    failed: list[str] = []
    for path in map(Path, paths):
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        described = set()
        for file in files:
            if file.suffix.lower() != ".xml" or not use_layout:
                continue
            try:
                image = find_page_image(file, read_page(file))
            except (OSError, ValueError) as error:
                if not (path.is_dir() and isinstance(error, NotAPageError)):
                    failed.append(str(error))
                continue
            described.add(image)
            documents.append(Document(image, file, file.relative_to(root).with_suffix("")))
        for file in files:
            is_page = file.suffix.lower() in (*IMAGE_SUFFIXES, ".pdf") or not path.is_dir()
            if is_page and file.suffix.lower() != ".xml" and file not in described:
                documents.append(Document(file, None, file.relative_to(root).with_suffix("")))
    names: dict[Path, Path] = {}
    for document in documents:
        file = document.layout or document.image
        if names.setdefault(document.name, file) != file:
            raise ValueError(
                f"{names[document.name]} and {file} would both be written to {document.name}; do them apart."
            )
    if not documents and not failed:
        raise ValueError(f"There are no pages in {', '.join(map(str, paths))}.")
    return sorted(documents, key=lambda document: document.name), failed


def find_page_image(file: Path, page: Page) -> Path:
    """
    The image that a page names, or else the one named as its XML file, beside it or in the folder above.

    Raises:
        ValueError: if there is none.
    """
    folders = (file.parent, file.parent.parent)
    names = [page.image] if page.image else []
    for name in [*names, *(file.stem + suffix for suffix in IMAGE_SUFFIXES)]:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise ValueError(f"{file}: no page image {page.image or file.stem} beside it")
