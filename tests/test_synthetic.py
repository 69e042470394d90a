import io
import logging
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from fontTools.ttLib import TTFont
from PIL import Image, features
from torch.utils.data import DataLoader

from htr_convtext.data import load_lines
from htr_convtext.data.synthetic import (
    LineFont,
    LineRenderer,
    LineTexts,
    SyntheticStyle,
    find_fonts,
    synthetic_lines,
)
from htr_convtext.data.synthetic import renderer as renderer_module
from htr_convtext.data.synthetic.writing import write_line
from htr_convtext.errors import InputError
from tests.helpers import run_script


TONES = ("", "\u0300", "\u0309", "\u0303", "\u0301", "\u0323")
VOWELS = "".join(unicodedata.normalize("NFC", base + tone) for base in "aăâeêioôơuưy" for tone in TONES)
LETTERS = VOWELS + "đäöüßàâæçéèêëîïôœùûüÿìíòóú"
ALPHABET = LETTERS + LETTERS.replace("ß", "ẞ").upper() + "".join(map(chr, range(33, 127))) + "«»„“”‘’–—…"
VIETNAMESE = "Nghị quyết đã được chuyển đến Phường Ễ"
TEXT = "Der Fluß trat über die Ufer. " * 20
CLEAN = SyntheticStyle(strength=0)
BUNDLED = find_fonts()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def renderer() -> LineRenderer:
    return LineRenderer(height=32)


