"""Put the app and the code that it needs into one folder, ready to be pushed to a Hugging Face Space.

Examples:
    python scripts/build_space.py --output build/space
    hf upload you/htr-convtext build/space . --repo-type space
"""

import argparse
import shutil
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("htr_convtext", *sorted(folder.name for folder in ROOT.glob("modeling_*")), "processing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to make; it must be new or empty")
    output = Path(parser.parse_args().output)
    if output.exists() and any(output.iterdir()):
        sys.exit(f"build_space.py: {output} is not empty.")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    try:
        shutil.copytree(ROOT / "space", output, ignore=ignored, dirs_exist_ok=True)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, output / package, ignore=ignored)
    except OSError as error:
        sys.exit(f"build_space.py: {error}")
    print(output)


if __name__ == "__main__":
    main()
