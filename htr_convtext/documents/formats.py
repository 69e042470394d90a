"""Files of transcribed pages: text, JSONL, PAGE-XML, ALTO, PDF."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace

from PIL import Image

from htr_convtext.doubt import marked

from .page import Page


# What follows the name of the input. XML has one page a file, the other formats hold a whole document.
SUFFIXES = {"text": ".txt", "jsonl": ".jsonl", "page": ".xml", "alto": ".xml", "pdf": ".pdf"}
PRINTABLE = ("text", "jsonl")  # on a terminal
ONE_PAGE_A_FILE = {"page": "PcGts", "alto": "alto"}  # and the names of their root elements


def to_jsonl(page: Page, min_confidence: float | None = None) -> str:
    """
    An object a line, in reading order.

    `image` is the name of the file and `page` the number of the page in it; then `region`, `line`, `text`, `score`,
    `polygon`, `baseline`, `words` (each `text`, `score` and `polygon`) and, where a line was not read, `error`. What
    read it is its `decoder`; if that is calibrated there are the id of the `calibration`, the probability that the line
    is right (`confidence`), its `expected_cer`, and that of the page with its bounds (`page_expected_cer`).

    Args:
        min_confidence: Adds to each word, and to lines without words, whether it is `doubtful`: less sure than that.
    """
    rows, of_page = [], {}
    if page.provenance is not None:
        of_page["decoder"] = page.provenance.decoder
        if page.provenance.calibration is not None:
            of_page["calibration"] = page.provenance.calibration
    if page.expected_cer is not None:
        of_page["page_expected_cer"] = asdict(page.expected_cer)
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
            if line.score is not None:
                row |= of_page
            if line.confidence is not None:
                row |= {"confidence": line.confidence.line, "expected_cer": line.confidence.cer}
            if min_confidence is not None:
                for word in row["words"]:
                    word["doubtful"] = word["score"] < min_confidence
                if not line.words:
                    row["doubtful"] = bool(line.doubtful_parts(min_confidence))
            rows.append(json.dumps(row | ({"error": line.error} if line.error else {}), ensure_ascii=False))
    return "".join(row + "\n" for row in rows)


def to_text(page: Page, min_confidence: float | None = None) -> str:
    """`Page.text`, with a mark after words that are less sure (`marked`)."""
    if min_confidence is not None:
        marks = (marked(line.text, line.doubtful_parts(min_confidence)) for line in page.lines)
        page = page.with_lines(replace(line, text=text) for line, text in zip(page.lines, marks, strict=True))
    return page.text


def format_pages(
    pages: Iterable[tuple[Page, Image.Image]], output_format: str, min_confidence: float | None = None
) -> bytes:
    """
    Pages of one file, each with its RGB image, in a format: `text` (a form feed between pages), `jsonl`, `pdf`, or, for
    a single page, `page` or `alto`.

    Args:
        min_confidence: Marks the words that are less sure; in text by `[?]`, otherwise as `to_jsonl`, `to_xml` and
            `to_pdf` say. A line in which nothing was read is marked likewise, but in PDF.

    Raises:
        ModuleNotFoundError: names what must be installed.
    """
    if output_format == "text":
        return "\f".join(to_text(page, min_confidence) + "\n" for page, _ in pages).encode()
    if output_format == "jsonl":
        return "".join(to_jsonl(page, min_confidence) for page, _ in pages).encode()
    try:
        if output_format == "pdf":
            from .pdf_writer import to_pdf

            return to_pdf(pages, min_confidence)
        from .xml_writer import to_xml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{output_format} needs {error.name}: pip install 'htr-convtext[pages]'") from None
    ((page, _),) = pages
    return to_xml(page, output_format, min_confidence)
