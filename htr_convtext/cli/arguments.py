"""Arguments that the programs share."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from htr_convtext.errors import InputError
from htr_convtext.whole_files import whole_file


if TYPE_CHECKING:
    from htr_convtext.reading import LineReader


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


def probability(text: str) -> float:
    """A number from 0 to 1, for `add_argument(type=...)`."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text}")
    return value


def picture_file(text: str) -> str:
    """The name of a picture to write, for `add_argument(type=...)`: a wrong one is told before the work is done."""
    if not text.lower().endswith(PICTURES):
        raise argparse.ArgumentTypeError(f"must end in {', '.join(PICTURES)}, got {text}")
    return text


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model`."""
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")


def add_models(parser: argparse.ArgumentParser) -> None:
    """`--model`, once or several times; `open_recognizer` opens them."""
    parser.add_argument(
        "--model",
        action="append",
        metavar="DIR",
        help="model folder or Hub id (default: the bundled model); of several, each after a --model of its own, the "
        "readings vote on each character, the first model deciding between equal votes",
    )


def add_reading(parser: argparse.ArgumentParser, batch_size: int = 8) -> None:
    """`--decoder`, `--lm`, `--language`, `--batch-size`, `--device` and `--processes`: how a model reads."""
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
    parser.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="processes that search for the best text (default: 1 beside a network on the CPU, which uses all of its "
        "processors; as many as there are processors beside an accelerator, which would wait for one)",
    )


def add_min_confidence(parser: argparse.ArgumentParser) -> None:
    """`--min-confidence`; see `warn_of_scores`."""
    parser.add_argument(
        "--min-confidence",
        type=probability,
        metavar="P",
        help="mark words, and lines in which nothing was read, whose probability of being right is below P, 0 to 1",
    )


def warn_of_scores(settings: argparse.Namespace, recognizer: "LineReader") -> None:
    """Says so if `--min-confidence` cannot mean a probability."""
    if settings.min_confidence is not None and recognizer.calibration is None:
        print(
            f"{settings.prog}: the model is not calibrated for the decoder {recognizer.decoder_name} (htr tune does "
            "it): --min-confidence is compared with mean scores, which are no probabilities of being right.",
            file=sys.stderr,
        )


def open_recognizer(settings: argparse.Namespace) -> "LineReader":
    """
    What `add_models` and `add_reading` asked for.

    Raises:
        InputError: names the model, device, decoder or language model that cannot be used.
    """
    from htr_convtext.recognizer import load_recognizer
    from htr_convtext.voting import VotingRecognizer

    if settings.lm and settings.language:
        raise InputError("Give --lm or --language, not both: --language chooses among those of the model.")
    models = settings.model or [None]
    for model in models:
        if models.count(model) > 1:
            raise InputError(f"{model} is given twice; a vote needs different models.")
    how = settings.device, settings.decoder, settings.language, settings.lm, decoding_processes(settings)
    recognizers = [load_recognizer(model, *how) for model in models]
    return recognizers[0] if len(recognizers) == 1 else VotingRecognizer(recognizers)


def decoding_processes(settings: argparse.Namespace) -> int:
    """The number asked for, or what fits where the network runs."""
    from torch import accelerator

    on_cpu = settings.device == "cpu" or not accelerator.is_available()
    return settings.processes or (1 if on_cpu else os.cpu_count() or 1)


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
