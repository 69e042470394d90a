"""Files of transcribed pages: text, JSONL, PAGE-XML, ALTO, PDF."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from PIL import Image

from .page import Page


# What follows the name of the input. XML has one page a file, the other formats hold a whole document.
SUFFIXES = {"text": ".txt", "jsonl": ".jsonl", "page": ".xml", "alto": ".xml", "pdf": ".pdf"}
PRINTABLE = ("text", "jsonl")  # on a terminal
ONE_PAGE_A_FILE = {"page": "PcGts", "alto": "alto"}  # and the names of their root elements


def to_jsonl(page: Page) -> str:
    """
    An object a line, in reading order.

    `image` is the name of the file and `page` the number of the page in it; then `region`, `line`, `text`, `score`,
    `polygon`, `baseline`, `words` (each `text`, `score` and `polygon`) and, where a line was not read, `error`.
    """
    rows = []
    for region in page.regions:
        for line in region.lines:
            row = {
                "image": page.image,
                "page": page.number,
                "region": region.id,
                "line": line.id,
                "text": line.text,
                "score": line.score,
                "polygon": line.polygon,
                "baseline": line.baseline,
                "words": [asdict(word) for word in line.words],
            }
            rows.append(json.dumps(row | ({"error": line.error} if line.error else {}), ensure_ascii=False))
    return "".join(row + "\n" for row in rows)


def format_pages(pages: Iterable[tuple[Page, Image.Image]], output_format: str) -> bytes:
    """
    Pages of one file, each with its RGB image, in a format: `text` (a form feed between pages), `jsonl`, `pdf`, or, for
    a single page, `page` or `alto`.

    Raises:
        ModuleNotFoundError: names what must be installed.
    """
    if output_format == "text":
        return "\f".join(page.text + "\n" for page, _ in pages).encode()
    if output_format == "jsonl":
        return "".join(to_jsonl(page) for page, _ in pages).encode()
    try:
        if output_format == "pdf":
            from .pdf_writer import to_pdf

            return to_pdf(pages)
        from .xml_writer import to_xml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{output_format} needs {error.name}: pip install 'htr-convtext[pages]'") from None
    ((page, _),) = pages
    return to_xml(page, output_format)
