"""The report as one page that needs nothing else: images, charts and style are in it."""

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from htr_convtext.errors import InputError
from htr_convtext.whole_files import write_whole

from . import charts
from .alignment import character_name, edits, visible
from .predict import Prediction


WORST_LINES = 50
IMAGE_SIZE = (1200, 160)  # pixels at most, so that a page of 50 images stays below some megabytes


def write_report(
    report: dict,
    predictions: Iterable[Prediction],
    path: str | os.PathLike,
    image_of: Callable[[Prediction], Image.Image] | None = None,
) -> None:
    """
    Writes `report.html`.

    Args:
        report: Of `measure`, with the names of the `"model"` and the `"split"` added.
        predictions: The lines that were measured; those with the most errors are shown.
        image_of: Opens the image of a line; may raise `InputError` if it cannot.
    """
    counted = [(sum(edits(line.pieces).values()), line) for line in predictions]
    worst = sorted(((errors, line) for errors, line in counted if errors), key=lambda pair: -pair[0])[:WORST_LINES]
    shown = [
        {
            "prediction": line,
            "errors": errors,
            "pieces": line.pieces,
            "image": image_uri(partial(image_of, line)) if image_of else None,
        }
        for errors, line in worst
    ]
    numbers = report["all"]
    names = list(report["sets"])
    drawn = {
        "sets": charts.by_set(
            names,
            [report["sets"][name]["cer"] for name in names],
            [report["sets"][name]["intervals"]["cer"] for name in names],
            "CER % with 95 % interval",
        ),
        "length": charts.by_length(numbers["by_length"]),
        "reliability": charts.reliability(numbers["calibration"]),
        "risk": charts.risk_coverage(numbers["calibration"]["risk_coverage"]),
    }
    write_page("report.html", path, report=report, worst=shown, charts=drawn)


def write_page(template: str, path: str | os.PathLike, **values) -> None:
    """Fills one of the templates; every value is escaped but the charts."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval, visible=visible, character_name=character_name)
    write_whole(path, environment.get_template(template).render(**values))


def percent(share: float, signed: bool = False) -> str:
    """`0.1234` as `12.34`, in per cent."""
    return f"{100 * share:{'+' if signed else ''}.2f}"


def interval(bounds: Sequence[float], signed: bool = False) -> str:
    """`[0.1, 0.2]` as `[10.00, 20.00]`, in per cent."""
    return f"[{', '.join(percent(bound, signed) for bound in bounds)}]"


def image_uri(open_it: Callable[[], Image.Image]) -> str | None:
    """A small picture as a `data:` URI; `None` if it cannot be opened (`InputError`)."""
    try:
        image = open_it()
    except InputError:
        return None
    image.thumbnail(IMAGE_SIZE)
    stream = io.BytesIO()
    image.convert("L").save(stream, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
