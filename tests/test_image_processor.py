"""Line images: every kind of picture, both resizing behaviours."""

import base64
import io
import struct
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from processing import HTRConvTextImageProcessor
from tests.helpers import draw_line


PUBLISHED = HTRConvTextImageProcessor.published()


def published_steps(image: Image.Image) -> np.ndarray:
    """The published system's steps, written out: grey, bicubic to height 64, at most 512 wide, white on the right."""
    grey = image.convert("L")
    width = min(int(grey.width * 64 / grey.height), 512)
    resized = np.asarray(grey.resize((width, 64), Image.Resampling.BICUBIC), dtype=np.float32) / np.float32(255)
    padded = np.ones((64, 512), dtype=np.float32)
    padded[:, :width] = resized
    return padded


@pytest.mark.parametrize("size", [(300, 40), (900, 64), (2000, 50), (64, 64), (37, 91)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_published_steps_bit_for_bit(size, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    batch = PUBLISHED(image, return_tensors="np")
    np.testing.assert_array_equal(batch["pixel_values"][0, 0], published_steps(image))
    assert "pixel_mask" not in batch


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_line_too_narrow_for_a_column_keeps_one(mode):
    """The published steps give an empty image of it."""
    image = Image.new(mode, (1, 70), "black")
    pixels = PUBLISHED(image, return_tensors="np")["pixel_values"]
    assert pixels.shape == (1, 1, 64, 512)
    assert (pixels[..., 0] == 0).all()
    assert (pixels[..., 1:] == 1).all()


def test_default_keeps_the_aspect_ratio():
    images = [draw_line("wide line of text", 50), draw_line("short", 100)]
    batch = HTRConvTextImageProcessor()(images, return_tensors="pt")
    assert batch["pixel_values"].shape[2] == 64
    assert batch["pixel_values"].shape[3] % 32 == 0
    for image, mask, pixels in zip(images, batch["pixel_mask"], batch["pixel_values"], strict=True):
        width = int(image.width * 64 / image.height)
        assert mask.tolist() == [1] * width + [0] * (len(mask) - width)
        assert (pixels[0, :, width:] == 1).all()
        assert pixels.min() >= 0
        assert pixels.max() <= 1


@pytest.mark.parametrize("height", [32, 48, 64])
def test_height_scale_and_largest_width(height):
    processor = HTRConvTextImageProcessor(size={"height": height, "width": 300}, horizontal_scale=0.5)
    assert processor.resized_width(height=40, width=80) == height
    assert processor.resized_width(height=40, width=80_000) == 300
    assert processor.resized_width(height=4000, width=8) == 1
    batch = processor(Image.new("L", (80, 40)), return_tensors="pt")
    assert batch["pixel_mask"].sum() == height


def test_saved_settings_come_back(tmp_path):
    HTRConvTextImageProcessor(size={"height": 48, "width": 900}, horizontal_scale=1.2).save_pretrained(tmp_path)
    loaded = HTRConvTextImageProcessor.from_pretrained(tmp_path)
    assert loaded.resized_width(48, 100) == 120
    assert loaded.size.width == 900


# --- kinds of pictures: black on the left half, white on the right ---


def two_halves(mode: str) -> Image.Image:
    image = Image.new("L", (64, 32), 255)
    image.paste(0, (0, 0, 32, 32))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(np.asarray(image).astype(np.float32) / 255)
    if mode in ("RGBA", "LA", "transparent P"):
        inked = Image.new("RGBA", image.size, (0, 0, 0, 0))  # black ink on nothing
        inked.paste((0, 0, 0, 255), (0, 0, 32, 32))
        return inked.quantize() if mode == "transparent P" else inked.convert(mode)
    return image.convert(mode)


def halves_of(image, **kwargs) -> tuple[float, float]:
    pixels = HTRConvTextImageProcessor(size={"height": 32, "width": 512}, **kwargs)(image, return_tensors="np")
    pixels = pixels["pixel_values"][0, 0]
    assert pixels.shape == (32, 64)
    return float(pixels[:, :28].mean()), float(pixels[:, 36:].mean())


MODES = ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I", "I;16", "F", "RGBA", "LA", "transparent P"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode):
    assert halves_of(two_halves(mode)) == pytest.approx((0, 1), abs=0.01)


def test_sixteen_bits_are_scaled_not_clipped():
    grey = Image.fromarray(np.full((32, 64), 128 * 257, dtype=np.uint16))
    assert halves_of(grey) == pytest.approx((128 / 255, 128 / 255), abs=1e-6)


@pytest.mark.parametrize(
    "to_array",
    [
        lambda a: a,
        lambda a: a[..., None],
        lambda a: a[None],
        lambda a: np.stack([a] * 3),
        lambda a: np.stack([a] * 3, axis=-1),
        lambda a: a > 0,
        lambda a: a.astype(np.uint16) * 257,
        lambda a: a.astype(np.float32) / 255,
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.int64),
        lambda a: a.astype(np.int32) * 257,
        lambda a: a.astype(np.float32) / 255 * 1.02,  # resampling overshoots
        lambda a: torch.from_numpy(a.copy())[None],
        lambda a: torch.from_numpy(a.copy()).float()[None] / 255,
    ],
)
def test_arrays_and_tensors(to_array):
    assert halves_of(to_array(np.asarray(two_halves("L")))) == pytest.approx((0, 1), abs=0.01)


def test_inverted_scans():
    inverted = Image.eval(two_halves("L"), lambda value: 255 - value)
    assert halves_of(inverted) == pytest.approx((1, 0), abs=0.01)
    assert halves_of(inverted, do_invert=True) == pytest.approx((0, 1), abs=0.01)


def test_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    two_halves("L").rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert halves_of(str(tmp_path / "turned.jpg")) == pytest.approx((0, 1), abs=0.05)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "gif"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"line.{suffix}"
    two_halves("L").save(path)
    assert halves_of(path) == pytest.approx((0, 1), abs=0.06)
    assert halves_of([str(path)]) == pytest.approx((0, 1), abs=0.06)


@pytest.fixture
def server(tmp_path):
    """The URL of a server of the files in a folder, and that folder."""

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()


@pytest.mark.parametrize("mode", ["LA", "I;16", "L"])
def test_urls_are_read_as_files_are(server, mode):
    url, folder = server
    two_halves(mode).save(folder / "line.png")
    data = base64.b64encode((folder / "line.png").read_bytes()).decode()
    for source in (f"{url}/line.png", f"data:image/png;base64,{data}"):
        assert halves_of(source) == halves_of(folder / "line.png")


def test_urls_without_an_image_are_named(server):
    url, folder = server
    (folder / "line.png").write_bytes(b"no image")
    for source, message in [
        (f"{url}/gone.png", r"gone\.png: it could not be downloaded.*404"), (f"{url}/line.png", "not an image"),
        ("http://127.0.0.1:1/line.png", "could not be downloaded"), ("http://[/line.png", "could not be downloaded"),
        ("data:image/png;base64,bm8=", "The image: not an image"), ("data:image/png;base64,b", "The image.*damaged"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            HTRConvTextImageProcessor()(source)


# --- bad input: one error that names the file ---


def truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((400, 100), 50).save(buffer, "JPEG")
    return buffer.getvalue()[:2000]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not an image"), (b"%PDF-1.4", "not an image"), (truncated_jpeg(), "damaged"), (None, "no such file")],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad line.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad line\.jpg.*{message}"):
        HTRConvTextImageProcessor()(str(path))


def test_damaged_exif_does_not_matter(tmp_path):
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker", 0x011A: 72.0})
    content = io.BytesIO()
    two_halves("L").save(content, "JPEG", exif=exif)
    broken = bytearray(content.getvalue())
    broken[broken.index(b"Exif") + 17] = 41  # more tags than there are
    (tmp_path / "line.jpg").write_bytes(broken)
    with Image.open(tmp_path / "line.jpg") as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)
    assert HTRConvTextImageProcessor()(str(tmp_path / "line.jpg"), return_tensors="np")["pixel_values"].size


def test_any_failure_of_a_reader_names_the_file(tmp_path, monkeypatch):
    two_halves("L").save(tmp_path / "line.png")

    def fail(image):
        raise NotImplementedError("unsupported header")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(ValueError, match=r"line\.png.*damaged.*unsupported header"):
        HTRConvTextImageProcessor()(str(tmp_path / "line.png"))


def test_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        HTRConvTextImageProcessor()(str(tmp_path))


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("1", (200, 200)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"bomb\.png.*too many pixels"):
        HTRConvTextImageProcessor()(str(tmp_path / "bomb.png"))


@pytest.mark.parametrize(
    "image", [Image.new("L", (0, 10)), np.zeros((0, 10), np.uint8), np.zeros((1, 5, 0)), np.full((5, 5), np.nan)]
)
def test_empty_and_broken_arrays(image):
    with pytest.raises(ValueError, match=r"empty|not finite"):
        HTRConvTextImageProcessor()(image)


def test_odd_channel_counts_are_refused():
    with pytest.raises(ValueError, match="channel"):
        HTRConvTextImageProcessor()(np.zeros((7, 8, 9), np.uint8))
