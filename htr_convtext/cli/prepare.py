"""Turn lines from anywhere into one data set in Parquet, and report what is in it.

Examples:
    %(prog)s Teklia/IAM-line --output data/iam --charset iam
    %(prog)s pages --output data/mine --split-by page
    %(prog)s letters minutes.tsv --output data/both --text-policy policy.json --drop-duplicates
    %(prog)s --words iam --partition RWTH_partition --output data/iam_words
    %(prog)s --words IMGUR5K-Handwriting-Dataset --output data/imgur5k

A source is a Hub id; Parquet; an image folder with metadata.jsonl or .csv; a .ln list with a .txt beside each image; a
table of image name, tab and text; an LMDB store of the scene-text layout; PAGE-XML or ALTO files with their page
images; IAM words; or Imgur5K. The splits are named by its files or folders. Texts are taken as they are written.
Characters that PAGE-XML and ALTO cannot hold are dropped and counted. Lines without text or ink and unreadable images
are left out, and every one of them is named in report.json. What cannot be opened there (no permission, a link that
leads nowhere, a pipe) is reported likewise, the rest is prepared, and the exit code is 1. The same image in two splits
is reported and stays, unless --drop-duplicates.

Words: --words takes those that PAGE-XML (Word) or ALTO (String) marks, in place of the lines. The other two sources are
words with or without it:
  IAM words  words.txt (or ascii/words.txt) and words/a01/a01-000u/a01-000u-00-00.png … of its owners. --partition has a
             list for each split, called after it (train.uttlist): an id of a form, a line or a word in each row. The
             lists behind the published scores (RWTH; 47,981 words to train on, 7,554 for validation, 20,305 for test)
             name words: RWTH_partition of github.com/omni-us/research-seq2seq-HTR. Of the forms and lines of other
             lists, words that are marked err stay out.
  Imgur5K    imgur5k_annotations_{train,val,test}.json (or the folder dataset_info) of its owners, and the images that
             their program downloads: beside it, in images, or in --image-root. Its licence is CC BY-NC 4.0.
"""

import argparse

from htr_convtext.charsets import CHARSET_HELP

from .arguments import add_source_options, new_parser, source_options


def parse(words: list[str], prog: str) -> argparse.Namespace:
    parser = new_parser(prog, __doc__)
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
    add_source_options(parser)
    return parser.parse_args(words)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.charsets import charset_tokenizer
    from htr_convtext.data import TextPolicy, prepare_lines
    from htr_convtext.errors import InputError

    report = prepare_lines(
        settings.sources,
        settings.output,
        policy=TextPolicy.from_file(settings.text_policy) if settings.text_policy else None,
        charset=charset_tokenizer(settings.charset).charset if settings.charset else None,
        split_by=settings.split_by,
        validation=settings.validation,
        test=settings.test,
        seed=settings.seed,
        max_height=settings.max_height,
        drop_duplicates=settings.drop_duplicates,
        **source_options(settings),
    )
    print(report.summary())
    print(f"{settings.output}: {report.lines} lines; more in report.md")
    if not report.lines:
        raise InputError(f"no line remains; {settings.output}/report.md says why.")
    return 1 if report.unreadable else 0
