"""Lines cut out of page images by their PAGE-XML or ALTO files."""

import io
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image as PILImage
from PIL import __version__ as PIL_VERSION

import htr_convtext.documents
from htr_convtext.documents.files import alto_beside_page_xml, find_page_image, main_layouts
from htr_convtext.documents.geometry import cut_line
from htr_convtext.documents.layout import in_pixels
from htr_convtext.documents.page import Page, PageLine
from htr_convtext.documents.xml_reader import read_page
from htr_convtext.errors import InputError
from processing.images import PAGE_PIXELS, open_image, prepared, to_grey

from .items import LineItems, code_stamp, file_stamp, report_skipped


REASON = re.compile(r"(.*?)\.?(?: \((.*)\))?", re.DOTALL)  # of an error, and its details


def read_pages(files: list[Path], folder: Path, words: bool = False) -> LineItems:
    """
    The lines of some pages, with `page` (the way from `folder` to the XML file, without suffix) and `line_id`.

    A file that is no page or has no image is left out, as is a line without text, or without polygon and baseline, and
    an ALTO file of an image that has PAGE-XML too: Transkribus exports both. Of two files of one format that describe
    one image one is read (`main_layouts`). The images are opened when the lines are made; of an image that cannot be
    read every line is an empty image.

    Args:
        words: Whether to take the words that the files mark instead of the lines; what is marked as a word but holds
            several, as whole lines are in ALTO of many programs, is left out.
    """
    unit = "word" if words else "line"
    found = LineItems([], columns=["page", f"{unit}_id"], generate=cut_lines)
    # `datasets` keeps what was cut out: not for other code, nor what this Pillow could not open for another.
    code = code_stamp([Path(__file__), *Path(htr_convtext.documents.__file__).parent.glob("*.py")])
    maker = [code, PIL_VERSION, PILImage.MAX_IMAGE_PIXELS]
    images: dict[Path, Path] = {}
    alto: set[Path] = set()
    items: dict[Path, dict] = {}
    left_out: dict[Path, list[tuple[str, str]]] = {}
    for file in files:
        try:
            page = read_page(file, words)
        except OSError as error:
            left_out[file] = [(str(file), error.strerror or str(error))]
            continue
        except InputError as error:
            left_out[file] = [_with_details(str(file), str(error).removeprefix(f"{file}: "))]
            continue
        try:
            image = find_page_image(file, page.image)
        except InputError:
            left_out[file] = [(f"{file} ({page.image})" if page.image else str(file), "no page image")]
            continue
        name = file.relative_to(folder).with_suffix("").as_posix()
        reasons = [(f"{name}#{line.id}", reason_against(line, unit)) for line in page.lines]
        left_out[file] = [_with_details(line, reason) for line, reason in reasons if reason]
        if not page.lines:
            left_out[file].append((str(file), f"a page without {unit}s"))
        has_lines = len(left_out[file]) < len(reasons)
        if page.format == "alto":
            alto.add(file)
        if has_lines or file in alto:
            images[file] = image.resolve()
        if has_lines:
            stamp = file_stamp(file) + file_stamp(image)
            items[file] = {
                "xml": str(file),
                "image": str(image),
                "page": name,
                "unit": unit,
                # As bytes they are small, and `datasets` makes its hash of the items in no time.
                "content": pickle.dumps(replace(page, source=None)),
                "stamp": stamp,
                "maker": maker,
            }
    for file in alto_beside_page_xml(images, alto):
        items.pop(file, None)
        left_out[file] = [(str(file), "its image has PAGE-XML too")]
    for main, others in main_layouts({file: images[file] for file in items}).items():
        for file in others:
            items.pop(file)
            left_out[file] = [(f"{file} (beside {main.name})", "its image has another XML file too")]
    found.items = list(items.values())
    found.skipped = [each for of_file in left_out.values() for each in of_file]
    return found


def _with_details(name: str, reason: str) -> tuple[str, str]:
    """Name and reason, the details of the latter with the name, so that all of a kind are counted together."""
    reason, details = REASON.fullmatch(reason).groups()
    return f"{name} ({details})" if details else name, reason


def reason_against(line: PageLine, unit: str) -> str | None:
    """Why a line, or a word, cannot be used, if it cannot."""
    if not line.text.strip():
        return "no text"
    if unit == "word" and len(line.text.split()) > 1:
        return "several words in one"
    if line.error:
        return line.error
    return None if line.polygon or line.baseline else "no polygon or baseline"


def cut_lines(items: list[dict]) -> Iterator[dict]:
    """Opens pages and yields their lines as PNG, grey and white outside of the polygon."""
    failed: list[tuple[str, str]] = []
    noted: list[tuple[str, str]] = []
    for item in items:
        page: Page = pickle.loads(item["content"])
        try:
            image = open_image(item["image"], most_pixels=PAGE_PIXELS)
            page = in_pixels(page, image)
        except InputError as error:
            failed.append((f"{item['xml']} ({error})", "pages whose image cannot be read"))
            image = None
        else:
            noted += [(item["xml"], note) for note in page.notes]
        for line in page.lines:
            if reason_against(line, item["unit"]):
                continue
            name = f"{item['page']}#{line.id}"
            content = {"bytes": b"", "path": name}
            if image is not None:
                try:
                    crop = prepared(cut_line(image, line.polygon, line.baseline).image, to_grey)
                except InputError as error:
                    failed.append((f"{name} ({error})", f"{item['unit']}s that cannot be cut out"))
                else:
                    buffer = io.BytesIO()
                    crop.save(buffer, "PNG")
                    content["bytes"] = buffer.getvalue()
            yield {"image": content, "text": line.text, "page": item["page"], f"{item['unit']}_id": line.id}
    report_skipped("PAGE-XML and ALTO", failed, "became empty images")
    report_skipped("PAGE-XML and ALTO", noted, "pages")
