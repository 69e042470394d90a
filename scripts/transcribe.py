"""Transcribe pages: find their lines, read them, write text, JSONL, PAGE-XML, ALTO or searchable PDF.

Examples:
    python scripts/transcribe.py scan.jpg
    python scripts/transcribe.py letters minutes.pdf --format pdf --output searchable
    python scripts/transcribe.py export --format page --output transcribed
    python scripts/transcribe.py export --find-lines --format alto --output transcribed --model my_model

A page is a photograph or scan (PNG, JPEG, TIFF, PDF, also of several pages), or a PAGE-XML or ALTO file beside its
image (of Transkribus or eScriptorium): then its lines are taken. If the output has the format of the input, its regions
and lines stay as they are; only text and words are replaced. A folder stands for all of these in it and below. What is
written already is left out, so the same command goes on where it stopped. A page that cannot be read is reported and
left out; the exit code is then 1. The pages of a document that was broken off, or has such a page, are kept for the
next time, in a folder beside its output.
"""

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from htr_convtext.cli import positive_int
from htr_convtext.pages import Page, PageImages, TextDetector, read_page, transcribe_image
from htr_convtext.pages.documents import Document, find_documents
from htr_convtext.pages.kept_pages import KeptPages
from htr_convtext.pages.output_plan import Output, plan_outputs
from htr_convtext.pages.outputs import SUFFIXES, format_pages, write_whole
from htr_convtext.recognition import load_pipeline


class Transcriber:
    """Reads the pages of documents one by one, and counts."""

    def __init__(self, arguments: argparse.Namespace, progress: tqdm):
        self.arguments = arguments
        self.progress = progress
        self.pipeline = load_pipeline(arguments.model, arguments.device)
        self.segmenter = TextDetector()
        self.pages = self.lines = self.done = self.failures = 0

    def fail(self, error: object) -> None:
        self.failures += 1
        self.warn(error)

    def warn(self, text: object) -> None:
        tqdm.write(f"transcribe.py: {text}", file=sys.stderr)

    def do(self, output: Output) -> None:
        """Reads and writes the pages of an output, unless it is there."""
        target, kept = output.target, None
        if target and len(output.indices) > 1:
            kept = KeptPages(target, self.arguments.model)
            if self.arguments.overwrite:
                kept.clear()
        is_whole = target and target.exists() and not (kept and kept.folder.exists())
        if is_whole and not self.arguments.overwrite:
            self.done += len(output.indices)
            self.progress.update(len(output.indices))
            return
        failures = self.failures
        results = self.read(output, kept)
        try:
            first = next(results, None)
            if first is None:
                return
            content = format_pages(chain([first], results), self.arguments.format)
            if target is None:
                with self.progress.external_write_mode(file=sys.stderr):
                    sys.stdout.buffer.write(content)
                    sys.stdout.flush()
                return
            if kept is None or kept.are_newer():  # else it may have been corrected since
                write_whole(target, content)
        except Exception as error:  # whatever it is, the other documents are to be read
            if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC):
                raise
            self.fail(f"{target or output.document.image}: {error or type(error).__name__}")
            return
        if kept and self.failures == failures:
            kept.clear()

    def read(self, output: Output, kept: KeptPages | None) -> Iterator[tuple[Page, Image.Image]]:
        """The pages, new or kept, and their images, without those that could not be read."""
        document = output.document
        for index in output.indices:
            name = f"{document.layout or document.image}, page {index + 1}"
            try:
                image = output.images[index]
                before = kept.get(index + 1, newer_than=document.image) if kept else None
                page = before or replace(self.transcribe(document, image, name), number=index + 1)
            except Exception as error:  # whatever it is, the other pages are to be read
                text = str(error) or type(error).__name__
                self.fail(text if str(document.image) in text else f"{name}: {text}")
                continue
            finally:
                self.progress.update()
            if before:
                self.done += 1
            elif kept:
                kept.put(page)
            yield page, image

    def transcribe(self, document: Document, image: Image.Image, name: str) -> Page:
        layout = read_page(document.layout) if document.layout else None
        if layout and not layout.lines:
            self.warn(f"{document.layout} has no lines; they are found, and the output is a new file.")
            layout = None
        page = transcribe_image(image, self.pipeline, layout, self.segmenter, self.arguments.batch_size)
        for line in page.lines:
            if line.error:
                self.fail(f"{document.layout}, {line.id}: {line.error}")
        if page.is_sideways:
            self.warn(f"{name}: it seems to lie on its side; turn it and do it again.")
        self.pages += 1
        self.lines += len(page.lines)
        # A name that is not UTF-8 could not be written.
        return replace(page, image=page.image or os.fsencode(document.image.name).decode(errors="replace"))


def open_documents(arguments: argparse.Namespace) -> tuple[list[Output], list[str]]:
    """What is to be done, and the errors of the pages that cannot be opened."""
    folder = Path(arguments.output) if arguments.output else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for path in arguments.pages:
            if arguments.format not in ("text", "jsonl") and folder.resolve() == Path(path).resolve():
                raise ValueError(f"{path} is to be read; choose another --output.")
    format_pages([(Page("", 1, 1, []), Image.new("RGB", (1, 1)))], arguments.format)  # whether all is installed
    documents, failed = find_documents(arguments.pages, not arguments.find_lines, leave_out=folder)
    opened = []
    for document in documents:
        try:
            opened.append((document, PageImages(document.image)))
        except ValueError as error:
            failed.append(str(error))
    return plan_outputs(opened, folder, arguments.format, arguments.overwrite), failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pages", nargs="+", metavar="PAGE_OR_FOLDER", help="images, PDF, PAGE-XML or ALTO files, or folders of them"
    )
    parser.add_argument("--format", choices=tuple(SUFFIXES), default="text", help="what to write (default: text)")
    parser.add_argument(
        "--output", metavar="DIR", help="folder to write to (default, for text and jsonl: the terminal)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="do again what is written already, as after a change of the input"
    )
    parser.add_argument("--find-lines", action="store_true", help="find the lines, also where XML files have them")
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    parser.add_argument("--batch-size", type=positive_int, default=8, help="lines read at once (default: 8)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()
    if not arguments.output and arguments.format not in ("text", "jsonl"):
        parser.error(f"--format {arguments.format} needs --output")

    try:
        outputs, failed = open_documents(arguments)
        total = sum(len(output.indices) for output in outputs)
        with tqdm(total=total, unit="page", file=sys.stderr, disable=None) as progress:
            transcriber = Transcriber(arguments, progress)
            for error in failed:
                transcriber.fail(error)
            for output in outputs:
                transcriber.do(output)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"transcribe.py: {error}")
    print(
        f"transcribe.py: {transcriber.pages} pages with {transcriber.lines} lines read, "
        f"{transcriber.done} done before, {transcriber.failures} errors.",
        file=sys.stderr,
    )
    return 1 if transcriber.failures else 0


if __name__ == "__main__":
    sys.exit(main())
