"""Charts of a report as SVG to put into a page: their text and axes take its colour, so they suit light and dark."""

import io
from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure


_INK = "#123456"  # stands for the colour of the page's text; Matplotlib cannot write `currentColor`
_BLUE, _ORANGE = "#3f87d9", "#cf7620"  # at least 3:1 on white and on the dark page


def _draw(plot: Callable[[Axes], None], height: float = 3.0) -> Markup:
    style = {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        **{f"{part}.color": _INK for part in ("text", "xtick", "ytick")},
        **{f"axes.{part}": _INK for part in ("edgecolor", "labelcolor")},
    }
    with rc_context(style):
        figure = Figure(figsize=(4.8, height), layout="constrained")
        plot(figure.add_subplot())
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    svg = stream.getvalue()
    return Markup(svg[svg.index("<svg") :].replace(_INK, "currentColor"))


def by_length(rows: Sequence[dict]) -> Markup:
    """Bars of the CER of `measures.by_length`."""

    def plot(axes: Axes) -> None:
        names = [f"{row['from']}–{row['to']}" if row["to"] else f"{row['from']}+" for row in rows]
        bars = axes.bar(names, [100 * row["cer"] for row in rows], color=_BLUE)
        axes.bar_label(bars, [f"{100 * row['cer']:.1f}" for row in rows], fontsize=9)
        axes.set(xlabel="characters in the line", ylabel="CER %")

    return _draw(plot)


def by_set(names: Sequence[str], values: Sequence[float], bounds: Sequence[Sequence[float]], label: str) -> Markup:
    """Points with their intervals, one row for each name; 0 is marked where differences are on both sides of it."""

    def plot(axes: Axes) -> None:
        percent = [100 * value for value in values]
        reach = [
            [100 * abs(value - bound[side]) for value, bound in zip(values, bounds, strict=True)] for side in (0, 1)
        ]
        labels = [name if len(name) <= 28 else name[:27] + "…" for name in names]
        axes.errorbar(percent, range(len(names)), xerr=reach, fmt="o", color=_BLUE, capsize=3)
        axes.set_yticks(range(len(names)), labels)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=label)
        if min(low for low, _ in bounds) < 0:
            axes.axvline(0, color=_INK, linewidth=0.8, linestyle="--")
        else:
            axes.set_xlim(left=0)

    return _draw(plot, height=0.9 + 0.3 * len(names))


def reliability(calibration: dict) -> Markup:
    """What is right at each score: characters, and lines."""

    def plot(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle="--", label="calibrated")
        for kind, marker, color in (("characters", "o", _BLUE), ("lines", "s", _ORANGE)):
            rows = calibration[kind]["bins"]
            axes.plot(
                [row["score"] for row in rows], [row["right"] for row in rows], color=color, marker=marker, label=kind
            )
        axes.set(xlabel="score of the line", ylabel="share that is right", xlim=(0, 1), ylim=(-0.02, 1.02))
        axes.legend()

    return _draw(plot)


def risk_coverage(rows: Sequence[dict]) -> Markup:
    """CER of the lines kept against their share."""

    def plot(axes: Axes) -> None:
        axes.plot([100 * row["coverage"] for row in rows], [100 * row["risk"] for row in rows], color=_BLUE, marker="o")
        axes.set(xlabel="lines kept %, best scores first", ylabel="CER % of the lines kept", xlim=(0, 102))
        axes.set_ylim(bottom=0)

    return _draw(plot)
