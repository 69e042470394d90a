"""Arguments that the programs share."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from htr_convtext.errors import InputError
from htr_convtext.whole_files import whole_file


if TYPE_CHECKING:
    from htr_convtext.recognizer import Recognizer


# Named here, for to import the decoders takes longer than to show a help text.
DECODERS = ("greedy", "beam", "lm")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf")


def new_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser whose description, with its examples, is shown as it is written; `%(prog)s` in it is the program."""
    return argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def positive_int(text: str) -> int:
    """A whole number of at least 1, for `add_argument(type=...)`."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def picture_file(text: str) -> str:
    """The name of a picture to write, for `add_argument(type=...)`: a wrong one is told before the work is done."""
    if not text.lower().endswith(PICTURES):
        raise argparse.ArgumentTypeError(f"must end in {', '.join(PICTURES)}, got {text}")
    return text


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model`."""
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")


def add_reading(parser: argparse.ArgumentParser, batch_size: int = 8) -> None:
    """`--decoder`, `--lm`, `--language`, `--batch-size` and `--device`: how a model reads."""
    parser.add_argument(
        "--decoder",
        choices=DECODERS,
        help="greedy: the most probable step by step; beam: the most probable text; lm: the best text with a language "
        "model (default: lm if the model has one, else greedy)",
    )
    parser.add_argument("--lm", metavar="FILE", help="language model of htr lm, in place of those of the model")
    parser.add_argument(
        "--language",
        metavar="NAME",
        help="use this language model of the model's, such as fr (default: for each line the one that fits best)",
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=batch_size, help="lines read at once (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")


def open_recognizer(settings: argparse.Namespace) -> "Recognizer":
    """
    What `add_model` and `add_reading` asked for.

    Raises:
        InputError: names the model, device, decoder or language model that cannot be used.
    """
    from htr_convtext.recognizer import load_recognizer

    if settings.lm and settings.language:
        raise InputError("Give --lm or --language, not both: --language chooses among those of the model.")
    return load_recognizer(settings.model, settings.device, settings.decoder, settings.language, settings.lm)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """`--words`, `--partition` and what else `load_lines` takes besides a source; `source_options` gives it to it."""
    parser.add_argument("--words", action="store_true", help="take words, not lines; a source without any is refused")
    parser.add_argument("--partition", metavar="DIR", help="folder of the lists that split IAM words")
    parser.add_argument("--image-column", metavar="NAME", help="column of images, where it is not found by its name")
    parser.add_argument("--text-column", metavar="NAME", help="column of texts, where it is not found by its name")
    parser.add_argument("--image-root", metavar="DIR", help="folder of the images of lists, tables, IAM and Imgur5K")


def source_options(settings: argparse.Namespace) -> dict:
    """What `add_source_options` asked for, for `load_lines`."""
    return {
        name: getattr(settings, name) for name in ("words", "partition", "image_column", "text_column", "image_root")
    }


@contextlib.contextmanager
def open_output(path: str | None) -> Iterator[TextIO]:
    """
    The file or the terminal, for text of any kind: not every file name is valid Unicode. The file has its name when all
    is written; what was written until something stopped it stays as `<path>.part`.
    """
    options = {"encoding": "utf-8", "errors": "backslashreplace"}
    if path:
        with whole_file(path, keep=True) as part, open(part, "w", **options) as stream:
            yield stream
    else:
        sys.stdout.reconfigure(**options)
        yield sys.stdout
