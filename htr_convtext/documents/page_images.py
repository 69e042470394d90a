"""Pages as images: photographs, scans, TIFF files with several pages, PDF."""

import os
import threading
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from htr_convtext.errors import InputError
from processing.images import to_rgb, upright


PDF_DPI = 300
MAX_PDF_PIXELS = 36_000_000
SUBFILE_TYPE = 254  # the TIFF tag of what a frame is
PDFIUM = threading.Lock()  # which bears no second thread, not even with another document


class PageImages:
    """
    The page images of a file: `len(pages)`, and `pages[index]`, 8-bit RGB and upright, opened when it is asked for.

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
        self.is_pdf = False
        try:
            with self.path.open("rb") as handle:
                self.is_pdf = b"%PDF-" in handle.read(1024)
            self.frames = self._find_sheets() if self.is_pdf else self._find_frames()
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file.") from None
        except IsADirectoryError:
            raise InputError(f"{path}: this is a folder; give the page images in it.") from None
        except UnidentifiedImageError:
            raise InputError(f"{path}: not an image or PDF, or of a format that Pillow cannot read.") from None
        except Image.DecompressionBombError as error:
            raise self._too_large(error) from None
        except ModuleNotFoundError:
            raise
        except Exception as error:  # readers raise almost anything on damaged files
            if self.is_pdf and "password" in str(error).lower():
                raise InputError(f"{path}: the PDF needs a password; save it without one.") from None
            raise InputError(f"{path}: the file is damaged or cut short; export it again. ({error})") from error

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Image.Image:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} pages.")
        name = f"{self.path}, page {index + 1}" if len(self) > 1 else self.path
        try:
            image = self._render(index) if self.is_pdf else self._open(self.frames[index])
        except Image.DecompressionBombError as error:
            raise self._too_large(error) from None
        except Exception as error:  # readers raise almost anything on damaged files
            raise InputError(f"{name}: the image is damaged or cut short; export it again. ({error})") from error
        if 0 in image.size:
            raise InputError(f"{name}: the image is empty.")
        return image

    def _pdf(self):
        try:
            import pypdfium2
        except ModuleNotFoundError:
            raise ModuleNotFoundError("PDF files need pypdfium2: pip install 'htr-convtext[pages]'") from None
        return pypdfium2.PdfDocument(self.path)

    def _too_large(self, error: Image.DecompressionBombError) -> InputError:
        return InputError(f"{self.path}: too many pixels for a page; scale it down first. ({error})")

    def _find_sheets(self) -> range:
        with PDFIUM, self._pdf() as document:
            return range(len(document))

    def _find_frames(self) -> list[int]:
        """The frames that are pages; the others of a TIFF, and the further ones of other formats, are previews."""
        with Image.open(self.path) as image:
            if image.format != "TIFF":
                return [0]
            return [frame for frame in range(image.n_frames) if not _is_preview(image, frame)] or [0]

    def _open(self, frame: int) -> Image.Image:
        with Image.open(self.path) as image:
            image.seek(frame)
            if self.max_pixels and image.width * image.height > self.max_pixels:
                raise Image.DecompressionBombError(
                    f"{image.width} × {image.height}, more than {self.max_pixels // 10**6} million"
                )
            return to_rgb(upright(image))

    def _render(self, index: int) -> Image.Image:
        with PDFIUM, self._pdf() as document:
            page = document[index]
            width, height = page.get_size()  # in points, 72 to the inch
            most = min(MAX_PDF_PIXELS, self.max_pixels or MAX_PDF_PIXELS)
            scale = min(PDF_DPI / 72, (most / (width * height)) ** 0.5)
            return page.render(scale=scale).to_pil().convert("RGB")


def _is_preview(image: Image.Image, frame: int) -> bool:
    """Whether a frame of a TIFF is a smaller version of another; a damaged one is not, and is reported when opened."""
    try:
        image.seek(frame)
    except Exception:  # readers raise almost anything on damaged files
        return False
    return bool(image.tag_v2.get(SUBFILE_TYPE, 0) & 1)
