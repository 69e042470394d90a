"""Gradio app: read a page or a line of handwriting, correct it, take it along as text, PAGE-XML or ALTO.

    python space/app.py

Environment variables: HTR_MODELS, Hub ids or folders to choose from besides the bundled model, separated by commas.
"""

import contextlib
import io
import os
import re
import signal
import sys
import tempfile
import uuid
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import gradio as gr
from PIL import Image


HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # started from a clone, or from the folder of a Space

from rendering import (  # noqa: E402
    CSS,
    SHOW_EDITOR,
    draw_page,
    find_line,
    line_html,
    page_html,
    shown_scale,
    text_html,
)

from htr_convtext import InputError, Recognizer, load_recognizer  # noqa: E402
from htr_convtext.decoding import DECODERS  # noqa: E402
from htr_convtext.documents import (  # noqa: E402
    SUFFIXES,
    Page,
    PageImages,
    PageLine,
    Region,
    cut_line,
    format_pages,
)
from htr_convtext.reading import Calibration, certain  # noqa: E402
from htr_convtext.transcription import corrected, transcribe_image, with_expected_cer  # noqa: E402


BUNDLED = "tiny (bundled)"
MODELS = [BUNDLED, *filter(None, map(str.strip, os.environ.get("HTR_MODELS", "").split(",")))]
BEST = "best of the model"
DECODER_LABELS = {"beam": "beam search", "lm": "language model"}
MIN_CONFIDENCE = 0.5
PAGE, LINE = "a page", "a single line"
MAX_UPLOAD = "20mb"
MAX_PIXELS = 40_000_000
KEPT_SECONDS = 3600
MAX_SESSIONS = 30
JPEG_QUALITY = 85
LONGEST_JPEG = 65_000  # pixels: no JPEG is longer
EXAMPLES = HERE / "examples"
SELECTION = 5  # what a click on a line changes: the state, the page, the crop, the text and the key
DOWNLOADS = {"text": "Download text", "page": "Download PAGE-XML", "alto": "Download ALTO"}


@dataclass(frozen=True)
class Reading:
    """What one person has on screen."""

    name: str  # of its files
    content: bytes  # of the page, `compressed`
    page: Page
    selected: str | None = None
    calibration: Calibration | None = None  # of what read it
    min_confidence: float = MIN_CONFIDENCE  # below which words are marked
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def image(self) -> Image.Image:
        """The page, 8-bit RGB."""
        return Image.open(io.BytesIO(self.content), formats=["JPEG", "PNG"]).convert("RGB")

    def line(self) -> PageLine | None:
        return next((line for line in self.page.lines if line.id == self.selected), None)

    def key(self, line: PageLine) -> str:
        """Names a line, and the reading: the lines of the next page have the same ids."""
        return f"{self.token} {line.id}"

    def picture(self) -> Image.Image:
        return draw_page(self.image, self.page, self.selected, self.min_confidence)


