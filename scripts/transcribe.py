"""Transcribe pages: find their lines, read them, write text, JSONL, PAGE-XML, ALTO or searchable PDF.

Examples:
    python scripts/transcribe.py scan.jpg
    python scripts/transcribe.py letters minutes.pdf --format pdf --output searchable
    python scripts/transcribe.py export --format page --output transcribed
    python scripts/transcribe.py export --find-lines --format alto --output transcribed --model my_model

A page is a photograph or scan (PNG, JPEG, TIFF, PDF, also of several pages), or a PAGE-XML or ALTO file beside its
image (of Transkribus or eScriptorium): then its lines are taken, and its ids and everything but the text stay as they
are. A folder stands for all of these in it and below. What is written already is left out, so the same command goes on
where it stopped. A page that cannot be read is reported and left out; the exit code is then 1. The pages of a document
that was broken off, or has such a page, are kept in DIR/NAME.pages for the next time.
"""

import argparse
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
from htr_convtext.pages.outputs import ONE_PAGE_A_FILE, SUFFIXES, format_pages, write_whole
from htr_convtext.recognition import load_pipeline


class Transcriber:
    """Reads the pages of documents one by one, and counts."""

    def __init__(self, arguments: argparse.Namespace):
        self.pipeline = load_pipeline(arguments.model, arguments.device)
        self.segmenter = TextDetector()
        self.batch_size = arguments.batch_size
        self.pages = self.lines = self.done = self.failures = 0

    def fail(self, error: object) -> None:
        self.failures += 1
        self.warn(error)

    def warn(self, text: object) -> None:
        tqdm.write(f"transcribe.py: {text}", file=sys.stderr)

    def read(
        self, document: Document, images: PageImages, index: int, kept: KeptPages | None
    ) -> tuple[Page, Image.Image] | None:
        """A page, new or kept, and its image, or `None` if it could not be read."""
        try:
            image = images[index]
            page = kept.get(index + 1, newer_than=document.image) if kept else None
            if page:
                self.done += 1
                return page, image
            layout = read_page(document.layout) if document.layout else None
            page = transcribe_image(
                image, self.pipeline, layout if layout and layout.lines else None, self.segmenter, self.batch_size
            )
        except (ValueError, OSError) as error:
            self.fail(error)
            return None
        for line in page.lines:
            if line.error:
                self.fail(f"{document.layout}, {line.id}: {line.error}")
        if page.is_sideways:
            self.warn(f"{document.image}, page {index + 1}: it seems to lie on its side; turn it and do it again.")
        self.pages += 1
        self.lines += len(page.lines)
        page = replace(page, image=page.image or document.image.name, number=index + 1)
        if kept:
            kept.put(page)
        return page, image


def is_done(target: Path, document: Document, kept: KeptPages | None) -> bool:
    """Whether the output is there, whole, and not older than what it is made from."""
    if not target.exists() or (kept and kept.folder.exists()):
        return False
    sources = [path for path in (document.image, document.layout) if path]
    return all(target.stat().st_mtime >= source.stat().st_mtime for source in sources)


def targets(document: Document, count: int, arguments: argparse.Namespace) -> list[tuple[Path | None, list[int]]]:
    """The output files of a document of `count` pages, `None` for the terminal, and the pages that each has."""
    if not arguments.output:
        return [(None, list(range(count)))]
    suffix = SUFFIXES[arguments.format]
    stem = Path(arguments.output, document.name)
    if arguments.format not in ONE_PAGE_A_FILE or count == 1:
        return [(stem.with_name(stem.name + suffix), list(range(count)))]
    return [(stem.with_name(f"{stem.name}_{index + 1:04}{suffix}"), [index]) for index in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pages", nargs="+", metavar="PAGE_OR_FOLDER", help="images, PDF, PAGE-XML or ALTO files, or folders of them"
    )
    parser.add_argument("--format", choices=tuple(SUFFIXES), default="text", help="what to write (default: text)")
    parser.add_argument(
        "--output", metavar="DIR", help="folder to write to (default, for text and jsonl: the terminal)"
    )
    parser.add_argument("--overwrite", action="store_true", help="do again what is written already")
    parser.add_argument("--find-lines", action="store_true", help="find the lines, also where XML files have them")
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    parser.add_argument("--batch-size", type=positive_int, default=8, help="lines read at once (default: 8)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()
    if not arguments.output and arguments.format not in ("text", "jsonl"):
        parser.error(f"--format {arguments.format} needs --output")

    try:
        documents, failed = find_documents(arguments.pages, use_layout=not arguments.find_lines)
        for document in documents:
            for target, _ in targets(document, 1, arguments):
                if target and document.layout and target.resolve() == document.layout.resolve():
                    raise ValueError(f"{target} would be written over; choose another --output.")
        transcriber = Transcriber(arguments)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"transcribe.py: {error}")
    for error in failed:
        transcriber.fail(error)

    opened: list[tuple[Document, PageImages]] = []
    for document in documents:
        try:
            opened.append((document, PageImages(document.image)))
        except (ValueError, ModuleNotFoundError) as error:
            transcriber.fail(error)
    with tqdm(total=sum(len(images) for _, images in opened), unit="page", file=sys.stderr, disable=None) as progress:

        def read(
            document: Document, images: PageImages, indices: list[int], kept: KeptPages | None
        ) -> Iterator[tuple[Page, Image.Image]]:
            for index in indices:
                result = transcriber.read(document, images, index, kept)
                progress.update()
                if result:
                    yield result

        for document, images in opened:
            for target, indices in targets(document, len(images), arguments):
                kept = KeptPages(target) if target and len(indices) > 1 else None
                if kept and arguments.overwrite:
                    kept.clear()
                if target and not arguments.overwrite and is_done(target, document, kept):
                    transcriber.done += len(indices)
                    progress.update(len(indices))
                    continue
                failures = transcriber.failures
                results = read(document, images, indices, kept)
                first = next(results, None)
                if first is None:
                    continue
                content = format_pages(chain([first], results), arguments.format)
                if not target:
                    with progress.external_write_mode(file=sys.stderr):
                        sys.stdout.buffer.write(content)
                        sys.stdout.flush()
                    continue
                write_whole(target, content)
                if kept and transcriber.failures == failures:
                    kept.clear()
    print(
        f"transcribe.py: {transcriber.pages} pages with {transcriber.lines} lines read, "
        f"{transcriber.done} done before, {transcriber.failures} errors.",
        file=sys.stderr,
    )
    return 1 if transcriber.failures else 0


if __name__ == "__main__":
    sys.exit(main())
