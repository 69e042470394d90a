"""What programs write to stderr besides their own messages: warnings, progress bars, what is not installed."""

import logging
import os
import sys


# Modules that are not among the requirements of this package, and the extra of it that has them.
EXTRAS = {
    **dict.fromkeys(
        (
            "accelerate", "datasets", "evaluate", "fontTools", "jinja2", "jiwer", "kornia", "lmdb", "markupsafe",
            "matplotlib", "pandas", "pyarrow", "rapidfuzz", "regex", "scipy", "tensorboard", "yaml",
        ),
        "train",
    ),
    **dict.fromkeys(("lxml", "onnxruntime", "pypdfium2", "rapidocr", "reportlab", "shapely"), "pages"),
}  # fmt: skip


def set_up_output(prog: str) -> None:
    """
    Shows warnings of the library as messages of the program, and no progress bars where stderr is not a terminal.

    `datasets` and `transformers` look for these variables when they are imported; so do processes that we start.
    """
    logging.basicConfig(level=logging.WARNING, format=f"{prog}: %(message)s")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """What to say of a module that is not installed; `None` if it belongs to no extra of this package."""
    if isinstance(error.__cause__, ModuleNotFoundError):  # transformers hides which module it is
        return missing_extra(error.__cause__)
    if error.name is None:  # raised by this library, with the remedy
        return str(error)
    extra = EXTRAS.get(error.name.partition(".")[0])
    return extra and f"{error.name} is not installed: pip install 'htr-convtext[{extra}]'"
