"""What the app draws: a page with its lines, and a line with its characters."""

import base64
import html
import io

from PIL import Image, ImageColor, ImageDraw

from htr_convtext.documents import LineCut, Page, PageLine
from htr_convtext.transcription.summary import cer_with_bounds


LINE, SELECTED, FAILED, DOUBTED = "#0e7490", "#d97706", "#b91c1c", "#eab308"
CROP_HEIGHT = 56
LONGEST = 1600
LONGEST_CROP = 20_000
# Scores at which a character counts as doubtful, and as guessed.
DOUBTFUL, GUESSED = 0.9, 0.6

CSS = """
.gradio-container {overflow: clip !important}
#editor {position: sticky; top: 0; z-index: 5; background: var(--body-background-fill)}
.line-view {overflow-x: auto; padding: 4px 0 8px}
.line-view .strip {position: relative; height: 104px; min-width: 100%}
.line-view img {position: absolute; left: 0; top: 0; height: 56px; max-width: none; border-radius: 4px}
.line-view .char {position: absolute; top: 72px; min-width: 0.8em; padding: 1px; text-align: center;
  transform: translateX(-50%); border-radius: 3px; color: var(--body-text-color); font-size: 15px; line-height: 22px}
.line-view .char::before {content: ""; position: absolute; left: 50%; top: -14px; height: 12px;
  border-left: 1px solid var(--border-color-primary)}
.char.doubtful {background: #fde68a; color: #422006 !important}
.char.guessed {background: #fca5a5; color: #450a0a !important}
#lines mark {background: #fde68a; color: #422006; border-radius: 3px; padding: 0 2px}
.legend {font-size: 13px; color: var(--body-text-color-subdued)}
.legend .char {padding: 1px 6px; border-radius: 3px; white-space: nowrap}
"""


# The table of all lines lies below the page, the line that is clicked there is shown above it.
SHOW_EDITOR = "() => document.querySelector('#editor').scrollIntoView({block: 'nearest', behavior: 'smooth'})"


def shown_scale(image: Image.Image) -> float:
    """Pixels on screen for each of the page's: at most `LONGEST` a side."""
    return min(1.0, LONGEST / max(image.size))


def draw_page(image: Image.Image, page: Page, selected: str | None, min_confidence: float = 0.0) -> Image.Image:
    """The page with its lines outlined, the selected one marked, and words that are less sure than `min_confidence`."""
    scale = shown_scale(image)
    drawn = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    layer = Image.new("RGBA", drawn.size)
    pen = ImageDraw.Draw(layer)
    for line in page.lines:
        if len(line.polygon) < 2:
            continue
        colour = ImageColor.getrgb(SELECTED if line.id == selected else FAILED if line.error else LINE)
        points = [(x * scale, y * scale) for x, y in line.polygon]
        pen.polygon(points, fill=(*colour, 70 if line.id == selected else 28))
        pen.line([*points, points[0]], fill=(*colour, 255), width=4 if line.id == selected else 2)
    doubted = (*ImageColor.getrgb(DOUBTED), 110)
    for word in (word for line in page.lines for word in line.words if word.score < min_confidence):
        pen.polygon([(x * scale, y * scale) for x, y in word.polygon], fill=doubted)
    return Image.alpha_composite(drawn.convert("RGBA"), layer).convert("RGB")


def find_line(page: Page, x: float, y: float) -> PageLine | None:
    """The line at a point of the page: of those around it the one whose middle is nearest."""

    def distance(line: PageLine) -> float:
        heights = [point[1] for point in line.polygon]
        return abs((min(heights) + max(heights)) / 2 - y)

    around = [line for line in page.lines if line.polygon and _contains(line.polygon, x, y)]
    return min(around, key=distance, default=None)


def _contains(polygon: list[tuple[float, float]], x: float, y: float) -> bool:
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def text_html(line: PageLine, min_confidence: float) -> str:
    """The text of a line, with what is less sure than `min_confidence` marked."""
    shown, end = "", 0
    for start, stop in line.doubtful_parts(min_confidence):
        part = html.escape(line.text[start:stop]) or "nothing was read"
        shown += f"{html.escape(line.text[end:start])}<mark>{part}</mark>"
        end = stop
    return shown + html.escape(line.text[end:])


def page_html(page: Page) -> str:
    """How well a page is expected to be read, and what its scores mean."""
    said = []
    empty = sum(line.was_read_as_nothing for line in page.lines)
    if page.expected_cer is not None:
        said.append(f"Expected CER of the page: {cer_with_bounds(page.expected_cer)}.")
    if empty:
        said.append(f"{empty} {'line' if empty == 1 else 'lines'} read as nothing.")
    if page.provenance is not None:
        decoder = html.escape(page.provenance.decoder)
        if page.provenance.calibration is None:
            said.append(f"Scores are means over characters, not probabilities of being right (decoder {decoder}).")
        else:
            said.append(
                "Scores are probabilities of being right, of a line the mean of its characters "
                f"(decoder {decoder}, calibration {page.provenance.calibration})."
            )
    return f'<div class="legend">{" ".join(said)}</div>'


def line_html(line: PageLine, cut: LineCut, calibrated: bool = False) -> str:
    """
    The cut line, and under it its characters where each was read, coloured by their scores.

    Args:
        calibrated: Whether these are probabilities of being right.
    """
    width = min(max(1, round(cut.image.width * CROP_HEIGHT / cut.image.height)), LONGEST_CROP)
    scale = width / cut.image.width
    buffer = io.BytesIO()
    cut.image.resize((width, CROP_HEIGHT)).save(buffer, "JPEG", quality=85)
    source = base64.b64encode(buffer.getvalue()).decode()
    characters = ""
    for character in line.characters:
        if not character.char.isspace():
            middle, shown = (character.start + character.end) / 2 * scale, html.escape(character.char)
            characters += (
                f'<span class="char {confidence(character.score)}" style="left:{middle:.0f}px" '
                f'title="{shown}: {100 * character.score:.0f} %">{shown}</span>'
            )
    meaning = "probability of being right" if calibrated else "score"
    return (
        f'<div class="line-view"><div class="strip" style="width:{width}px">'
        f'<img alt="the line" src="data:image/jpeg;base64,{source}">{characters}</div></div>'
        f'<div class="legend">{meaning}: <span class="char">above 90 %</span> '
        '<span class="char doubtful">60 to 90 %</span> <span class="char guessed">below 60 %</span></div>'
    )


def confidence(score: float) -> str:
    """The class of a score: empty if it is good."""
    return "guessed" if score < GUESSED else "doubtful" if score < DOUBTFUL else ""
