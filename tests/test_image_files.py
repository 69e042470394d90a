"""Image files from anywhere: which are opened, how large they may be, and what stays of a large one."""

import base64
import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from htr_convtext import InputError
from htr_convtext.documents import PageImages
from processing import image_files, images
from processing.images import full_size, open_image
from tests.helpers import draw_line, load_pipeline


@pytest.fixture(scope="module")
def pipe():
    return load_pipeline()


def stripes(width: int = 60, height: int = 40) -> Image.Image:
    """Each pixel tells where it is."""
    return Image.fromarray(np.add.outer(np.arange(height) * 2, np.arange(width) * 2).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_turned_tiff(tmp_path, orientation, compression):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stripes().save(tmp_path / "line.tif", compression=compression, tiffinfo={274: orientation})
    tagged = stripes()
    tagged.info["exif"] = exif.tobytes()
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "line.tif")), expected)
    np.testing.assert_array_equal(np.asarray(PageImages(tmp_path / "line.tif")[0])[..., 0], expected)


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.uint16, 4095), (np.uint16, 1023), (np.uint16, 65535), (np.uint16, 255), (np.int32, 65535),
        (np.float32, 1), (np.float32, 255), (np.float32, 4095), (np.float32, 65535),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_deep_images_of_any_range(tmp_path, values, white, suffix):
    if suffix == "png" and values is not np.uint16:
        suffix = "tif"
    shares = np.linspace(0, 1, 50)[None].repeat(10, 0)
    Image.fromarray((shares * white).astype(values)).save(tmp_path / f"deep.{suffix}")
    opened = np.asarray(open_image(tmp_path / f"deep.{suffix}"), dtype=float)
    np.testing.assert_allclose(opened, shares * 255, atol=1.5)


def test_a_tiff_says_what_white_is_and_where(tmp_path):
    dark = np.full((10, 20), 1000, np.uint16)
    Image.fromarray(dark).save(tmp_path / "said.tif", tiffinfo={281: 4000})
    assert open_image(tmp_path / "said.tif").getpixel((0, 0)) == 64
    inverted = np.zeros((10, 20), np.uint16)
    inverted[:, :5] = 65535
    Image.fromarray(inverted).save(tmp_path / "inverted.tif", tiffinfo={262: 0})
    opened = open_image(tmp_path / "inverted.tif")
    assert (opened.getpixel((0, 0)), opened.getpixel((19, 0))) == (0, 255)


def eps() -> bytes:
    buffer = io.BytesIO()
    stripes().save(buffer, "EPS")
    return buffer.getvalue()


def test_no_program_is_started_for_an_image(tmp_path, monkeypatch, pipe):
    def start(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", start)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", start)
    (tmp_path / "page.png").write_bytes(eps())
    for opening in (
        lambda: open_image(tmp_path / "page.png"),
        lambda: open_image({"bytes": eps(), "path": "page.png"}),
        lambda: PageImages(tmp_path / "page.png"),
        lambda: pipe(str(tmp_path / "page.png")),
        lambda: pipe(base64.b64encode(eps()).decode()),
    ):
        with pytest.raises(InputError, match=r"not an image|no such file"):
            opening()


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for opening in (open_image, PageImages):
        with pytest.raises(InputError, match=r"pipe\.png: not a file, but a pipe"):
            opening(tmp_path / "pipe.png")


def test_a_file_deep_in_folders(tmp_path):
    folder = tmp_path.joinpath(*["a" * 60] * 5)
    folder.mkdir(parents=True)
    stripes().save(folder / "line.png")
    for source in (str(folder / "line.png"), {"bytes": None, "path": str(folder / "line.png")}):
        assert open_image(source).size == (60, 40)
    (folder / "line.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a/line\.png: not an image"):
        open_image(str(folder / "line.png"))


def test_what_pipelines_of_transformers_take(pipe, tmp_path):
    line = draw_line("abc")
    line.save(tmp_path / "line.png")
    content = (tmp_path / "line.png").read_bytes()
    coded = base64.b64encode(content).decode()
    expected = pipe(line)
    with open(tmp_path / "line.png", "rb") as handle:
        for source in (content, io.BytesIO(content), handle, {"bytes": content, "path": None}, {"bytes": content},
                       {"path": str(tmp_path / "line.png")}, coded, base64.encodebytes(content).decode(),
                       f"data:image/png;base64,{coded}", tmp_path / "line.png", np.asarray(line)):  # fmt: skip
            assert pipe(source) == expected
    other = draw_line("bca bca")
    assert pipe((line, other)) == pipe([line, other]) == [expected, pipe(other)]
    assert pipe((np.asarray(line), np.asarray(line))) == [expected, expected]
    assert pipe([]) == pipe(()) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"SECRET" * 100, base64.b64encode(b"SECRET" * 100).decode(), f"data:image/png;base64,{'U0VDUkVU' * 100}",
        {"bytes": b"SECRET" * 100, "path": None}, {"bytes": "SECRET" * 100}, {}, {"path": None}, "SECRET\0SECRET",
        io.BytesIO(b"SECRET"), 5, None, object(), [[]], np.array(["SECRET"]), {"path": "https://example.org/SECRET"},
    ],
)  # fmt: skip
def test_messages_do_not_repeat_what_was_given(pipe, payload):
    with pytest.raises(InputError) as error:
        pipe([payload])
    assert len(str(error.value)) < 200
    assert str(error.value).count("SECRET") <= 2
    assert "U0VD" not in str(error.value)


