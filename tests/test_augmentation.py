"""Augmentation of line images."""

import numpy as np
import pytest
import torch
from PIL import Image

from htr_convtext.data import AugmentationSettings, LineAugmentation, augment_normalized, preview_augmentations
from htr_convtext.data.augmentation import AUGMENTATION_PRESETS, Chance, line_augmentation, steps
from processing import HTRConvTextImageProcessor
from tests.helpers import draw_line


NAMES = list(AUGMENTATION_PRESETS["default"].active())
PUBLISHED = ["projective", "erosion_dilation", "brightness_contrast"]


def only(*names: str, strength: float = 1.0, probability: float = 1.0) -> LineAugmentation:
    return LineAugmentation(AugmentationSettings(**{name: Chance(probability, strength) for name in names}))


def line(text: str, height: int = 32, paper: float = 1.0) -> torch.Tensor:
    """`(1, height, width)`, black on `paper`."""
    return torch.from_numpy(np.asarray(draw_line(text, height), np.float32) / 255)[None] * paper


def batch(*lines: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The lines padded with white, and their mask."""
    width = max(pixels.shape[-1] for pixels in lines) + 7
    values, mask = torch.ones(len(lines), *lines[0].shape[:2], width), torch.zeros(len(lines), width, dtype=torch.int64)
    for row, pixels in enumerate(lines):
        values[row, :, :, : pixels.shape[-1]] = pixels
        mask[row, : pixels.shape[-1]] = 1
    return values, mask


def darkness(pixels: torch.Tensor) -> float:
    return float((1 - pixels).sum())


def centre_of_ink(pixels: torch.Tensor) -> tuple[float, float]:
    """Of a line `(1, 1, height, width)`: row and column, in pixels."""
    ink = 1 - pixels[0, 0]
    rows, columns = torch.arange(ink.shape[0]), torch.arange(ink.shape[1])
    return float((ink.sum(1) * rows).sum() / ink.sum()), float((ink.sum(0) * columns).sum() / ink.sum())


@pytest.mark.parametrize("name", NAMES)
def test_changes_each_line_and_keeps_shape_range_and_padding(name):
    pixels, mask = batch(line("some words", paper=0.8), line("a much longer line of words", paper=0.9))
    before = pixels.clone()
    changed = only(name)(pixels, mask, seed=3)
    assert torch.equal(pixels, before)
    assert changed.shape == pixels.shape
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert (changed.movedim(-1, 1)[mask == 0] == 1).all()
    assert ((changed - pixels).abs().amax((1, 2, 3)) > 0.02).all()
    assert changed[0, ..., : mask[0].sum()].std() > 0.05, "the writing is gone"


@pytest.mark.parametrize("name", NAMES)
def test_a_line_changes_alike_alone_and_beside_wider_ones(name):
    short, long = line("short", paper=0.7), line("a line that is a good deal longer")
    augmentation = only(name)
    beside = augmentation(*batch(short, long), seed=5)[:1, ..., : short.shape[-1]]
    torch.testing.assert_close(beside, augmentation(short[None], seed=5), rtol=0, atol=1e-4)


def test_the_whole_chain_changes_a_line_alike_alone_and_beside_wider_ones():
    short, long = line("short", paper=0.7), line("a line that is a good deal longer")
    augmentation = LineAugmentation.from_preset("default")
    for seed in range(10):
        beside = augmentation(*batch(short, long), seed=seed)[:1, ..., : short.shape[-1]]
        torch.testing.assert_close(beside, augmentation(short[None], seed=seed), rtol=0, atol=1e-4)


def test_the_seed_determines_what_happens():
    pixels, mask = batch(line("some words"), line("some words"))
    augmentation = LineAugmentation.from_preset("default", strength=1.5)
    assert torch.equal(augmentation(pixels, mask, seed=1), augmentation(pixels, mask, seed=1))
    assert not torch.equal(augmentation(pixels, mask, seed=1), augmentation(pixels, mask, seed=2))
    twins = only(*NAMES)(pixels, mask, seed=1)
    assert not torch.equal(twins[0], twins[1])


def test_without_a_seed_torch_determines_what_happens():
    pixels = line("some words")[None]
    augmentation = only("projective")
    torch.manual_seed(0)
    first, second = augmentation(pixels), augmentation(pixels)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(augmentation(pixels), first)


def test_probabilities():
    pixels = line("words")[None].expand(200, -1, -1, -1)
    change = (only("noise", probability=0.3)(pixels, seed=0) - pixels).abs().amax((1, 2, 3))
    assert 0.2 < (change > 1e-3).float().mean() < 0.4
    assert ((change > 1e-3) | (change < 1e-6)).all()
    assert torch.equal(only(*NAMES, probability=0)(pixels, seed=0), pixels)
    assert torch.equal(only(*NAMES, strength=0)(pixels, seed=0), pixels)


def test_presets():
    assert not AUGMENTATION_PRESETS["none"].active()
    published = LineAugmentation.from_preset("published").settings.active()
    assert published == dict.fromkeys(PUBLISHED, Chance(0.5, 1.0))
    doubled = LineAugmentation.from_preset("default", strength=2).settings.active()
    assert {name: chance.strength / 2 for name, chance in doubled.items()} == {
        name: chance.strength for name, chance in AUGMENTATION_PRESETS["default"].active().items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_next_to_no_strength_changes_next_to_nothing(name):
    pixels, mask = batch(line("some words", paper=0.8), line("other words", paper=0.9))
    torch.testing.assert_close(only(name, strength=1e-6)(pixels, mask, seed=0), pixels, rtol=0, atol=1e-3)


@pytest.mark.parametrize("grey", [0.0, 0.1, 0.6, 0.7, 1.0])
def test_a_line_without_writing_stays_of_one_grey(grey):
    pixels, mask = batch(torch.full((1, 32, 333), grey))
    changed = only("projective", "affine", "erosion_dilation", "ink", "bleed_through", "blur")(pixels, mask, seed=0)
    torch.testing.assert_close(changed, pixels)


def test_what_comes_in_from_outside_has_the_colour_of_the_paper():
    pixels = torch.full((1, 1, 32, 100), 0.6)
    pixels[..., 10:20, 40:60] = 0.1
    warped = only("projective", "affine", strength=2)(*batch(pixels[0]), seed=4)
    assert warped[..., :100].max() < 0.601
    assert not torch.equal(warped[..., :100], pixels)


@pytest.mark.parametrize("name", ["projective", "affine", "elastic"])
def test_warps_grow_with_the_height_and_keep_the_writing(name):
    for seed in range(8):
        shifts = []
        for height in (32, 64):
            pixels = torch.ones(1, 1, height, 6 * height)
            pixels[..., 3 * height // 8 : 5 * height // 8, 2 * height : 4 * height] = 0
            warped = only(name)(pixels, seed=seed)
            assert 0.75 < darkness(warped) / darkness(pixels) < 1.3
            centre, moved = centre_of_ink(pixels), centre_of_ink(warped)
            shifts.append([(new - old) / height for new, old in zip(moved, centre, strict=True)])
            assert abs(shifts[-1][0]) < 8 / 64
        np.testing.assert_allclose(shifts[0], shifts[1], atol=0.03)


def test_erosion_and_dilation():
    pixels = torch.ones(40, 1, 64, 60)
    pixels[..., 20:40, 20:40] = 0
    ink = 1 - only("erosion_dilation")(pixels, seed=0)
    areas = {int(area) for area in ink.sum((1, 2, 3))}
    assert areas == {19 * 19, 19 * 20, 20 * 21, 21 * 21}
    half = 1 - only("erosion_dilation")(pixels[:, :, 16:48], seed=0)  # 32 pixels high: half the pixels
    assert {float(area) for area in half.sum((1, 2, 3))} == {380.5, 390.0, 410.0, 420.5}


def test_ink_leaves_the_paper_and_paper_leaves_the_ink():
    pixels = torch.full((20, 1, 32, 100), 0.8)
    pixels[..., 10:20, 20:80] = 0.0
    stroke = torch.zeros(32, 100, dtype=torch.bool)
    stroke[10:20, 20:80] = True
    faded = only("ink")(pixels, seed=0)[:, 0]
    torch.testing.assert_close(faded[:, ~stroke], pixels[:, 0][:, ~stroke])
    assert faded[:, stroke].mean() > 0.05
    assert faded[:, stroke].max() < 0.75
    shaded = only("paper")(pixels, seed=0)[:, 0]
    assert (shaded[:, stroke] == 0).all()
    assert shaded[:, ~stroke].mean() < 0.75
    assert shaded[:, ~stroke].std(1).max() > 0.05


def test_bleed_through_is_the_mirror_image():
    pixels = torch.ones(1, 1, 32, 200)
    pixels[..., 10:20, 20:40] = 0
    back = only("bleed_through")(*batch(pixels[0]), seed=0)[..., :200]
    assert torch.equal(back[..., :150], pixels[..., :150])
    assert 0.05 < (1 - back[..., 165:175]).max() < 0.35


def test_brightness_and_contrast():
    pixels = torch.cat([torch.full((300, 1, 8, 10), 0.2), torch.full((300, 1, 8, 10), 0.6)], -1)
    changed = only("brightness_contrast")(pixels, seed=0)
    dark, bright = changed[:, 0, 0, 0], changed[:, 0, 0, -1]
    contrast = (bright - dark) / (bright + dark)  # of Michelson: 0.5 before; brightness leaves it
    assert 0.29 < contrast.min() < 0.35
    assert 0.65 < contrast.max() < 0.71
    brightness = (bright + dark) / 0.8
    assert 0.59 < brightness.min() < 0.65
    assert 1.35 < brightness.max() < 1.41


def test_blur_and_noise():
    pixels = torch.ones(20, 1, 32, 60)
    pixels[..., 30:40] = 0
    blurred = only("blur")(pixels, seed=0)
    assert (blurred.diff(dim=-1).abs().amax((1, 2, 3)) < 0.98).all()
    torch.testing.assert_close(blurred[:, :, 8:-8].sum(-1), pixels[:, :, 8:-8].sum(-1))
    pixels = pixels * 0.5 + 0.25
    difference = only("noise")(pixels, seed=0) - pixels
    assert difference.mean().abs() < 0.002
    deviations = difference.std((1, 2, 3)) / pixels.std((1, 2, 3))
    assert 0.04 < deviations.min() < deviations.max() < 0.36


STEPS = ["warp", "erosion_dilation", "fade", "bleed_through", "shade_paper", "brightness_contrast", "noise"]


@pytest.mark.parametrize("step", STEPS)  # not blur: kornia checks its values
def test_steps_work_on_the_device_of_the_images(step):
    """On "meta" an operation with a tensor of the CPU fails, as it does on an accelerator."""
    mask, rngs = torch.ones(2, 50, dtype=torch.bool, device="meta"), [np.random.default_rng(row) for row in range(2)]
    strengths = [torch.ones(2)] * (3 if step == "warp" else 1)
    changed = getattr(steps, step)(
        torch.ones(2, 1, 32, 50, device="meta"), steps.Lines(mask, [50, 50], rngs), *strengths
    )
    assert changed.shape == (2, 1, 32, 50)


def test_under_autocast_and_in_bfloat16():
    pixels, mask = batch(line("some words"), line("other words"))
    augmentation = only(*NAMES)
    plain = augmentation(pixels, mask, seed=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augmentation(pixels, mask, seed=0), plain)
    assert augmentation(pixels.bfloat16(), mask, seed=0).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (64, 1), (3, 2), (32, 5)])
@pytest.mark.parametrize("strength", [1.0, 5.0])
def test_tiny_lines_and_large_strengths(shape, strength):
    pixels = torch.rand(4, 1, *shape, generator=torch.Generator().manual_seed(0))
    changed = only(*NAMES, strength=strength)(pixels, seed=0)
    assert changed.shape == pixels.shape
    assert 0 <= changed.min() <= changed.max() <= 1  # and no NaN


def test_lines_and_batches_of_nothing():
    augmentation = only(*NAMES)
    pixels, mask = batch(line("words"), line("words"))
    mask[1] = 0
    changed = augmentation(pixels, mask, seed=0)
    assert (changed[1] == 1).all()
    assert not torch.equal(changed[0], pixels[0])
    assert augmentation(torch.ones(0, 1, 32, 10), seed=0).shape == (0, 1, 32, 10)


def test_normalised_images_are_augmented_as_the_others_are():
    """Nothing is put around images that are not normalised: they stay the same to the bit."""
    augmentation, image = LineAugmentation.from_preset("default"), draw_line("a line")
    plain = HTRConvTextImageProcessor(return_pixel_mask=False)
    assert augment_normalized(augmentation, plain) is augmentation
    pixels = plain(image, return_tensors="pt").pixel_values
    expected = augmentation(pixels, None, 3)
    for mean, std in ((0.5, 0.5), ([0.5], [0.5]), ([0.8], [0.25])):
        processor = HTRConvTextImageProcessor(
            return_pixel_mask=False, do_normalize=True, image_mean=mean, image_std=std
        )
        normalised = processor(image, return_tensors="pt").pixel_values
        assert normalised.min() < 0
        found = augment_normalized(augmentation, processor)(normalised, None, 3)
        mean, std = torch.tensor(mean), torch.tensor(std)
        assert not torch.equal(found, normalised)
        torch.testing.assert_close(found, (expected - mean) / std, atol=1e-5, rtol=0)


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="none, published, default"):
        LineAugmentation.from_preset("strong")
    with pytest.raises(ValueError, match="strength"):
        LineAugmentation.from_preset("default", strength=-1)
    with pytest.raises(ValueError, match="probability"):
        Chance(probability=1.5)
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 50\)"):
        only("noise")(torch.ones(2, 3, 32, 50))
    with pytest.raises(ValueError, match="pixel_mask"):
        only("noise")(torch.ones(2, 1, 32, 50), torch.ones(2, 40))
    monkeypatch.setattr(line_augmentation, "find_spec", lambda name: None)
    LineAugmentation.from_preset("none")
    with pytest.raises(ImportError, match=r"htr-convtext\[train\]"):
        LineAugmentation.from_preset("published")


def test_preview(tmp_path):
    path = tmp_path / "augmentations.png"
    augmentation = LineAugmentation.from_preset("published")
    preview_augmentations([line("some words"), draw_line("other words")], augmentation, path, columns=2)
    with Image.open(path) as picture:
        narrow, high = picture.size
        colours = np.unique(np.asarray(picture.convert("L")))
    assert len(colours) > 50
    preview_augmentations([line("some words")], augmentation, path, columns=3)
    with Image.open(path) as picture:
        assert picture.width > narrow
        assert picture.height < high
    with pytest.raises(ValueError, match="at least one line"):
        preview_augmentations([], augmentation, path)
    with pytest.raises(ValueError, match=r"\(3, 32, 50\)"):
        preview_augmentations([torch.ones(3, 32, 50)], augmentation, path)
