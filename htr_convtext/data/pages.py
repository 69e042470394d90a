"""Lines cut out of page images by their PAGE-XML or ALTO files."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

from PIL import Image as PILImage
from PIL import __version__ as PIL_VERSION

import htr_convtext.pages
from htr_convtext.pages.documents import find_page_image
from htr_convtext.pages.geometry import cut_line
from htr_convtext.pages.layout import in_pixels
from htr_convtext.pages.page import PageLine
from htr_convtext.pages.xml_reader import read_page, root_name
from processing.image_processing_htr_convtext import open_image

from .items import LineItems, code_stamp, file_stamp


logger = logging.getLogger(__name__)


def read_pages(files: list[Path], folder: Path) -> LineItems:
    """
    The lines of some pages, with `page` (the way from `folder` to the XML file, without suffix) and `line_id`.

    A file that is no page or has no image is left out, as is a line without text, or without polygon and baseline, and
    an ALTO file of an image that has PAGE-XML too: Transkribus exports both. The images are opened when the lines are
    made; of an image that cannot be read every line is an empty image.
    """
    found = LineItems([], columns=["page", "line_id"], generate=cut_lines)
    # `datasets` keeps what was cut out: not for other code, nor what this Pillow could not open for another.
    code = code_stamp([Path(__file__), *Path(htr_convtext.pages.__file__).parent.glob("*.py")])
    maker = [code, PIL_VERSION, PILImage.MAX_IMAGE_PIXELS]
    for file in files:
        try:
            page = read_page(file)
            image = find_page_image(file, page)
        except (OSError, ValueError) as error:
            found.skipped.append((str(file), str(error).removeprefix(f"{file}: ")))
            continue
        name = file.relative_to(folder).with_suffix("").as_posix()
        usable = 0
        for line in page.lines:
            if is_usable(line):
                usable += 1
            else:
                reason = "no polygon or baseline" if line.text.strip() else "no text"
                found.skipped.append((f"{name}#{line.id}", reason))
        if not page.lines:
            found.skipped.append((str(file), "a page without lines"))
        if usable:
            stamp = file_stamp(file) + file_stamp(image)
            item = {"xml": str(file), "image": str(image), "page": name, "stamp": stamp, "maker": maker}
            found.items.append(item)
    alto = {item["xml"] for item in found.items if root_name(item["xml"]) == "alto"}
    described = {item["image"] for item in found.items if item["xml"] not in alto}
    twice = {item["xml"] for item in found.items if item["xml"] in alto and item["image"] in described}
    found.skipped += [(file, "its image has PAGE-XML too") for file in sorted(twice)]
    found.items = [item for item in found.items if item["xml"] not in twice]
    return found


def is_usable(line: PageLine) -> bool:
    return bool(line.text.strip() and (line.polygon or line.baseline))


def cut_lines(items: list[dict]) -> Iterator[dict]:
    """Opens pages and yields their lines as PNG, grey and white outside of the polygon."""
    for item in items:
        file, page = Path(item["xml"]), read_page(item["xml"])
        try:
            image = open_image(item["image"])
            page = in_pixels(page, image)
        except ValueError as error:
            logger.warning("%s: %s; its lines are empty images.", file, error)
            image = None
        for line in filter(is_usable, page.lines):
            name = f"{item['page']}#{line.id}"
            content = {"bytes": b"", "path": name}
            if image is not None:
                try:
                    crop = cut_line(image, line.polygon, line.baseline).image
                except ValueError as error:
                    logger.warning("%s, %s: %s; it is an empty image.", item["image"], line.id, error)
                else:
                    buffer = io.BytesIO()
                    crop.save(buffer, "PNG")
                    content["bytes"] = buffer.getvalue()
            yield {"image": content, "text": line.text, "page": item["page"], "line_id": line.id}
