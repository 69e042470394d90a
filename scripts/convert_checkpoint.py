"""Turn a published HTR-ConvText checkpoint (.pth) into a folder that `from_pretrained` loads.

Examples:
    python scripts/convert_checkpoint.py --checkpoint best_CER.pth --charset iam --output models/iam
    python scripts/convert_checkpoint.py --checkpoint mine.pth --charset my_charset.txt --output models/mine --keep-tcm
"""

import argparse
import sys
from pathlib import Path

from htr_convtext import HTRConvTextImageProcessor, HTRConvTextProcessor
from htr_convtext.charsets import CHARSET_HELP, charset_tokenizer
from htr_convtext.conversion import CheckpointError, convert_checkpoint, load_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, metavar="FILE.pth", help="the published checkpoint")
    parser.add_argument(
        "--charset",
        required=True,
        help=f"alphabet it was trained with: {CHARSET_HELP} in their order",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--weights", choices=("ema", "model"), default="ema", help="averaged weights (default) or the last ones"
    )
    parser.add_argument("--keep-tcm", action="store_true", help="keep the Textual Context Module, to train on with it")
    arguments = parser.parse_args()

    output = Path(arguments.output)
    try:
        tokenizer = charset_tokenizer(arguments.charset)
    except (OSError, ValueError) as error:
        sys.exit(f"convert_checkpoint.py: --charset {arguments.charset}: {error}")
    try:
        checkpoint = load_checkpoint(arguments.checkpoint)
        model = convert_checkpoint(checkpoint, len(tokenizer), arguments.weights, arguments.keep_tcm)
        model.save_pretrained(output)
        HTRConvTextProcessor(HTRConvTextImageProcessor.published(), tokenizer).save_pretrained(output)
    except (CheckpointError, OSError) as error:
        sys.exit(f"convert_checkpoint.py: {error}")
    print(
        f"{output}: {model.num_parameters() / 1e6:.1f} M parameters, {len(tokenizer) - 1} characters", file=sys.stderr
    )


if __name__ == "__main__":
    main()
