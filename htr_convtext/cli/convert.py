"""Turn a published checkpoint (.pth) of HTR-ConvText, AttentionHTR or CRNN into a folder that `from_pretrained` loads.

Examples:
    %(prog)s --checkpoint best_CER.pth --charset iam --output models/iam
    %(prog)s --checkpoint mine.pth --charset my_charset.txt --output models/mine --keep-tcm
    %(prog)s --checkpoint AttentionHTR-General-sensitive.pth --output models/attention_htr

Which network it is, is told by the tensors; which of the two published charsets AttentionHTR has, 36 or 94 characters,
by their number.
"""

import argparse
import sys
from pathlib import Path

from htr_convtext.charsets import CHARSET_HELP

from .arguments import new_parser


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("--checkpoint", required=True, metavar="FILE.pth", help="the published checkpoint")
    parser.add_argument("--charset", help=f"alphabet that HTR-ConvText was trained with: {CHARSET_HELP} in their order")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--weights", choices=("ema", "model"), help="of HTR-ConvText: averaged weights (default) or the last ones"
    )
    parser.add_argument(
        "--keep-tcm",
        action="store_true",
        default=None,
        help="of HTR-ConvText: keep the Textual Context Module, to train on with it",
    )
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.checkpoint_files import CheckpointError, load_checkpoint, shown_keys
    from htr_convtext.families import FAMILIES
    from htr_convtext.model_card import ModelFacts
    from htr_convtext.recognizer import Recognizer

    checkpoint = load_checkpoint(settings.checkpoint)
    family = next((family for family in FAMILIES.values() if family.recognizes(checkpoint)), None)
    if family is None:
        found = shown_keys(checkpoint)
        raise CheckpointError(f"{settings.checkpoint}: no published checkpoint known here; it has: {found}.")
    given = {name: getattr(settings, name) for name in ("charset", "weights", "keep_tcm")}
    model, processor = family.convert(checkpoint, {name: value for name, value in given.items() if value is not None})
    name = Path(settings.checkpoint).name
    notes = (f"Converted from the checkpoint {name}.",)
    facts = ModelFacts(notes=notes, training_sets=family.training_sets(name), sources=())
    Recognizer(model, processor, device="cpu").save_pretrained(settings.output, facts)
    size, characters = model.num_parameters() / 1e6, len(processor.tokenizer.charset)
    print(f"{settings.output}: {size:.1f} M parameters, {characters} characters", file=sys.stderr)
    return 0
