"""Save a trained model as a folder to share: without the parts that only training needs, in half precision, with its
code and a model card.

Examples:
    %(prog)s --model runs/mine/best --output my_model --language fr --license cc-by-4.0
    %(prog)s --model runs/mine/best --output my_model --report results/mine
    %(prog)s --model runs/mine/best --output my_model --push me/my_model --dry-run

The card, README.md, carries on what the card of the model says; edit it, and export again: the text stays as long as
the weights do. --push uploads the folder to the Hub, with the token of `hf auth login` or HF_TOKEN; with --dry-run it
lists what would be uploaded, and needs neither token nor network.
"""

import argparse
import sys

from .arguments import new_parser
from .card_arguments import add_facts, facts_given


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of a trained model or checkpoint")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--full-precision", action="store_true", help="store 32-bit floats (twice the size)")
    add_facts(parser)
    parser.add_argument(
        "--report",
        nargs="+",
        default=[],
        metavar="FILE",
        help="report.json of `htr evaluate --output`, or its folder, measured with these weights",
    )
    parser.add_argument(
        "--hub-set",
        nargs="+",
        default=[],
        type=hub_set,
        metavar="SET=OWNER/NAME",
        help="sets of the reports that are data sets of the Hub: their leaderboards get .eval_results/",
    )
    push = parser.add_argument_group("Hugging Face Hub")
    push.add_argument("--push", metavar="OWNER/NAME", help="upload the folder as this model")
    push.add_argument("--private", action="store_true", help="make the model private, if it is not there yet")
    push.add_argument("--dry-run", action="store_true", help="list what would be uploaded, and upload nothing")
    settings = parser.parse_args(words)
    if (settings.private or settings.dry_run) and not settings.push:
        parser.error("--private and --dry-run go with --push OWNER/NAME")
    if settings.hub_set and not settings.report:
        parser.error("--hub-set goes with --report")
    settings.prog = prog
    return settings


def hub_set(text: str) -> tuple[str, str]:
    """A set and its Hub id, for `add_argument(type=...)`."""
    name, sign, hub_id = text.rpartition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"must be SET=OWNER/NAME, got {text}")
    return name, hub_id


def run(settings: argparse.Namespace) -> int:
    from dataclasses import replace
    from pathlib import Path

    from htr_convtext.export import export_model
    from htr_convtext.hub import push_folder, upload_plan
    from htr_convtext.loading import load_processor
    from htr_convtext.model_card import read_reports

    facts = replace(facts_given(settings), repository=settings.push)
    if settings.report:
        tokenizer = load_processor(settings.model).tokenizer
        facts = facts.updated(read_reports(settings.report, dict(settings.hub_set), tokenizer))
    model = export_model(settings.model, settings.output, half=not settings.full_precision, facts=facts)
    output = Path(settings.output)
    size = sum(file.stat().st_size for file in output.glob("*.safetensors"))
    print(f"{output}: {model.num_parameters() / 1e6:.2f} M parameters, {size / 1e6:.1f} MB", file=sys.stderr)
    if settings.report and not (output / ".eval_results").is_dir():
        print(
            f"{settings.prog}: .eval_results/ is not written: no test split that was measured is of a data set of the "
            "Hub (--hub-set).",
            file=sys.stderr,
        )
    if settings.push:
        print(upload_plan(output, settings.push))
        if not settings.dry_run:
            print(push_folder(output, settings.push, settings.private))
    return 0
