"""The Gradio app: its functions, its folder for the Hub, and the whole of it in a browser."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from gradio.route_utils import delete_files_created_by_app
from lxml import etree
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.color import Color
from selenium.webdriver.support.ui import WebDriverWait

from htr_convtext.documents import Page, PageLine, Region, Word, cut_line
from htr_convtext.reading import Character, Provenance
from processing.confidence import ExpectedCER, LineConfidence
from tests.helpers import ROOT, run_script


SPACE = ROOT / "space"
PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rendering(app):
    return sys.modules["rendering"]


def test_versions_are_those_of_the_constraints():
    pins = dict(re.findall(r"^([\w-]+)==([^;\s]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    newest = {
        match[1]: match[2]
        for match in re.finditer(r'^([\w-]+)==([^;\s]+)(?:; python_version >= "3.11")?$',
                                 (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    }  # fmt: skip
    required = re.findall(r"^([\w-]+)==(\S+)$", (SPACE / "requirements.txt").read_text(), re.MULTILINE)
    assert len(required) == len((SPACE / "requirements.txt").read_text().splitlines())
    assert {name: newest[name] for name, _ in required} == dict(required)
    assert f"sdk_version: {pins['gradio']}" in (SPACE / "README.md").read_text()


@pytest.mark.parametrize("name", ["broken.png", "broken.pdf", "empty.tif"])
def test_an_upload_that_cannot_be_read(app, tmp_path, name):
    (tmp_path / name).write_bytes(b"%PDF-" if name.endswith("pdf") else b"")
    with pytest.raises(gr.Error, match=f"^'?{name}") as error:
        app.open_upload(str(tmp_path / name), 1)
    assert str(tmp_path) not in str(error.value)


def test_uploads_are_bounded(app, tmp_path, monkeypatch):
    Image.new("L", (300, 200)).save(tmp_path / "a.png")
    image, *numbers = app.open_upload(str(tmp_path / "a.png"), 7)
    assert (image.size, numbers) == ((300, 200), [1, 1])
    monkeypatch.setattr(app, "MAX_PIXELS", 1000)
    with pytest.raises(gr.Error, match=r"^'?a\.png: too many pixels"):
        app.open_upload(str(tmp_path / "a.png"), 1)
    with pytest.raises(gr.Error, match="Choose a file"):
        app.read(None, app.PAGE, 1, app.BUNDLED, "greedy")


def test_a_page_with_nothing_on_it(app, tmp_path):
    Image.new("RGB", (400, 300), "white").save(tmp_path / "white.png")
    reading, picture, rows, *_ = app.read(str(tmp_path / "white.png"), app.PAGE, 1, app.BUNDLED, "greedy")
    assert (reading.selected, rows, picture.size) == (None, [], (400, 300))


def test_files_of_several_pages_have_names_of_their_own(app, tmp_path):
    sheet = Image.new("L", (300, 200), 255)
    sheet.save(tmp_path / "minutes.tif", save_all=True, append_images=[sheet])
    reading, *_, alto = app.read(str(tmp_path / "minutes.tif"), app.LINE, 2, app.BUNDLED, "beam")
    assert (reading.page.number, Path(alto.value["path"]).name) == (2, "minutes_0002.alto.xml")
    assert app.count_pages(str(tmp_path / "minutes.tif")).label == "Page (1 to 2)"


def test_corrections(app):
    outline = [(0, 0), (200, 0), (200, 40), (0, 40)]
    lines = [PageLine(name, "old", outline, [], 0.5) for name in "ab"]
    reading = app.Reading(
        "a", app.compressed(Image.new("RGB", (200, 40))), Page("", 200, 40, [Region("r", [], lines)]), "b"
    )
    # of a line that is no longer the selected one; control characters and line breaks of what was pasted are left out
    changed, table, *_ = app.correct(reading, reading.key(lines[0]), "new\x07\n text\u200c\ue000 ")
    assert [line.text for line in changed.page.lines] == [row[1] for row in table] == ["new text\u200c\ue000", "old"]
    assert changed.selected == "b"
    # of a page that is not the one on screen
    assert app.correct(changed, "other a", "new")[0] == gr.skip()
    with pytest.warns(UserWarning, match="no longer kept"):
        assert app.correct(None, "a", "new")[0] == gr.skip()


def test_doubtful_words_are_marked(app, rendering):
    outline = [(0, 0), (200, 0), (200, 40), (0, 40)]
    words = [Word("a<b", 0.3, outline[:]), Word("sure", 0.9, outline[:])]
    sure = LineConfidence((0.5,) * 8, (0.3, 0.9), 0.25, 2.0, 2.0, 8.0)
    lines = [
        PageLine("l", "a<b sure", outline, [], 0.5, words, confidence=sure),
        PageLine("empty", "", outline, [], 0.0, confidence=replace(sure, line=0.4)),
    ]
    page = Page("", 200, 40, [Region("r", [], lines)], provenance=Provenance("m", "lm", "0123abcd"))
    page = replace(page, expected_cer=ExpectedCER(0.083, 0.059, 0.116, 0.9))
    reading = app.Reading("a", app.compressed(Image.new("RGB", (200, 40), "white")), page)
    table = [[1, "<mark>a&lt;b</mark> sure", "50 %"], [2, "<mark>nothing was read</mark>", "0 %"]]
    assert app.rows(reading) == table
    _, bare, unmarked = app.mark(reading, 0.2)
    assert [row[1] for row in unmarked] == ["a&lt;b sure", ""]
    assert bare.getpixel((100, 20)) != reading.picture().getpixel((100, 20))
    shown = rendering.page_html(page)
    assert "Expected CER of the page: 8.3 % (90 % interval 5.9 to 11.6 %)." in shown
    assert "1 line read as nothing" in shown
    assert "probabilities of being right" in shown
    assert "(decoder lm, calibration 0123abcd)" in shown

    lines = [replace(line, confidence=None) for line in lines]
    plain = replace(page.with_lines(lines), provenance=Provenance("m", "greedy"), expected_cer=None)
    shown = rendering.page_html(plain)
    assert "not probabilities" in shown
    assert "CER" not in shown
    assert "calibration" not in shown


def test_a_decoder_that_a_model_has_not_is_told(app, model_folder):
    with pytest.raises(gr.Error, match="no language model"):
        app.recognizer(str(model_folder), "lm")
    assert app.recognizer(str(model_folder), app.BEST).decoder_name == "greedy"
    assert app.recognizer(app.BUNDLED, app.BEST).decoder_name == "lm"


def test_examples_are_not_deleted_with_the_uploads(app):
    blocks = app.build()
    (examples,) = [each for each in blocks.blocks.values() if isinstance(each, gr.Dataset)]
    (click,) = [each.fn for each in blocks.fns.values() if (examples._id, "click") in each.targets]
    files = [click((0, sample))[0]["value"]["path"] for sample in examples.raw_samples]
    delete_files_created_by_app(blocks, None)
    assert [Path(file).exists() for file in files] == [True, True]


def test_the_line_under_a_click(rendering):
    tall = PageLine("tall", "", [(0, 0), (100, 20), (100, 80), (0, 60)], [])
    low = PageLine("low", "", [(0, 50), (100, 50), (100, 110), (0, 110)], [])
    page = Page("", 100, 200, [Region("r", [], [tall, low])])
    assert rendering.find_line(page, 50, 30) is tall
    assert rendering.find_line(page, 50, 52) is tall  # both are there
    assert rendering.find_line(page, 50, 68) is low
    assert rendering.find_line(page, 50, 150) is None


def test_characters_are_shown_where_they_were_read(rendering):
    outline = [(0, 0), (360, 0), (360, 36), (0, 36)]
    letters = [Character("<", 0.95, 10, 20), Character(" ", 0.9, 25, 30), Character("b", 0.7, 100, 110)]
    line = PageLine("l", "< b", outline, [], 0.8, [], [*letters, Character("c", 0.2, 200, 220)])
    shown = rendering.line_html(line, cut_line(Image.new("L", (400, 50), 255), outline))
    assert re.findall(r'class="char ([a-z]*)" style="left:(\d+)px"', shown) == [
        ("", "23"),
        ("doubtful", "163"),
        ("guessed", "327"),
    ]
    assert ">&lt;</span>" in shown


# --- in a browser ---


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The app as a Space runs it: from a folder of its own, where nothing else of this repository is in reach."""
    folder, uploads = tmp_path_factory.mktemp("built") / "space", tmp_path_factory.mktemp("uploads")
    run_script("build_space.py", "--output", folder)
    # Not those that are installed.
    for package in ("htr_convtext", *(each.name for each in ROOT.glob("modeling_*")), "processing"):
        assert (folder / package / "__init__.pyi").exists()
    assert (folder / "htr_convtext" / "py.typed").exists()
    # What is installed here for other purposes and not in a Space.
    without = tmp_path_factory.mktemp("without")
    for module in ("reportlab", "evaluate", "jiwer"):
        (without / f"{module}.py").write_text(f"raise ModuleNotFoundError('{module}', name='{module}')")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(uploads),
        "PYTHONPATH": str(without),
    }
    with (
        open(folder / "log", "w") as log,
        subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        address = f"http://127.0.0.1:{port}/"
        for _ in range(120):
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(1)
        yield address
        process.terminate()
        process.wait(30)
        assert not list(uploads.glob("htr-convtext-*"))


@pytest.fixture
def browser(tmp_path):
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("no chromium with chromedriver")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


def open_app(browser, url: str, size: tuple[int, int], theme: str = "light") -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(f"{url}?__theme={theme}")
    wait(browser, "#upload input[type=file]")


def upload(browser, file: Path) -> None:
    browser.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(file))
    wait(browser, "#upload", lambda e: file.name in e.text.replace("\n", ""))


