"""`htr COMMAND ...`: choosing the program, and how all of them end."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from htr_convtext import __version__
from htr_convtext.errors import InputError

from .output import missing_extra, set_up_output


# Each is a module of this package with `parse(words, prog)`, which makes settings of a command line, and
# `run(settings)`, which gives an exit code. What a program needs is imported when it runs.
COMMANDS = {
    "recognize": "read images of handwritten lines",
    "transcribe": "find and read the lines of pages: text, JSONL, PAGE-XML, ALTO, searchable PDF",
    "prepare": "turn lines from anywhere into one data set in Parquet, with a report",
    "lmdb": "turn lines from anywhere into LMDB stores of the scene-text layout",
    "align": "find where in a line each word and character of a known text is written",
    "audit": "find wrong transcriptions: rank lines by how little their text fits",
    "words": "cut the words out of lines, where a model sees the spaces",
    "render": "render lines of handwriting from any text, to train on",
    "lm": "make a language model of texts, to read with",
    "tune": "find how a model should be decoded, and what its confidences mean",
    "train": "train a line recogniser, or go on with one",
    "overfit": "let a new model learn a few lines by heart, to check the data",
    "evaluate": "measure a model on lines with ground truth",
    "evaluate-pages": "measure a model on pages with ground truth",
    "compare": "put measured models side by side",
    "export": "save a trained model as a folder to share",
    "convert": "turn a published checkpoint into a model folder",
    "average": "make one model of the weights of several",
}


def run_command(command: str, words: Sequence[str] | None = None, prog: str | None = None) -> int:
    """
    Runs a program.

    Args:
        words: Its command line; by default that of this process.
        prog: What it is called in help texts and messages; by default `htr COMMAND`.

    Returns:
        Its exit code: 1 if something that was given cannot be used (`InputError`, `OSError`), which is said in one
        line, as is what to install where a module is missing. Other errors are mistakes of ours, and pass.
    """
    prog = prog or f"htr {command}"
    module = import_module(f".{command.replace('-', '_')}", __package__)
    set_up_output(prog)
    try:
        try:
            settings = module.parse(sys.argv[1:] if words is None else list(words), prog)
            return module.run(settings)
        finally:  # what is still to be written may fail too
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads our output has seen enough
        _silence_stdout()
        return 1
    except ModuleNotFoundError as error:
        message = missing_extra(error)
        if message is None:
            raise
        print(f"{prog}: {message}", file=sys.stderr)
        return 1
    except InputError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        named = error.filename is not None and error.strerror
        print(f"{prog}: {error.filename}: {error.strerror}" if named else f"{prog}: {error}", file=sys.stderr)
        _silence_stdout()
        return 1


def _silence_stdout() -> None:
    """What cannot be written to stdout is forgotten; else Python would try again when it ends, and show a traceback."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(words: Sequence[str] | None = None) -> int:
    """The command `htr`."""
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="htr",
        description="Handwritten text recognition.",
        usage="htr COMMAND ...",
        epilog="Commands:\n"
        + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
        + "\n\nExamples:\n    htr recognize examples\n    htr transcribe --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    settings = parser.parse_args(words)
    return run_command(settings.command, settings.words)
