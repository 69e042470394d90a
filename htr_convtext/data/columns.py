"""Which columns of a data set hold the images and the texts."""

from collections.abc import Iterable
from typing import Literal

import pyarrow as pa
from datasets import Features, Image, Value

from htr_convtext.errors import InputError


# Names under which data sets are published, in lower case.
KNOWN_COLUMNS = {
    "image": ("image", "images", "img", "image_line", "line_image", "line_img", "picture"),
    "text": (
        "text", "transcription", "transcript", "ground_truth", "groundtruth", "gt", "label", "sentence", "line_text",
    ),
}  # fmt: skip


def find_column(
    what: Literal["image", "text"],
    columns: Iterable[str],
    given: str | None,
    where: str,
    candidates: Iterable[str] | None = None,
    more_names: Iterable[str] = (),
) -> str:
    """
    The one of `columns` that is `given`, or else the `candidate` that is named `what`, or has another known name.

    Args:
        where: What the columns are of, for errors.
        candidates: The columns that may be it without being given; by default all.
        more_names: Known names besides `KNOWN_COLUMNS`, in lower case.

    Raises:
        InputError: if there is no such column, or several have a known name.
    """
    columns = list(columns)
    candidates = columns if candidates is None else list(candidates)
    there = f"It has the columns {', '.join(columns) or '(none)'}."
    if given is not None:
        if given not in columns:
            raise InputError(f"{where}: there is no column {given!r}. {there}")
        return given
    if what in candidates:
        return what
    found = [name for name in candidates if name.lower() in (*KNOWN_COLUMNS[what], *more_names)]
    if len(found) != 1:
        state = "more than one column may be" if found else "no column is known as"
        raise InputError(f"{where}: {state} the {what}; give {what}_column. {there}")
    return found[0]


def find_image_column(features: Features, given: str | None, where: str) -> str:
    """The column of images: `given`, the only one that `datasets` knows as images, or found by its name."""
    images = [name for name, feature in features.items() if isinstance(feature, Image)]
    return find_column("image", features, given, where, images or None, map(str.lower, images))


def find_text_column(features: Features, given: str | None, where: str) -> str:
    """
    The column of texts: `given`, or found by its name among those of plain values (classes are none).

    Raises:
        InputError: as `find_column`, or names the column if it holds something else than text.
    """
    plain = [name for name, feature in features.items() if isinstance(feature, Value)]
    name = find_column("text", features, given, where, plain)
    if name not in plain:
        raise InputError(f"{where}: the column {name!r} holds {type(features[name]).__name__} values, not text.")
    refuse_other_than_text(features[name].pa_type, name, where)
    return name


def refuse_other_than_text(kind: pa.DataType, name: str, where: str) -> None:
    """
    Raises an `InputError` if what is stored in a column is not the text that was transcribed, nor whole numbers: what
    was 12, 0.10 or True is not told by a float, a time or a truth value.
    """
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null,
    )  # fmt: skip
    if not any(test(kind) for test in tests):
        raise InputError(
            f"{where}: the column {name!r} holds values of the type {kind}, not text; store it as text (string)."
        )
