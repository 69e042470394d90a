"""Turn lines from anywhere into one data set in Parquet, and report what is in it.

Examples:
    python scripts/prepare_dataset.py Teklia/IAM-line --output data/iam --charset iam
    python scripts/prepare_dataset.py pages --output data/mine --split-by page
    python scripts/prepare_dataset.py letters minutes.tsv --output data/both --text-policy policy.json --drop-duplicates

A source is a Hub id; Parquet; an image folder with metadata.jsonl; a .ln list with a .txt beside each image; a table of
image name, tab and text; an LMDB store of the scene-text layout; or PAGE-XML or ALTO files with their page images. The
splits are named by its files or folders. Lines without text and unreadable images are left out, and every one of them
is named in report.json; the same image in two splits is reported and stays, unless --drop-duplicates.
"""

import argparse
import logging
import sys

from htr_convtext.charsets import CHARSET_HELP, charset_tokenizer
from htr_convtext.data import TextPolicy, prepare_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="Hub id, folder or file")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the Parquet files and the report")
    parser.add_argument("--charset", help=f"report characters outside of it: {CHARSET_HELP}")
    parser.add_argument(
        "--text-policy", metavar="FILE.json", help="how texts are written (default: NFC, single spaces)"
    )
    parser.add_argument(
        "--split-by",
        metavar="COLUMN",
        help="page, writer, another column or line: split sources that have only a train split, apart by it",
    )
    parser.add_argument("--validation", type=float, default=0.1, help="share for validation (default: 0.1)")
    parser.add_argument("--test", type=float, default=0.1, help="share for test (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument(
        "--max-height",
        type=int,
        default=128,
        help="scale higher images down to this, in pixels; 0: never (default: 128)",
    )
    parser.add_argument(
        "--drop-duplicates", action="store_true", help="keep an image once: in test, else validation, else train"
    )
    parser.add_argument("--image-column", metavar="NAME", help="column of images, where it is not found by its name")
    parser.add_argument("--text-column", metavar="NAME", help="column of texts, where it is not found by its name")
    parser.add_argument("--image-root", metavar="DIR", help="folder of the images of lists and tables")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="prepare_dataset.py: %(message)s")

    try:
        report = prepare_lines(
            arguments.sources,
            arguments.output,
            policy=TextPolicy.from_file(arguments.text_policy) if arguments.text_policy else None,
            charset=charset_tokenizer(arguments.charset).charset if arguments.charset else None,
            split_by=arguments.split_by,
            validation=arguments.validation,
            test=arguments.test,
            seed=arguments.seed,
            max_height=arguments.max_height,
            drop_duplicates=arguments.drop_duplicates,
            image_column=arguments.image_column,
            text_column=arguments.text_column,
            image_root=arguments.image_root,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"prepare_dataset.py: {error}")
    print(report.summary())
    print(f"{arguments.output}: {report.lines} lines; more in report.md")
    if not report.lines:
        sys.exit(f"prepare_dataset.py: no line remains; {arguments.output}/report.md says why.")


if __name__ == "__main__":
    main()