def test_images_that_need_too_much_memory_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_DECODING", 20_000)
    for name, options in {
        "a.webp": {}, "a.png": {}, "a.tif": {"compression": "tiff_lzw"}, "a.jpg": {"subsampling": 0}
    }.items():  # fmt: skip
        Image.new("RGB", (100, 60)).save(tmp_path / name, **options)
        for opening in (open_image, lambda path: PageImages(path)[0]):
            with pytest.raises(InputError, match=rf"{name}: too many pixels.*100 × 60"):
                opening(tmp_path / name)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("convert", [None, images.to_rgb])
def test_a_large_image_is_scaled_down_as_it_is_opened(tmp_path, monkeypatch, mode, convert):
    """And in pieces: they fit together."""
    monkeypatch.setattr(images, "BAND_PIXELS", 7000)
    line = draw_line("abc abc abc", height=300)
    line = Image.fromarray(np.asarray(line).astype(np.uint16) * 257) if mode == "I;16" else line.convert(mode)
    line.save(tmp_path / "line.tif")
    whole = open_image(tmp_path / "line.tif", convert=convert)
    assert whole.size == full_size(whole) == line.size
    small = open_image(tmp_path / "line.tif", convert=convert, most_pixels=120_000)
    assert full_size(small) == line.size
    assert 110_000 < small.width * small.height <= 120_000
    assert small.width / small.height == pytest.approx(line.width / line.height, rel=0.02)
    expected = whole.resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, dtype=float) - np.asarray(expected, dtype=float)).max() <= 2
    assert full_size(small.crop((0, 0, 5, 5))) == (5, 5)


@pytest.mark.parametrize("name", ["line.jpg", "line.png"])
def test_a_large_turned_image(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    line = draw_line("abc", height=300)
    line.rotate(90, expand=True).save(tmp_path / name, exif=exif, quality=95)
    small = open_image(tmp_path / name, most_pixels=90_000)
    assert full_size(small) == line.size
    assert np.abs(np.asarray(small, dtype=float) - np.asarray(line.resize(small.size), dtype=float)).mean() < 8


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (3, 90_000), (90_000, 100)])
def test_thin_images(tmp_path, size):
    Image.new("L", size, 255).save(tmp_path / "thin.png")
    small = open_image(tmp_path / "thin.png", most_pixels=50_000)
    assert small.width * small.height <= 50_000
    assert min(small.size) == min(size)
    assert full_size(small) == size


def test_places_are_those_of_the_image_before_it_was_scaled_down(pipe, monkeypatch):
    line = draw_line("abc abc", height=160)
    expected = pipe(line, return_characters=True)["characters"]
    monkeypatch.setattr(images, "LEAST_ROWS", 32)
    monkeypatch.setattr(images.prepared, "__defaults__", (line.width * line.height // 3, None))
    found = pipe(line, return_characters=True)["characters"]
    assert "".join(each["char"] for each in found) == "".join(each["char"] for each in expected)
    frame = expected[0]["end"] - expected[0]["start"]
    for one, other in zip(found, expected, strict=True):
        assert one["start"] == pytest.approx(other["start"], abs=1.01 * frame)
    assert found[-1]["end"] > line.width / 2


def test_pages_are_shrunk_and_keep_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr("htr_convtext.documents.page_images.PAGE_PIXELS", 1000)
    stripes().save(tmp_path / "page.png")
    page = PageImages(tmp_path / "page.png")[0]
    assert page.width * page.height <= 1000
    assert full_size(page) == (60, 40)


def test_a_picture_in_a_pdf_may_not_be_too_large(tmp_path, monkeypatch):
    Image.new("L", (300, 200)).save(tmp_path / "a.pdf")
    assert PageImages(tmp_path / "a.pdf")[0].width
    monkeypatch.setattr("htr_convtext.documents.page_images.MAX_PICTURE_PIXELS", 50_000)
    with pytest.raises(InputError, match=r"a\.pdf: a picture in the page has 300 × 200 pixels"):
        PageImages(tmp_path / "a.pdf")[0]


def test_every_listed_format_is_read(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in image_files.readable_formats():
            if name not in Image.SAVE:
                continue
            stripes().convert("RGB").save(tmp_path / "a", name)
            opened = np.asarray(open_image(tmp_path / "a"), dtype=float)
            assert np.abs(opened - np.asarray(stripes(), dtype=float)).mean() < 4, name


def test_a_damaged_image_that_pillow_has_not_decoded_yet(tmp_path, recognizer):
    Image.effect_noise((300, 40), 50).save(tmp_path / "line.png")
    (tmp_path / "line.png").write_bytes((tmp_path / "line.png").read_bytes()[:3000])
    with Image.open(tmp_path / "line.png") as image:
        (reading,) = recognizer.read([image])
    assert "line.png: the image is damaged" in reading.error