def compressed(image: Image.Image) -> bytes:
    """A page as it is kept for each of `MAX_SESSIONS`, which have not enough memory for all of them as they are."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if max(image.size) < LONGEST_JPEG else "PNG", quality=JPEG_QUALITY)
    return buffer.getvalue()


@lru_cache(maxsize=2)
def recognizer(model: str, decoder: str) -> Recognizer:
    try:
        return load_recognizer(None if model == BUNDLED else model, decoder=None if decoder == BEST else decoder)
    except InputError as error:
        raise gr.Error(str(error)) from None


def open_upload(path: str, number: int) -> tuple[Image.Image, int, int]:
    """A page of an upload, its number and the number of pages; a message where it cannot be read."""
    try:
        pages = PageImages(path, MAX_PIXELS)
        number = max(1, min(number, len(pages)))
        return pages[number - 1], number, len(pages)
    except (InputError, OSError) as error:
        raise gr.Error(str(error).replace(path, Path(path).name)) from None


def whole_line(image: Image.Image) -> Page:
    """A layout of one line that fills the image."""
    width, height = image.size
    outline = [(0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))]
    line = PageLine("r1_l1", "", outline, [])
    return Page("", width, height, [Region("r1", outline, [line])])


def read(
    path: str | None,
    kind: str,
    number: float,
    model: str,
    decoder: str,
    min_confidence: float = MIN_CONFIDENCE,
    progress=gr.Progress(),  # noqa: B008
):
    """Reads the upload; the new state and everything that shows it."""
    if not path:
        raise gr.Error("Choose a file first: an image, a TIFF or a PDF.")
    progress(0.1, "opening")
    with contextlib.suppress(OSError):  # an example may not be ours
        os.utime(path)  # another hour
    image, number, count = open_upload(path, int(number or 1))
    progress(0.3, "finding and reading lines")
    reader = recognizer(model, decoder)
    page = transcribe_image(image, reader, whole_line(image) if kind == LINE else None)
    if not page.lines:
        gr.Warning("No line of text was found. Is the page upright and sharp?")
    elif page.is_sideways:
        gr.Warning("The page seems to lie on its side. Turn it upright for a good reading.")
    name = Path(path).stem + (f"_{number:04}" if count > 1 else "")
    page = replace(page, image=Path(path).name, number=number)
    first = page.lines[0].id if page.lines else None
    return show(Reading(name, compressed(image), page, first, reader.calibration, min_confidence))


def show(reading: Reading):
    """All outputs for a state."""
    return (
        reading,
        reading.picture(),
        rows(reading),
        page_html(reading.page),
        *show_line(reading),
        *downloads(reading),
    )


def rows(reading: Reading) -> list[list]:
    return [
        [
            number,
            text_html(line, reading.min_confidence),
            "" if line.score is None else f"{100 * line.score:.0f} %",
        ]
        for number, line in enumerate(reading.page.lines, 1)
    ]


def show_line(reading: Reading):
    """Crop, text and key of the selected line."""
    line = reading.line()
    if line is None:
        return gr.HTML(visible=False), gr.Textbox(visible=False), None
    number = [each.id for each in reading.page.lines].index(line.id) + 1
    text = gr.Textbox(value=line.text, visible=True, label=f"Line {number}: correct it here")
    try:
        cut = cut_line(reading.image.convert("L"), line.polygon, line.baseline)
        shown = line_html(line, cut, reading.calibration is not None)
    except InputError as error:
        shown = f"<p>This line cannot be cut out: {error}.</p>"
    return gr.HTML(value=shown, visible=True), text, reading.key(line)


def downloads(reading: Reading):
    """The files, in a folder of Gradio's that is emptied."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"]))
    buttons = []
    for kind, label in DOWNLOADS.items():
        suffix = SUFFIXES[kind] if kind == "text" else f".{kind}{SUFFIXES[kind]}"
        file = folder / f"{reading.name}{suffix}"
        file.write_bytes(format_pages([(reading.page, reading.image)], kind))
        buttons.append(gr.DownloadButton(label, value=str(file), interactive=True))
    return buttons


def is_kept(reading: Reading | None) -> bool:
    """Whether there is something to work on; a person who comes back after hours is told that there is not."""
    if reading is None:
        gr.Warning("This page is no longer kept here. Read it again.")
    return reading is not None


def select(reading: Reading, identifier: str | None):
    if identifier is None:
        return (gr.skip(),) * SELECTION
    reading = replace(reading, selected=identifier)
    return reading, reading.picture(), *show_line(reading)


def select_in_picture(reading: Reading | None, event: gr.SelectData):
    """A click on the page."""
    if not is_kept(reading):
        return (gr.skip(),) * SELECTION
    x, y = (place / shown_scale(reading.image) for place in event.index)
    line = find_line(reading.page, x, y)
    return select(reading, line and line.id)


def select_in_table(reading: Reading | None, event: gr.SelectData):
    """A click on a row."""
    if not is_kept(reading) or event.index[0] >= len(reading.page.lines):
        return (gr.skip(),) * SELECTION
    return select(reading, reading.page.lines[event.index[0]].id)


