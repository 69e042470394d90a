"""The pages of many documents, read and written one after the other, going on where it stopped."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from PIL import Image

from htr_convtext.documents.files import Document
from htr_convtext.documents.formats import format_pages
from htr_convtext.documents.page import Page
from htr_convtext.documents.xml_reader import read_page
from htr_convtext.errors import InputError
from htr_convtext.reading import LineReader
from htr_convtext.whole_files import NO_ROOM, write_whole

from .hooks import JobHooks
from .kept_pages import KeptPages
from .output_plan import Output, OutputPlan
from .pages import transcribe_image
from .segmentation import Segmenter, default_segmenter
from .summary import ReadingSummary


logger = logging.getLogger(__name__)


@dataclass
class JobCounts:
    """
    What a job did.

    Attributes:
        pages, lines: That were read.
        done_before: Pages that were read by an earlier job.
        errors: Files, pages and lines that could not be opened, read or written.
    """

    pages: int = 0
    lines: int = 0
    done_before: int = 0
    errors: int = 0


class TranscriptionJob:
    """
    Reads the pages of a plan and writes them. What is written already is left out, so the same job goes on where it
    stopped. The pages of a document that was broken off, or has pages that cannot be read, are kept for the next time,
    if the same model and decoder read then.

        plan = open_documents(["letters"], "page", "transcribed")
        counts = TranscriptionJob(plan, load_recognizer()).run()

    Args:
        segmenter: What finds lines; by default `TextDetector`.
        batch_size: Lines that are read at once.
        hooks: Are told what happens; by default messages are logged.

    Attributes:
        counts: What was done so far.
        summary: What is to be said of the pages that were read, or kept from an earlier job.

    Raises:
        InputError: if the default segmenter is not installed.
    """

    def __init__(
        self,
        plan: OutputPlan,
        recognizer: LineReader,
        segmenter: Segmenter | None = None,
        batch_size: int = 8,
        hooks: JobHooks | None = None,
    ):
        self.plan = plan
        self.recognizer = recognizer
        try:
            self.segmenter = segmenter or default_segmenter()
        except ModuleNotFoundError as error:
            raise InputError(str(error)) from None
        self.batch_size = batch_size
        self.hooks = hooks or JobHooks()
        self.counts = JobCounts()
        self.summary = ReadingSummary(recognizer.calibration)
        self._passed = 0

    def run(self) -> JobCounts:
        """
        Does what is planned. Whatever is wrong with a page or document is told and counted, and the others are done.

        Raises:
            OSError: if the disk is full or read-only.
        """
        for error in self.plan.errors:
            self._fail(error)
        for output in list(self.plan.outputs):
            self._do(output)
        return self.counts

    def _fail(self, text: str, error: Exception | None = None) -> None:
        """Tells and counts an error; of one that is not for what was given it is logged where it comes from."""
        self.counts.errors += 1
        self.hooks.message(text)
        if error and not isinstance(error, (InputError, OSError)):
            logger.error("That was unexpected:", exc_info=error)

    def _pass(self, pages: int) -> None:
        self._passed += pages
        self.hooks.progress(self._passed, self.plan.page_count)

    def _do(self, output: Output) -> None:
        """Reads and writes the pages of an output, unless it is there."""
        target, kept = output.target, None
        if target and len(output.indices) > 1:
            kept = KeptPages(target, self.recognizer.provenance)
            if self.plan.overwrite:
                kept.clear()
        is_whole = target and target.exists() and not (kept and kept.folder.exists())
        if is_whole and not self.plan.overwrite:
            self.counts.done_before += len(output.indices)
            self._pass(len(output.indices))
            return
        try:
            layout = read_page(output.document.layout) if output.document.layout else None
        except (OSError, InputError) as error:
            self._fail(str(error))
            self._do_instead(output)
            return
        for other in output.document.others:
            self.hooks.message(f"{other} describes {output.document.image.name} too; {output.source} is read.")
        errors = self.counts.errors
        pages = self._read(output, layout, kept)
        try:
            first = next(pages, None)
            if first is None:
                return
            content = format_pages(chain([first], pages), self.plan.output_format, self.plan.min_confidence)
            if target and (kept is None or kept.are_newer()):  # else it may have been corrected since
                write_whole(target, content)
        except Exception as error:  # lxml and reportlab raise anything on texts that a file of theirs cannot have
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            self._fail(f"{target or output.document.image}: {error or type(error).__name__}", error)
            return
        if target is None:
            self.hooks.result(content)
        if kept and self.counts.errors == errors:
            kept.clear()

    def _do_instead(self, output: Output) -> None:
        """Does what stands in for a document whose layout is damaged."""
        try:
            outputs = self.plan.use_instead(output)
        except InputError as error:
            self._fail(str(error))
            outputs = []
        self._pass(0)
        for each in outputs:
            self._do(each)

    def _read(self, output: Output, layout: Page | None, kept: KeptPages | None) -> Iterator[tuple[Page, Image.Image]]:
        """The pages, new or kept, and their images, without those that could not be read."""
        document = output.document
        for index in output.indices:
            name = f"{output.source}, page {index + 1}"
            try:
                image = output.images[index]
                before = kept.get(index + 1, newer_than=document.image) if kept else None
                page = before or replace(self._transcribe(document, layout, image, name), number=index + 1)
            except Exception as error:  # the text detector and the device raise anything; other pages are to be read
                text = str(error) or type(error).__name__
                self._fail(text if str(document.image) in text else f"{name}: {text}", error)
                continue
            finally:
                self._pass(1)
            if before:
                self.counts.done_before += 1
            elif kept:
                kept.put(page)
            self.summary.add(str(output.source) if len(output.images) == 1 else name, page)
            yield page, image

    def _transcribe(self, document: Document, layout: Page | None, image: Image.Image, name: str) -> Page:
        if layout and not layout.lines:
            self.hooks.message(f"{document.layout} has no lines; they are found, and the output is a new file.")
            layout = None
        page = transcribe_image(image, self.recognizer, layout, self.segmenter, self.batch_size)
        for line in page.lines:
            if line.error:
                self._fail(f"{document.layout or name}, {line.id}: {line.error}")
        for note in page.notes:
            self.hooks.message(f"{document.layout or name}: {note}")
        if page.is_sideways:
            self.hooks.message(f"{name}: it seems to lie on its side; turn it and do it again.")
        self.counts.pages += 1
        self.counts.lines += len(page.lines)
        # A name that is not UTF-8 could not be written.
        return replace(page, image=page.image or os.fsencode(document.image.name).decode(errors="replace"))
