"""Read images of handwritten lines.

Examples:
    python scripts/recognize.py examples
    python scripts/recognize.py line1.png line2.jpg --format jsonl --output lines.jsonl
    python scripts/recognize.py scans --model my_model --device cuda --batch-size 32

An image holds one line. A folder stands for all images in it. A file that cannot be read is reported and left out; the
exit code is then 1.
"""

import argparse
import contextlib
import json
import sys
from dataclasses import asdict
from typing import TextIO

from tqdm import tqdm

from htr_convtext.cli import positive_int
from htr_convtext.recognition import LineResult, find_images, load_pipeline, recognize_files


def formatted(result: LineResult, output_format: str) -> str | None:
    """One line of output; None for a failed file where the format has no place for it."""
    if output_format == "jsonl":
        return json.dumps({k: v for k, v in asdict(result).items() if v is not None}, ensure_ascii=False)
    return None if result.error else f"{result.file}\t{result.text}"


def open_output(path: str | None) -> contextlib.AbstractContextManager[TextIO]:
    """The file or the terminal, for text of any kind: not every file name is valid Unicode."""
    options = {"encoding": "utf-8", "errors": "backslashreplace"}
    if path:
        return open(path, "w", **options)
    sys.stdout.reconfigure(**options)
    return contextlib.nullcontext(sys.stdout)


def progress_bar(total: int) -> tqdm:
    return tqdm(total=total, unit="line", file=sys.stderr, disable=None)  # none where stderr is not a terminal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE_OR_FOLDER", help="images of single lines, or folders of them"
    )
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: file, tab, text; jsonl: objects with file, text and score, or file and error (default: text)",
    )
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    parser.add_argument("--batch-size", type=positive_int, default=8, help="lines read at once (default: 8)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()

    try:
        files = find_images(arguments.images)
        pipeline = load_pipeline(arguments.model, arguments.device)
        output = open_output(arguments.output)
    except (ValueError, OSError) as error:
        sys.exit(f"recognize.py: {error}")

    failed = 0
    with output as stream, progress_bar(len(files)) as progress:
        for result in recognize_files(pipeline, files, arguments.batch_size):
            if result.error:
                failed += 1
                tqdm.write(f"recognize.py: {result.error}", file=sys.stderr)
            line = formatted(result, arguments.format)
            if line is not None:
                with progress.external_write_mode(file=sys.stderr):
                    print(line, file=stream, flush=True)
            progress.update()
    if failed:
        print(f"recognize.py: {failed} of {len(files)} files could not be read.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