def wait(browser, selector: str, condition=lambda element: True, seconds: float = 90):
    """The first element that fits, as soon as there is one."""

    def find(driver):
        return next((e for e in driver.find_elements(By.CSS_SELECTOR, selector) if condition(e)), None)

    return WebDriverWait(browser, seconds, ignored_exceptions=[Exception]).until(find)


def test_a_page_is_uploaded_read_corrected_and_taken_along(browser, url, tmp_path):
    open_app(browser, url, DESKTOP)
    upload(browser, SPACE / "examples" / "page.jpg")
    wait(browser, "#read").click()
    text = wait(browser, "#text textarea, #text input", lambda e: e.is_displayed())
    assert text.get_attribute("value").startswith("Lyon, le 14 mars")
    assert "Nous sommes arriv" in wait(browser, "#lines").text

    # a click on the third line of the page, at (450, 416) of its 1240 × 1500 pixels
    picture = wait(browser, "#page img")
    # the line that is shown stays above the page, over which it is scrolled
    browser.execute_script("window.scrollBy(0, arguments[0].getBoundingClientRect().top - 300)", picture)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", picture)
    x, y = box["left"] + 450 / 1240 * box["width"], box["top"] + 416 / 1500 * box["height"]
    webdriver.ActionChains(browser).move_by_offset(round(x), round(y)).click().perform()
    text = wait(
        browser, "#text textarea, #text input", lambda e: (e.get_attribute("value") or "").startswith("Nous sommes")
    )
    assert len(browser.find_elements(By.CSS_SELECTOR, "#line .strip .char")) > 30

    text.send_keys(Keys.CONTROL, "a")
    text.send_keys("Nous étions là.", Keys.ENTER)
    wait(browser, "#lines", lambda e: "Nous étions là." in e.text)
    # a correction that is left by clicking another line, the second one in the table, is taken over too
    text.send_keys(" Enfin.")
    row = browser.find_elements(By.CSS_SELECTOR, "#lines [role=gridcell]")[4]  # number, text, score
    second = row.text
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
    row.click()
    assert second
    wait(browser, "#text textarea, #text input", lambda e: e.get_attribute("value") == second)
    wait(browser, "#lines", lambda e: "Nous étions là. Enfin." in e.text)
    time.sleep(1)  # for the new files
    wait(browser, "#download-alto").click()
    for _ in range(100):
        if (tmp_path / "page.alto.xml").exists():
            break
        time.sleep(0.2)
    root = etree.parse(tmp_path / "page.alto.xml").getroot()
    etree.XMLSchema(file=str(ROOT / "tests" / "schemas" / "alto_4.xsd")).assertValid(root)
    lines = [
        " ".join(string.get("CONTENT") for string in line.findall("{*}String")) for line in root.iter("{*}TextLine")
    ]
    assert "Nous étions là. Enfin." in lines
    assert len(lines) == 13


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_on_a_phone(browser, url, theme):
    open_app(browser, url, PHONE, theme)
    wait(browser, "button, td", lambda e: e.text.strip() == "a line").click()
    wait(browser, "#upload", lambda e: "line" in e.text)
    assert browser.find_elements(By.CSS_SELECTOR, "#kind input")[1].is_selected()
    browser.execute_script("document.querySelector('#read').click()")
    wait(browser, "#line .strip")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    for kind in ("char", "char.doubtful", "char.guessed"):
        assert contrast(wait(browser, f"#line .legend .{kind}")) >= 4.5


def contrast(element) -> float:
    """Of the text of an element and what is behind it, as WCAG 2.1 defines it."""

    def luminance(colour: Color) -> float:
        shares = [int(part, 16) / 255 for part in re.findall("..", colour.hex[1:])]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    text, behind = Color.from_string(element.value_of_css_property("color")), element
    while Color.from_string(behind.value_of_css_property("background-color")).alpha == "0":
        behind = behind.find_element(By.XPATH, "..")
    shades = [luminance(text), luminance(Color.from_string(behind.value_of_css_property("background-color")))]
    return (max(shades) + 0.05) / (min(shades) + 0.05)


def test_a_broken_upload_is_told(browser, url, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    open_app(browser, url, DESKTOP)
    upload(browser, tmp_path / "broken.png")
    wait(browser, "#read").click()
    assert "not an image" in wait(browser, ".toast-body", lambda e: "broken.png" in e.text).text