def correct(reading: Reading | None, key: str | None, text: str):
    """Takes the corrected text of a line over, which may no longer be the selected one."""
    nothing = (gr.skip(),) * (5 + len(DOWNLOADS))
    if not key or not is_kept(reading):
        return nothing
    line = next((line for line in reading.page.lines if reading.key(line) == key), None)
    if line is None or text == line.text:
        return nothing
    # What is pasted may have line breaks, and characters that no XML file can have.
    text = re.sub(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+", " ", text).strip()
    try:
        new = corrected(line, text, cut_line(reading.image.convert("L"), line.polygon, line.baseline))
    except InputError:
        new = replace(line, text=text, score=1.0, confidence=certain(text))
    page = reading.page.with_lines(new if each is line else each for each in reading.page.lines)
    reading = replace(reading, page=with_expected_cer(page, reading.calibration))
    shown = reading.picture(), page_html(reading.page), show_line(reading)[0]
    return reading, rows(reading), *shown, *downloads(reading)


def mark(reading: Reading | None, min_confidence: float):
    """Marks the words that are less sure, in the picture and in the table."""
    if reading is None:
        return (gr.skip(),) * 3
    reading = replace(reading, min_confidence=min_confidence)
    return reading, reading.picture(), rows(reading)


def count_pages(path: str | None):
    """Shows the choice of a page where there are several."""
    try:
        count = len(PageImages(path)) if path else 1
    except (InputError, OSError):
        count = 1
    return gr.Number(value=1, minimum=1, maximum=count, visible=count > 1, label=f"Page (1 to {count})")


def build() -> gr.Blocks:
    gr.set_static_paths([EXAMPLES])  # else they would be deleted as uploads are
    with gr.Blocks(title="HTR-ConvText", delete_cache=(KEPT_SECONDS // 6, KEPT_SECONDS)) as app:
        gr.Markdown(
            "# HTR-ConvText: read handwriting\nA photograph or scan of a page, or of a single line. What you upload is "
            "deleted an hour after it was last read or clicked."
        )
        state = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                upload = gr.File(
                    label="Image, TIFF or PDF",
                    file_types=["image", ".tif", ".tiff", ".pdf"],
                    height=140,
                    elem_id="upload",
                )
                kind = gr.Radio([PAGE, LINE], value=PAGE, label="It shows", elem_id="kind")
                number = gr.Number(value=1, precision=0, visible=False)
                with gr.Accordion("Model and decoder", open=False):
                    model = gr.Dropdown(MODELS, value=MODELS[0], label="Model", interactive=len(MODELS) > 1)
                    labels = [BEST, *((DECODER_LABELS.get(name, name), name) for name in DECODERS)]
                    decoder = gr.Dropdown(labels, value=BEST, label="Decoder", elem_id="decoder")
                marks = gr.Slider(
                    0, 1, value=MIN_CONFIDENCE, step=0.05, label="Mark words less sure than", elem_id="marks"
                )
                start = gr.Button("Read", variant="primary", elem_id="read")
                gr.Examples(
                    [[str(EXAMPLES / "page.jpg"), PAGE], [str(EXAMPLES / "line.jpg"), LINE]],
                    [upload, kind],
                    example_labels=["a page", "a line"],
                    label="Examples",
                )
            with gr.Column(scale=5, min_width=300):
                with gr.Column(elem_id="editor"):
                    crop = gr.HTML(elem_id="line", visible=False)
                    text = gr.Textbox(visible=False, elem_id="text", submit_btn="Save")
                    key = gr.Textbox(visible=False)
                picture = gr.Image(
                    label="The page: click a line",
                    interactive=False,
                    format="jpeg",
                    elem_id="page",
                    buttons=["fullscreen"],
                )
        summary = gr.HTML(elem_id="summary")
        table = gr.Dataframe(
            headers=["#", "text", "score"],
            datatype=["number", "html", "str"],
            interactive=False,
            wrap=True,
            column_widths=["12%", "68%", "20%"],
            max_height=1200,
            elem_id="lines",
            label="All lines",
        )
        with gr.Row():
            files = [
                gr.DownloadButton(label, interactive=False, elem_id=f"download-{name}")
                for name, label in DOWNLOADS.items()
            ]
        selection = [state, picture, crop, text, key]
        upload.change(count_pages, upload, number, show_progress="hidden")
        start.click(
            read,
            [upload, kind, number, model, decoder, marks],
            [state, picture, table, summary, crop, text, key, *files],
            concurrency_limit=1,
        )
        # One after the other, as they come: each builds on the state that the one before leaves.
        edit = {"show_progress": "hidden", "trigger_mode": "multiple"}
        edit |= {"concurrency_id": "edit", "concurrency_limit": 1}
        picture.select(select_in_picture, state, selection, **edit)
        table.select(select_in_table, state, selection, **edit).then(js=SHOW_EDITOR)
        changed = [state, table, picture, summary, crop, *files]
        gr.on([text.submit, text.blur], correct, [state, key, text], changed, **edit)
        marks.release(mark, [state, marks], [state, picture, table], **edit)
    return app


def main() -> None:
    # Uploads and downloads go where the app alone looks, and go with it, also when a Space is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="htr-convtext-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        app = build().queue(max_size=20, default_concurrency_limit=4)
        app.launch(
            max_file_size=MAX_UPLOAD,
            state_session_capacity=MAX_SESSIONS,
            css=CSS,
            theme=gr.themes.Soft(),
            show_error=True,
        )


if __name__ == "__main__":
    main()
