"""
Opens damaged files and prints what goes wrong; see `test_bounded_memory.py`, which runs it under a limit of memory.

    python -m tests.damaged_files FOLDER
"""

import io
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from htr_convtext import InputError
from htr_convtext.documents import PageImages, cut_line, format_pages, read_page
from htr_convtext.documents.geometry import bounding_box
from htr_convtext.documents.layout import in_pixels
from htr_convtext.documents.page import Page, PageLine, Region
from processing.images import open_image


IMAGES, DOCUMENTS = 200, 60


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A file after one of the accidents that files have."""
    data = bytearray(content)
    kind = chance.randrange(5)
    if kind == 0:  # cut short
        return bytes(data[: chance.randrange(len(data))])
    if kind == 1:  # some bytes changed
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 2:  # in the first bytes, where sizes and offsets stand
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(min(200, len(data)))] = chance.choice([0, 1, 127, 128, 255])
    elif kind == 3:  # a part twice
        start, length = chance.randrange(len(data)), chance.randint(1, 200)
        data[start:start] = data[start : start + length]
    else:  # a part lost
        start = chance.randrange(len(data))
        del data[start : start + chance.randint(1, 200)]
    return bytes(data)


def image_files() -> list[bytes]:
    """One picture in several formats."""
    picture = Image.new("L", (300, 60), 230)
    ImageDraw.Draw(picture).line([(10, 40), (60, 20), (140, 50), (280, 15)], fill=20, width=3)
    files = []
    for name, mode, options in [
        ("PNG", "L", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "I;16", {}), ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}), ("TIFF", "L", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "1", {"compression": "group4"}), ("WEBP", "RGB", {}), ("BMP", "L", {}), ("GIF", "L", {}),
        ("JPEG2000", "L", {}), ("PPM", "L", {}),
    ]:  # fmt: skip
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, name, **options)
        files.append(buffer.getvalue())
    return files


def document_files() -> list[tuple[str, bytes]]:
    """A page as PAGE-XML, ALTO and PDF, each with its suffix."""
    image = Image.new("RGB", (300, 200), "white")
    lines = [
        PageLine(f"l{n}", "abc & abc", [(10, n), (290, n), (290, n + 40), (10, n + 40)], [(10, n + 30), (290, n + 20)])
        for n in (10, 70, 130)
    ]
    page = Page("page.png", 300, 200, [Region("r", [(0, 0), (300, 0), (300, 200), (0, 200)], lines)])
    return [(suffix, format_pages([(page, image)], kind)) for kind, suffix in
            [("page", ".xml"), ("alto", ".xml"), ("pdf", ".pdf")]]  # fmt: skip


def open_document(path: Path) -> None:
    if path.suffix == ".pdf":
        for image in PageImages(path):
            image.load()
        return
    page = in_pixels(read_page(path), Image.new("L", (300, 200), 255))
    for line in page.lines:
        try:
            cut_line(Image.new("L", (300, 200), 255), line.polygon, line.baseline)
        except InputError as error:
            if line.polygon and not str(error):
                raise AssertionError(bounding_box(line.polygon)) from None


def attempt(path: Path, opening: Callable[[Path], object]) -> bool:
    """Whether a file is opened, or refused by its name in one line; prints what else happens."""
    try:
        opening(path)
    except InputError as error:
        if path.name in str(error) and "\n" not in str(error) and len(str(error)) < 500 + len(str(path)):
            return True
        print(f"{path.name}: unclear: {error}")
    except Exception:
        print(f"{path.name}: {traceback.format_exc()}")
    else:
        return True
    return False


def main(folder: Path) -> int:
    warnings.simplefilter("ignore")  # of Pillow, about damage
    chance = random.Random(22)
    failed = refused = 0
    files = image_files()
    for number in range(IMAGES):
        path = folder / f"{number}.png"
        path.write_bytes(damaged(chance.choice(files), chance))
        for opening in (open_image, lambda path: PageImages(path)[0]):
            failed += not attempt(path, opening)
        refused += not _opens(path)
    documents = document_files()
    for number in range(DOCUMENTS):
        suffix, content = documents[number % len(documents)]
        path = folder / f"d{number}{suffix}"
        path.write_bytes(damaged(content, chance))
        failed += not attempt(path, open_document)
    print(f"{IMAGES} images, {refused} of them refused, {DOCUMENTS} documents, {failed} failures")
    return 1 if failed else 0


def _opens(path: Path) -> bool:
    try:
        open_image(path)
    except InputError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
