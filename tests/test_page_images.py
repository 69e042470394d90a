"""Pages as images: files of one page and several, every mode, damaged ones."""

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from htr_convtext.documents import PageImages


def test_images_of_several_pages(tmp_path):
    sheets = [Image.new("L", (30 + n, 20), 100 * n) for n in range(3)]
    sheets[0].save(tmp_path / "a.tif", save_all=True, append_images=sheets[1:])
    pages = PageImages(tmp_path / "a.tif")
    assert [pages[n].size for n in range(len(pages))] == [(30, 20), (31, 20), (32, 20)]
    assert pages[2].getpixel((0, 0)) == (200, 200, 200)
    rgb = [sheet.convert("RGB") for sheet in sheets]
    rgb[0].save(tmp_path / "a.pdf", save_all=True, append_images=rgb[1:], resolution=300)
    pages = PageImages(tmp_path / "a.pdf")
    assert np.array([pages[n].size for n in range(len(pages))]) == pytest.approx(
        np.array([(30, 20), (31, 20), (32, 20)]), abs=1
    )
    with pytest.raises(IndexError, match="3 pages"):
        pages[3]


def test_smaller_versions_in_a_tiff_are_no_pages(tmp_path):
    sheets = [Image.new("L", (30 - n, 20)) for n in range(4)]
    for index in (1, 3):
        sheets[index].encoderinfo = {"tiffinfo": {254: 1}}
    sheets[0].save(tmp_path / "a.tif", save_all=True, append_images=sheets[1:])
    assert [image.width for image in PageImages(tmp_path / "a.tif")] == [30, 28]


@pytest.mark.parametrize("mode", ["1", "LA", "RGBA", "CMYK", "I;16", "P"])
def test_images_of_every_mode(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 65535, dtype=np.uint16))
    else:
        image = Image.new("RGB", (30, 20), "white").convert(mode)
    image.save(tmp_path / "a.tif")
    (image,) = list(PageImages(tmp_path / "a.tif"))
    assert (image.mode, image.size, image.getpixel((3, 3))) == ("RGB", (30, 20), (255, 255, 255))


def test_an_image_is_turned_upright(tmp_path):
    image = Image.new("L", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert PageImages(tmp_path / "a.jpg")[0].size == (20, 30)


def test_images_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:5000])
    canvas = Canvas(str(tmp_path / "secret.pdf"), encrypt="secret")
    canvas.showPage()
    canvas.save()
    for name, reason in {
        "secret.pdf": "password",
        "gone.png": "no such file",
        "empty.jpg": "not an image",
        "text.png": "not an image",
        "broken.pdf": "damaged",
        "cut.png": "damaged",
        ".": "folder",
    }.items():
        with pytest.raises(ValueError, match=reason) as error:
            PageImages(tmp_path / name)[0]
        assert str(tmp_path / name) in str(error.value)


def test_images_with_too_many_pixels(tmp_path):
    image = Image.new("RGB", (300, 200))
    for name in ("a.png", "a.pdf"):
        image.save(tmp_path / name)
    with pytest.raises(ValueError, match=r"a\.png: too many pixels"):
        PageImages(tmp_path / "a.png", max_pixels=50_000)[0]
    assert PageImages(tmp_path / "a.png", max_pixels=60_000)[0].size == (300, 200)
    width, height = PageImages(tmp_path / "a.pdf", max_pixels=50_000)[0].size
    assert 45_000 < width * height < 51_000
