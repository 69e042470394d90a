"""Which files the pages of documents are written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from htr_convtext.documents.files import Document
from htr_convtext.documents.formats import ONE_PAGE_A_FILE, SUFFIXES
from htr_convtext.documents.page_images import PageImages
from htr_convtext.documents.xml_reader import root_name
from htr_convtext.errors import InputError


@dataclass(frozen=True)
class Output:
    """
    Pages of a document that are written together.

    Attributes:
        indices: The pages, from 0.
        target: The file, or `None` for the terminal.
    """

    document: Document
    images: PageImages
    indices: Sequence[int]
    target: Path | None


def plan_outputs(
    documents: Sequence[tuple[Document, PageImages]], folder: Path | None, output_format: str, overwrite: bool = False
) -> list[Output]:
    """
    The outputs of documents in a folder, or without one on the terminal.

    A PAGE-XML or ALTO file describes one page: of an image with several the first one is taken.

    Args:
        overwrite: Whether files that are there may be of another format.

    Raises:
        InputError: names the two documents that would be written to one file, the file that is to be read and would be
            written over, or the one that is there already in another format.
    """
    outputs = []
    for document, images in documents:
        indices = range(1 if document.layout else len(images))
        if folder is None:
            outputs.append(Output(document, images, indices, None))
            continue
        stem, suffix = folder / document.name, SUFFIXES[output_format]
        if output_format not in ONE_PAGE_A_FILE or len(indices) == 1:
            outputs.append(Output(document, images, indices, stem.with_name(stem.name + suffix)))
            continue
        for index in indices:
            outputs.append(Output(document, images, [index], stem.with_name(f"{stem.name}_{index + 1:04}{suffix}")))

    inputs = {path.resolve() for document, _ in documents for path in (document.image, document.layout) if path}
    sources: dict[Path, Path] = {}
    for output in outputs:
        target = output.target
        if target is None:
            continue
        source = output.document.layout or output.document.image
        if sources.setdefault(target, source) != source:
            raise InputError(f"{sources[target]} and {source} would both be written to {target}; do them apart.")
        if target.resolve() in inputs:
            raise InputError(f"{target} would be written over; choose another --output.")
        root = ONE_PAGE_A_FILE.get(output_format)
        if root and not overwrite and target.exists() and root_name(target) != root:
            raise InputError(f"{target} is there, but not as <{root}>; choose another --output, or --overwrite it.")
    return outputs