@pytest.mark.parametrize("font", BUNDLED, ids=lambda font: font.name)
def test_bundled_font_is_complete_and_under_the_ofl(font):
    assert not set(ALPHABET) - font.characters
    names = TTFont(font.path)["name"]
    assert "SIL Open Font License, Version 1.1" in names.getDebugName(13)
    assert names.getDebugName(0) in (Path(font.path).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("font", BUNDLED, ids=lambda font: font.name)
def test_marks_stand_where_the_composed_letter_has_them(font):
    composed, decomposed = (
        write_line(unicodedata.normalize(form, VIETNAMESE), font, 64, CLEAN, rng()).ink for form in ("NFC", "NFD")
    )
    assert np.array_equal(composed, decomposed)
    (_, top, _, bottom), (_, plain_top, _, plain_bottom) = (font.at_size(100).getbbox(sign) for sign in "ậa")
    assert top < plain_top - 5
    assert bottom > plain_bottom + 5


def test_normal_forms_and_spaces_make_no_difference(renderer):
    images = [renderer(text, rng()) for text in (VIETNAMESE, unicodedata.normalize("NFD", f"  {VIETNAMESE}\n"))]
    assert images[0] == images[1]


def test_same_generator_same_image_and_no_two_alike(renderer):
    images = [renderer("ein Wort", rng(seed)) for seed in (1, 1, 2)]
    assert images[0] == images[1]
    assert images[0] != images[2]
    assert images[0].mode == "L"
    assert images[0].height == 32


def test_dark_on_light_at_any_strength():
    for strength in (0, 1, 2):
        render = LineRenderer(height=48, style=SyntheticStyle(strength=strength))
        for seed in range(5):
            levels = np.asarray(render("Guten Morgen", rng(seed)), dtype=float)
            assert np.percentile(levels, 1) < np.median(levels) - 40
            assert np.mean(levels < (levels.min() + np.median(levels)) / 2) < 0.3


@pytest.mark.parametrize("text", ["on", "—", "Ậ", "(Ỗgjpqy)", "Zwei Wörter, viele Längen: gjpqy"])
def test_all_of_the_text_is_inside(text):
    style = SyntheticStyle(tight_crop=0, neighbours=0)
    for seed in range(10):
        font = BUNDLED[seed % len(BUNDLED)]
        ink = write_line(text, font, 48, style, rng(seed)).ink
        assert ink.max() > 0.7
        assert max(ink[0].max(), ink[-1].max(), ink[:, 0].max(), ink[:, -1].max()) < 0.1, (font.name, seed)


def test_neighbours_and_tight_crops_reach_the_edges():
    style = SyntheticStyle(neighbours=1, margin_y=(0.1, 0.1))
    touched = [write_line("glhfg", BUNDLED[3], 48, style, rng(seed)).ink[[0, -1]].max() > 0.5 for seed in range(8)]
    assert any(touched)
    style = SyntheticStyle(neighbours=0, tight_crop=1)
    ink = write_line("hghg", BUNDLED[0], 48, style, rng()).ink
    assert min(ink[0].max(), ink[-1].max()) > 0.1


def test_font_must_have_every_character(renderer):
    with pytest.raises(InputError, match="Ж"):
        renderer("Жук", rng())
    for font in BUNDLED:
        with pytest.raises(InputError, match=f"{font.name} has no"):
            renderer("Жук", rng(), font)


class _FewLetters(LineFont):
    characters = frozenset("abc")


def test_fonts_without_the_glyphs_are_not_chosen():
    few = _FewLetters(BUNDLED[0].path)
    render = LineRenderer([few, BUNDLED[1]])
    assert {render.choose_font("abd", rng(seed)) for seed in range(20)} == {BUNDLED[1]}
    assert {render.choose_font("ab", rng(seed)) for seed in range(20)} == {few, BUNDLED[1]}


@pytest.mark.parametrize("text", ["", " \n", "a" * 301])
def test_lines_that_are_none(renderer, text):
    with pytest.raises(InputError, match="A line has 1 to 300 characters"):
        renderer(text, rng())


def test_without_raqm_only_simple_text(renderer, monkeypatch):
    monkeypatch.setattr(renderer_module.features, "check", lambda name: name != "raqm" and features.check(name))
    assert renderer(VIETNAMESE, rng()).width > 100  # NFC: one glyph for each letter
    with pytest.raises(InputError, match="RAQM"):
        renderer("m\u0304", rng())
    assert "\u0301" not in renderer.characters


def test_style_names_the_bad_setting():
    with pytest.raises(InputError, match="wave"):
        SyntheticStyle(wave=(0.2, 0.1))
    with pytest.raises(InputError, match="strength"):
        SyntheticStyle(strength=-1)


def test_texts_are_cut_between_words():
    texts = LineTexts([TEXT, "Một hai ba bốn năm sáu."], languages=["de", "vi"], weights=[3, 1])
    drawn = [texts(rng(seed)) for seed in range(300)]
    assert {language for _, language in drawn} == {"de", "vi"}
    assert 180 < sum(language == "de" for _, language in drawn) < 270
    words = set(TEXT.split())
    cut = [line.split() for line, language in drawn if language == "de" and not any(map(str.isdigit, line))]
    whole = [line for line in cut if set(line) <= words]
    assert len(whole) > 0.8 * len(cut)
    assert all(line and line == line.strip() and len(line) <= 100 for line, _ in drawn)
    assert any(line.isupper() for line, _ in drawn)
    assert any(map(str.isdigit, "".join(line for line, _ in drawn)))


def test_long_words_are_hyphenated_and_cut():
    texts = LineTexts(["Donaudampfschifffahrt " * 30])
    assert any(texts(rng(seed))[0].endswith("-") for seed in range(100))
    assert max(len(LineTexts(["x" * 5000])(rng(seed))[0]) for seed in range(20)) <= 85


def test_texts_refuse_what_they_cannot_use(tmp_path):
    with pytest.raises(InputError, match="empty"):
        LineTexts(["a", " "])
    with pytest.raises(InputError, match="as many"):
        LineTexts(["a", "b"], languages=["de"])
    with pytest.raises(InputError, match="Weights"):
        LineTexts(["a"], weights=[0])
    (tmp_path / "latin1.txt").write_bytes("Straße".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin1\.txt"):
        LineTexts.from_files([tmp_path / "latin1.txt"])


def test_dataset_columns_and_words_without_a_glyph(renderer, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        lines = synthetic_lines(
            LineTexts([TEXT + "Жук"], ["de"]), 6, seed=3, renderer=renderer, cache_dir=str(tmp_path)
        )
    assert "'Ж' (1×)" in caplog.text
    assert lines.column_names == ["image", "text", "source", "language", "writer", "width", "height"]
    for line in lines:
        image = Image.open(io.BytesIO(line["image"]["bytes"]))
        assert image.size == (line["width"], line["height"])
        assert (line["height"], line["source"], line["language"]) == (32, "synthetic", "de")
        assert line["writer"] in {font.name for font in BUNDLED}
        assert line["text"] == unicodedata.normalize("NFC", line["text"]).strip() != ""


def test_a_line_depends_on_seed_and_number_only(renderer, tmp_path):
    texts = LineTexts([TEXT])
    few, more = (synthetic_lines(texts, n, 1, renderer, cache_dir=str(tmp_path)).to_list() for n in (3, 5))
    assert few == more[:3]
    stream = synthetic_lines(texts, 5, 1, renderer, streaming=True)
    assert list(stream) == more
    endless = synthetic_lines(texts, None, 1, renderer, streaming=True)
    loader = DataLoader(endless, batch_size=None, num_workers=2)
    assert next(iter(loader))["image"]["bytes"] == more[0]["image"]["bytes"]
    assert next(iter(synthetic_lines(texts, 3, 2, renderer, streaming=True))) != more[0]


def test_number_of_lines_must_be_told(renderer):
    with pytest.raises(InputError, match="num_lines"):
        synthetic_lines(LineTexts([TEXT]), None, renderer=renderer)
    with pytest.raises(InputError, match="at least 1"):
        synthetic_lines(LineTexts([TEXT]), 0, renderer=renderer)
    with pytest.raises(InputError, match="non-negative"):
        synthetic_lines(LineTexts([TEXT]), 1, seed=-1, renderer=renderer)
    with pytest.raises(InputError, match="No font"):
        synthetic_lines(LineTexts(["Жук"]), 1, renderer=renderer)


def test_fonts_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no fonts"):
        find_fonts(tmp_path)
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    with pytest.raises(InputError, match=r"bad\.ttf"):
        find_fonts(tmp_path)


def test_script_writes_lines_and_a_preview(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    output, sheet = tmp_path / "lines", tmp_path / "sheet.png"
    options = ("--language", "de", "--height", 32, "--num-lines", 5, "--split", "validation", "--preview", sheet)
    run_script("render_lines.py", "--text", text, "--output", output, *options)
    lines = load_lines(output, "validation")
    assert len(lines) == 5
    assert lines["source"][0] == "lines"
    same = synthetic_lines(LineTexts([TEXT]), 5, seed=1, renderer=LineRenderer(height=32), streaming=True)
    assert [line["text"] for line in same] == lines["text"][:]
    assert Image.open(sheet).height == 5 * (32 + 48)
    assert [path.name for path in output.iterdir()] == ["validation-00000-of-00001.parquet"]

    assert all(
        isinstance(row["image"], Image.Image) for row in load_dataset("parquet", data_dir=str(output))["validation"]
    )

    failed = run_script("render_lines.py", "--text", text, "--preview", tmp_path / "sheet.doc", expect=2)
    assert "must end in .png" in failed.stderr
    failed = run_script("render_lines.py", "--text", tmp_path / "none.txt", "--output", output, expect=1)
    assert "none.txt" in failed.stderr
    failed = run_script("render_lines.py", "--text", text, "--output", output, *options, expect=1)
    assert "there are validation lines already" in failed.stderr
    assert len(load_lines(output, "validation")) == 5
