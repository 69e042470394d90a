"""Arguments that say what is known of a model, for its card."""

import argparse
from typing import TYPE_CHECKING


if TYPE_CHECKING:  # slow to import
    from processing.model_facts import ModelFacts


def add_facts(parser: argparse.ArgumentParser) -> None:
    """`--language`, `--license`, `--dataset` and `--base-model`."""
    card = parser.add_argument_group(
        "model card", "What is not given, and stands in no card of the model, is not said."
    )
    card.add_argument("--language", nargs="+", default=[], metavar="CODE", help="languages of the text, such as fr de")
    card.add_argument("--license", metavar="ID", help="licence of the weights as the Hub lists it, such as cc-by-4.0")
    card.add_argument(
        "--dataset", nargs="+", default=[], metavar="OWNER/NAME", help="data sets of the Hub that it was trained on"
    )
    card.add_argument(
        "--base-model", nargs="+", default=[], metavar="OWNER/NAME", help="models of the Hub that it was trained from"
    )


def facts_given(settings: argparse.Namespace) -> "ModelFacts":
    """The facts of these arguments; an `InputError` names what is wrong."""
    from processing.model_facts import ModelFacts

    return ModelFacts(
        language=tuple(settings.language),
        license=settings.license,
        datasets=tuple(settings.dataset),
        base_model=tuple(settings.base_model),
    )
