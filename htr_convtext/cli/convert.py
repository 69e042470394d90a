"""Turn a published HTR-ConvText checkpoint (.pth) into a folder that `from_pretrained` loads.

Examples:
    %(prog)s --checkpoint best_CER.pth --charset iam --output models/iam
    %(prog)s --checkpoint mine.pth --charset my_charset.txt --output models/mine --keep-tcm
"""

import argparse
import sys

from htr_convtext.charsets import CHARSET_HELP

from .arguments import new_parser


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
    parser.add_argument("--checkpoint", required=True, metavar="FILE.pth", help="the published checkpoint")
    parser.add_argument("--charset", required=True, help=f"alphabet it was trained with: {CHARSET_HELP} in their order")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--weights", choices=("ema", "model"), default="ema", help="averaged weights (default) or the last ones"
    )
    parser.add_argument("--keep-tcm", action="store_true", help="keep the Textual Context Module, to train on with it")
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.charsets import charset_tokenizer
    from htr_convtext.checkpoint_files import load_checkpoint
    from htr_convtext.errors import InputError
    from htr_convtext.families import DEFAULT_FAMILY

    try:
        tokenizer = charset_tokenizer(settings.charset)
    except InputError as error:
        raise InputError(f"--charset {settings.charset}: {error}") from None
    checkpoint = load_checkpoint(settings.checkpoint)
    model, processor = DEFAULT_FAMILY.convert(checkpoint, tokenizer, settings.weights, settings.keep_tcm)
    model.save_pretrained(settings.output)
    processor.save_pretrained(settings.output)
    print(
        f"{settings.output}: {model.num_parameters() / 1e6:.1f} M parameters, {len(tokenizer) - 1} characters",
        file=sys.stderr,
    )
    return 0
