"""Measure on pages with ground truth how many lines are found and how well the pages are read.

Examples:
    python scripts/evaluate_pages.py ground_truth
    python scripts/evaluate_pages.py page1.xml page2.xml --model my_model --output pages.json

Ground truth is PAGE-XML or ALTO with its images. A line counts as found where the polygons share half of their union
(IoU at least 0.5). The text of a page is compared in reading order, and lines that the ground truth leaves out count as
errors; beside it stand the CER of the found lines alone, and that of the lines of the ground truth, when these are
given. All texts go through the text policy of the model. It needs pip install 'htr-convtext[train,pages]'.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from htr_convtext.data import TextPolicy
from htr_convtext.evaluation.pages import PageMeasure, measure_page
from htr_convtext.evaluation.tables import align_columns
from htr_convtext.pages import PageImages, read_page, transcribe_image
from htr_convtext.pages.documents import find_documents
from htr_convtext.pages.layout import in_pixels
from htr_convtext.recognition import load_pipeline


HEADER = ["", "lines", "detected", "recall %", "precision %", "page CER %", "found lines CER %", "given lines CER %"]


def row(name: str, page: PageMeasure) -> list[str]:
    shares = (page.recall, page.precision, page.cer, page.matched_cer, page.given_cer)
    return [name, str(page.lines), str(page.detected), *(f"{100 * share:.1f}" for share in shares)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", metavar="PAGE_OR_FOLDER", help="PAGE-XML or ALTO files, or folders of them")
    parser.add_argument("--model", metavar="DIR", help="model folder or Hub id (default: the bundled model)")
    parser.add_argument("--output", metavar="FILE", help="write the counts here as JSON")
    parser.add_argument("--device", help="cpu, cuda, mps … (default: an accelerator if there is one)")
    arguments = parser.parse_args()
    try:
        documents, failed = find_documents(arguments.pages)
        pipeline = load_pipeline(arguments.model, arguments.device)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"evaluate_pages.py: {error}")
    failed += [f"{document.image}: no ground truth" for document in documents if not document.layout]
    policy = TextPolicy.of(pipeline.processor.tokenizer)
    measures: dict[str, PageMeasure] = {}
    for document in tqdm([d for d in documents if d.layout], unit="page", file=sys.stderr, disable=None):
        try:
            image = PageImages(document.image)[0]
            truth = in_pixels(read_page(document.layout), image)
            found, given = (transcribe_image(image, pipeline, layout) for layout in (None, truth))
            name = str(document.layout if str(document.name) in measures else document.name)
            measures[name] = measure_page(truth, found, given, policy)
        except (ValueError, OSError, ModuleNotFoundError) as error:
            failed.append(f"{document.layout}: {error}")
    for reason in failed:
        print(f"evaluate_pages.py: left out: {reason}", file=sys.stderr)
    if not measures:
        sys.exit("evaluate_pages.py: there is no page to measure.")
    total = sum(list(measures.values())[1:], next(iter(measures.values())))
    print(align_columns([HEADER, *(row(name, page) for name, page in measures.items()), row("all", total)], left=1))
    if arguments.output:
        text = json.dumps({name: asdict(page) for name, page in measures.items()}, indent=2)
        Path(arguments.output).write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
