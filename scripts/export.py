"""Save a trained model as a folder to share: without the Textual Context Module, in half precision, with its code.

Examples:
    python scripts/export.py --model runs/mine/best --output my_model
    python scripts/export.py --model runs/mine/best --output my_model --full-precision
"""

import argparse
import sys
from pathlib import Path

from htr_convtext.export import export_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of a trained model or checkpoint")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--full-precision", action="store_true", help="store 32-bit floats (twice the size)")
    arguments = parser.parse_args()
    try:
        model = export_model(arguments.model, arguments.output, half=not arguments.full_precision)
    except (OSError, ValueError) as error:
        sys.exit(f"export.py: {error}")
    size = sum(file.stat().st_size for file in Path(arguments.output).glob("*.safetensors"))
    print(f"{arguments.output}: {model.num_parameters() / 1e6:.2f} M parameters, {size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
