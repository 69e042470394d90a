"""Pages as images: photographs, scans, TIFF files with several pages, PDF."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from htr_convtext.errors import InputError
from processing.errors import one_line
from processing.image_files import naming, open_file, opened
from processing.images import PAGE_PIXELS, decoded, to_rgb


PDF_DPI = 300
MAX_PDF_PIXELS = 36_000_000
MAX_PICTURE_PIXELS = 180_000_000  # of a picture in a PDF, as of other images
PDF_PICTURE = 3  # FPDF_PAGEOBJ_IMAGE
PDF_DEPTH = 8  # of forms within forms that are searched for pictures
SUBFILE_TYPE = 254  # the TIFF tag of what a frame is
PDFIUM = threading.Lock()  # which bears no second thread, not even with another document


class PageImages:
    """
    The page images of a file: `len(pages)`, and `pages[index]`, 8-bit RGB and upright, opened when it is asked for. One
    of more than `PAGE_PIXELS` is scaled down (`full_size` tells what it was).

    Args:
        max_pixels: An image with more is refused before it is decoded; by default with Pillow's limit. The pages of a
            PDF are drawn with fewer.

    Raises:
        InputError: names the file, and the page if it has several, if it is missing, empty, damaged or no image.
        ModuleNotFoundError: for a PDF, if pypdfium2 is missing.
    """

    def __init__(self, path: str | os.PathLike, max_pixels: int | None = None):
        self.path = Path(path)
        self.max_pixels = max_pixels
        with naming(path), open_file(self.path) as handle:
            self.is_pdf = b"%PDF-" in handle.read(1024)
        self.frames = self._find_sheets() if self.is_pdf else self._find_frames()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Image.Image:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} pages.")
        name = f"{self.path}, page {index + 1}" if len(self) > 1 else str(self.path)
        return self._render(index, name) if self.is_pdf else self._open(self.frames[index], name)

    @contextmanager
    def _pdf(self, name: str | os.PathLike) -> Iterator[Any]:
        """The opened PDF; errors of what is done with it name it `name`."""
        try:
            import pypdfium2
        except ModuleNotFoundError:
            raise ModuleNotFoundError("PDF files need pypdfium2: pip install 'htr-convtext[pages]'") from None
        try:
            with PDFIUM, pypdfium2.PdfDocument(self.path) as document:
                yield document
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        except MemoryError:
            raise InputError(f"{name}: there is not enough memory to open it.") from None
        except Exception as error:  # pypdfium2 raises almost anything on damaged files
            if "password" in str(error).lower():
                raise InputError(f"{name}: the PDF needs a password; save it without one.") from None
            raise InputError(
                f"{name}: the file is damaged or cut short; export it again. ({one_line(error)})"
            ) from error

    def _find_sheets(self) -> range:
        with self._pdf(self.path) as document:
            return range(len(document))

    def _find_frames(self) -> list[int]:
        """The frames that are pages; the others of a TIFF, and the further ones of other formats, are previews."""
        with opened(self.path) as image:
            if image.format != "TIFF":
                return [0]
            return [frame for frame in range(image.n_frames) if not _is_preview(image, frame)] or [0]

    def _open(self, frame: int, name: str) -> Image.Image:
        with opened(self.path, name) as image:
            image.seek(frame)
            if self.max_pixels and image.width * image.height > self.max_pixels:
                raise Image.DecompressionBombError(
                    f"{image.width} × {image.height}, more than {self.max_pixels // 10**6} million"
                )
            return decoded(image, to_rgb, PAGE_PIXELS)

    def _render(self, index: int, name: str) -> Image.Image:
        with self._pdf(name) as document:
            page = document[index]
            _check_pictures(page)
            width, height = page.get_size()  # in points, 72 to the inch
            most = min(MAX_PDF_PIXELS, self.max_pixels or MAX_PDF_PIXELS)
            # A side has a pixel at least, so the other one cannot have more than all.
            scale = min(PDF_DPI / 72, (most / (width * height)) ** 0.5, most / max(width, height))
            return page.render(scale=scale).to_pil().convert("RGB")


def _check_pictures(page) -> None:
    """Raises an `InputError` for a page of a PDF with a picture that would take too much memory to decode."""
    for picture in page.get_objects(filter=[PDF_PICTURE], max_depth=PDF_DEPTH):
        width, height = picture.get_px_size()
        if width * height > MAX_PICTURE_PIXELS:
            raise InputError(f"a picture in the page has {width} × {height} pixels, too many; scale it down first.")


def _is_preview(image: Image.Image, frame: int) -> bool:
    """Whether a frame of a TIFF is a smaller version of another; a damaged one is not, and is reported when opened."""
    try:
        image.seek(frame)
    except Exception:  # readers raise almost anything on damaged files
        return False
    return bool(image.tag_v2.get(SUBFILE_TYPE, 0) & 1)
