"""Which files the pages of documents are written to."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from htr_convtext.documents.files import Document, find_documents
from htr_convtext.documents.formats import ONE_PAGE_A_FILE, PRINTABLE, SUFFIXES, format_pages
from htr_convtext.documents.page import Page
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

    @property
    def source(self) -> Path:
        """The file that stands for the document."""
        return self.document.layout or self.document.image


@dataclass
class OutputPlan:
    """
    What is to be read and written.

    Attributes:
        errors: Of the files that cannot be opened.
        output_format: Of `SUFFIXES`.
        folder: Where it is written; `None` for the terminal.
        overwrite: Whether what is written already is done again.
        min_confidence: What is less sure is marked (`format_pages`); by default nothing is.
    """

    outputs: list[Output]
    output_format: str
    folder: Path | None = None
    overwrite: bool = False
    errors: list[str] = field(default_factory=list)
    min_confidence: float | None = None

    @property
    def page_count(self) -> int:
        return sum(len(output.indices) for output in self.outputs)

    def use_instead(self, output: Output) -> list[Output]:
        """
        Plans what stands in for a document whose layout is damaged, in place of its output; empty if there is nothing.

        Raises:
            InputError: as `plan_outputs`; then nothing stands in for it either.
        """
        self.outputs = [other for other in self.outputs if other.document is not output.document]
        if output.document.instead is None:
            return []
        document = (output.document.instead, output.images)
        new = plan_outputs([document], self.folder, self.output_format, self.overwrite, self.outputs)
        self.outputs += new
        return new


def open_documents(
    paths: Sequence[str | os.PathLike],
    output_format: str = "text",
    folder: str | os.PathLike | None = None,
    overwrite: bool = False,
    use_layout: bool = True,
    min_confidence: float | None = None,
) -> OutputPlan:
    """
    What is to be done to transcribe files, and all pages in folders and below.

    Args:
        output_format: Of `SUFFIXES`; without `folder` one of `PRINTABLE`.
        folder: Where to write; it is made. What lies in it is not taken for pages.
        overwrite: Whether to do again what is written already.
        use_layout: Whether to take the lines of PAGE-XML and ALTO files, or to find them there too.
        min_confidence: Marks what is less sure (`format_pages`).

    Raises:
        InputError: if there are no pages, the format needs what is not installed, or as `plan_outputs`.
        OSError: if the folder cannot be made.
    """
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if output_format not in PRINTABLE and folder.resolve() == Path(path).resolve():
                raise InputError(f"{path} is to be read; choose another --output.")
    elif output_format not in PRINTABLE:
        raise InputError(f"A folder is needed to write {output_format} to.")
    opened, errors = [], []
    try:
        format_pages([(Page("", 1, 1, []), Image.new("RGB", (1, 1)))], output_format)  # whether all is installed
        documents, unusable = find_documents(paths, use_layout, leave_out=folder)
        for document in documents:
            try:
                opened.append((document, PageImages(document.image)))
            except InputError as error:
                errors.append(str(error))
    except ModuleNotFoundError as error:
        raise InputError(str(error)) from None
    outputs = plan_outputs(opened, folder, output_format, overwrite)
    return OutputPlan(outputs, output_format, folder, overwrite, [*unusable, *errors], min_confidence)


def plan_outputs(
    documents: Sequence[tuple[Document, PageImages]],
    folder: Path | None,
    output_format: str,
    overwrite: bool = False,
    others: Sequence[Output] = (),
) -> list[Output]:
    """
    The outputs of documents in a folder, or without one on the terminal.

    A PAGE-XML or ALTO file describes one page: of an image with several the first one is taken.

    Args:
        overwrite: Whether files that are there may be of another format.
        others: What is planned besides.

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

    used = [output.document for output in (*outputs, *others)]
    inputs = {path.resolve() for document in used for path in (document.image, document.layout) if path}
    sources = {other.target: other.source for other in others}
    for output in outputs:
        target = output.target
        if target is None:
            continue
        if sources.setdefault(target, output.source) != output.source:
            raise InputError(f"{sources[target]} and {output.source} would both be written to {target}; do them apart.")
        if target.resolve() in inputs:
            raise InputError(f"{target} would be written over; choose another --output.")
        root = ONE_PAGE_A_FILE.get(output_format)
        if root and not overwrite and target.exists() and root_name(target) != root:
            raise InputError(f"{target} is there, but not as <{root}>; choose another --output, or --overwrite it.")
    return outputs
