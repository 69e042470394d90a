"""
Words of Imgur5K, cut out of the images by the rotated boxes that its owners give.

https://github.com/facebookresearch/IMGUR5K-Handwriting-Dataset, CC BY-NC 4.0: the folder `dataset_info` has
`imgur5k_annotations_{train,val,test}.json`, a program there downloads the images.
"""

import io
import json
import os
from collections.abc import Iterator
from functools import partial
from hashlib import md5
from pathlib import Path

from PIL import __version__ as PIL_VERSION

import htr_convtext.documents.geometry
from htr_convtext.documents.geometry import cut_box, parse_number
from htr_convtext.errors import InputError
from htr_convtext.folder_files import read_file
from htr_convtext.xml_characters import drop_unwritable
from processing.images import PAGE_PIXELS, full_size, open_image

from .items import LineItems, code_stamp, file_stamp, report_skipped
from .split_names import split_of


PREFIX = "imgur5k_annotations"
ILLEGIBLE = "."  # in place of the word


def find_annotations(path: Path) -> list[Path]:
    """The annotations that a path means or that are in a folder (or its `dataset_info`): one file a split, or all."""
    if os.path.isfile(path):
        return [path] if path.name.startswith(PREFIX) and path.suffix == ".json" else []
    for folder in (path, path / "dataset_info"):
        splits = sorted(folder.glob(f"{PREFIX}_*.json"))
        if splits or os.path.isfile(folder / f"{PREFIX}.json"):
            return splits or [folder / f"{PREFIX}.json"]
    return []


def imgur5k_readers(annotations: list[Path], image_root: str | os.PathLike | None = None) -> dict[str, partial]:
    """For each split a function that reads its words; a file that is named by no split is `train`."""
    return {split_of(file.stem) or "train": partial(read_imgur5k, file, image_root) for file in annotations}


def read_imgur5k(file: Path, image_root: str | os.PathLike | None = None) -> LineItems:
    """
    The words of a file of annotations, with `page` (the id of their image).

    Illegible words and words whose image is not there are left out: many links of Imgur are dead. The images are
    opened when the words are cut out; of one that cannot be read, or is not that of the annotations by its MD5 (the
    owners' program keeps what Imgur gives instead of a removed image), every word is an empty image.

    Args:
        image_root: Folder of the images; by default beside the file or its folder, or in a folder `images` there, or
            where the annotations say.

    Raises:
        InputError: names the file if it is damaged or of another layout.
    """
    stored = read_file(file)
    try:
        content = json.loads(stored)
        pages, words_of, annotations = (content[name] for name in ("index_id", "index_to_ann_map", "ann_id"))
        listed = [
            (index, page.get("image_path") or f"{index}.jpg", page.get("image_hash"), words_of.get(index, []))
            for index, page in pages.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: damaged, or not the annotations of Imgur5K. ({error!r})") from None
    if image_root is not None:
        roots = [Path(image_root)]
    else:
        roots = [parent / inner for parent in (file.parent, file.absolute().parent.parent) for inner in ("images", "")]
    found = LineItems([], columns=["page"], generate=cut_words)
    maker = [code_stamp([Path(__file__), Path(htr_convtext.documents.geometry.__file__)]), PIL_VERSION]
    for index, image_path, digest, names in listed:
        boxes = []
        for name in names:
            try:
                text, box = read_word(annotations[name])
                text = drop_unwritable(text, found.dropped)
            except (KeyError, ValueError, TypeError, AttributeError):
                found.skipped.append((str(name), "no word and box of five numbers"))
                continue
            if text in ("", ILLEGIBLE):
                found.skipped.append((name, "illegible"))
            else:
                boxes.append((name, text, box))
        places = [root / os.path.basename(image_path) for root in roots]
        if image_root is None:
            places.append(Path(image_path))
        image = next(filter(Path.is_file, places), None)
        if image is None:
            found.skipped += [(name, "no such image") for name, _, _ in boxes]
        elif boxes:
            item = {"image": str(image), "page": index, "md5": digest, "boxes": json.dumps(boxes)}
            found.items.append({**item, "stamp": file_stamp(image), "maker": maker})
    return found


def read_word(annotation: dict) -> tuple[str, list[float]]:
    """The text of an annotation, and the centre, size and angle of its box."""
    box = [parse_number(number) for number in annotation["bounding_box"].strip("[]() ").split(",")]
    if len(box) != 5:
        raise ValueError(box)
    return annotation["word"].strip(), box


def cut_words(items: list[dict]) -> Iterator[dict]:
    """Opens images and yields their words as grey PNG, turned upright."""
    failed: list[tuple[str, str]] = []
    for item in items:
        try:
            content = Path(item["image"]).read_bytes()
            if item["md5"] and md5(content, usedforsecurity=False).hexdigest() != item["md5"]:
                raise InputError("not the image that was annotated")
            image = open_image(content, most_pixels=PAGE_PIXELS)
        except (OSError, InputError) as error:
            failed.append((f"{item['image']} ({error})", "images that cannot be read"))
            image = None
        for name, text, (x, y, width, height, angle) in json.loads(item["boxes"]):
            crop = {"bytes": b"", "path": name}
            if image is not None:
                scale = image.width / full_size(image)[0]
                x, y, width, height = (value * scale for value in (x, y, width, height))
                try:
                    word = cut_box(image, (x, y), (width, height), angle)
                except InputError as error:
                    failed.append((f"{item['image']}, {name} ({error})", "words that cannot be cut out"))
                else:
                    buffer = io.BytesIO()
                    word.save(buffer, "PNG")
                    crop["bytes"] = buffer.getvalue()
            yield {"image": crop, "text": text, "page": item["page"]}
    report_skipped("Imgur5K", failed, "became empty images")
