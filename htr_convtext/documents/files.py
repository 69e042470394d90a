"""The page images and PAGE-XML or ALTO files of a folder."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path

from htr_convtext.errors import InputError
from htr_convtext.folder_files import walk

from .file_names import find_file
from .xml_reader import NotAPageError, read_head


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".jp2")


@dataclass(frozen=True)
class Document:
    """
    A file of one page or several.

    Attributes:
        image: The image, or PDF.
        layout: The PAGE-XML or ALTO file whose lines are taken, or `None`: they are to be found.
        name: What its outputs are called: the way from the folder that was given, without a suffix.
        instead: What stands for the image if the layout turns out to be damaged when it is read, or `None`.
        others: Further layouts of the same image, which are not read.
    """

    image: Path
    layout: Path | None
    name: Path
    instead: "Document | None" = None
    others: tuple[Path, ...] = ()


def find_documents(
    paths: Iterable[str | os.PathLike], use_layout: bool = True, leave_out: str | os.PathLike | None = None
) -> tuple[list[Document], list[str]]:
    """
    The documents of files and folders, sorted, and the errors of those that cannot be read. Others are passed over.

    A PAGE-XML or ALTO file stands for the image that it describes. An image that is so described is not taken a second
    time, nor is the ALTO file in a folder that has PAGE-XML of the image too, as exports of Transkribus do, nor the
    second file of one format in a folder (`main_layouts`): these stand in for a layout that is damaged. Of an XML file
    no more is read here than what comes before its page.

    Args:
        use_layout: Whether to take the lines of PAGE-XML and ALTO files. If not, the ones in folders are passed over,
            and one that is named itself stands for its image alone.
        leave_out: A folder in these folders that is not searched.

    Raises:
        InputError: if nothing was found, or there are XML files and lxml is missing.
    """
    files, failed = _list_files(map(Path, paths), leave_out)
    documents: dict[Path, Document] = {}
    images: dict[Path, Path] = {}  # that XML files describe
    alto: set[Path] = set()
    searched: dict[Path, Path] = {}  # those of them that were found in folders
    for file, root, is_named in files:
        if file.suffix.lower() != ".xml" or not (use_layout or is_named):
            continue
        try:
            head = read_head(file)
            image = find_page_image(file, head.image)
        except ModuleNotFoundError as error:
            raise InputError(str(error)) from None
        except (OSError, InputError) as error:
            if is_named or not isinstance(error, NotAPageError):
                failed.append(str(error))
            continue
        images[file.resolve()] = image.resolve()
        if not is_named:
            searched[file.resolve()] = image.resolve()
        if head.format == "alto" and not is_named:
            alto.add(file.resolve())
        layout = file if use_layout else None
        documents[file.resolve()] = Document(image, layout, file.relative_to(root).with_suffix(""))
    described = set(images.values())
    spare: dict[Path, Document] = {}  # by their images
    for file, root, is_named in files:
        suffix = file.suffix.lower()
        if suffix in (*IMAGE_SUFFIXES, ".pdf") or (is_named and suffix != ".xml"):
            document = Document(file, None, file.relative_to(root).with_suffix(""))
            into = spare if file.resolve() in described else documents
            into.setdefault(file.resolve(), document)
    for file in sorted(alto_beside_page_xml(images, alto), reverse=True):
        spare[images[file]] = replace(documents.pop(file), instead=spare.get(images[file]))
    left = {file: image for file, image in searched.items() if file in documents}
    for main, others in main_layouts(left).items():
        for file in reversed(others):
            spare[images[file]] = replace(documents.pop(file), instead=spare.get(images[file]))
        documents[main] = replace(documents[main], others=tuple(others))
    _set_instead(documents, images, spare)
    if not documents and not failed:
        raise InputError(f"There are no pages in {', '.join(map(str, paths))}.")
    return sorted(documents.values(), key=lambda document: document.name), failed


def _set_instead(documents: dict[Path, Document], images: Mapping[Path, Path], spare: Mapping[Path, Document]) -> None:
    """
    Lets `spare` documents, by their images, stand in for those of one layout each; an image of several has the others.

    Args:
        documents: By their files.
        images: Those that XML files describe.
    """
    count = Counter(images[file] for file in documents if file in images)
    for file, document in documents.items():
        if document.layout and count[images[file]] == 1:
            documents[file] = replace(document, instead=spare.get(images[file]))


def _list_files(
    paths: Iterable[Path], leave_out: str | os.PathLike | None
) -> tuple[list[tuple[Path, Path, bool]], list[str]]:
    """Files, each with the folder that its name starts from, and whether it was named itself; and the errors."""
    files: list[tuple[Path, Path, bool]] = []
    failed: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found = walk(path, leave_out)
            files += [(file, path, False) for file in found.files]
            failed += [f"{inner}: {reason}." for inner, reason in found.unreadable.items()]
        else:
            files.append((path, path.parent, True))
    return files, failed


def alto_beside_page_xml(images: Mapping[Path, Path], alto: Set[Path]) -> set[Path]:
    """
    The ALTO files whose image has PAGE-XML too.

    Args:
        images: The images of some files.
        alto: Those of the files that are ALTO.
    """
    described = {image for file, image in images.items() if file not in alto}
    return {file for file in alto if images[file] in described}


def main_layouts(images: Mapping[Path, Path]) -> dict[Path, list[Path]]:
    """
    Of the files that describe one image the one that is read, and the others: named as the image, or else the first.

    Args:
        images: The images of the files. Those of one file only are not in what is returned.
    """
    files: dict[Path, list[Path]] = {}
    for file, image in images.items():
        files.setdefault(image, []).append(file)
    found = {}
    for image, same in files.items():
        if len(same) > 1:
            main, *others = sorted(same, key=lambda file: (file.stem != image.stem, file))
            found[main] = others
    return found


def find_page_image(file: Path, image: str) -> Path:
    """
    The image that an XML file names, or else the one named as the file, beside it or in the folder above (`find_file`).

    Args:
        image: The name in the file, or empty.

    Raises:
        InputError: if there is none.
    """
    beside = file.parent
    folders = (beside, beside.parent if beside.name else beside / "..")
    names = [image, image.partition("?")[0]] if image else []  # a URL may have a query
    for name in [*dict.fromkeys(names), *(file.stem + suffix for suffix in IMAGE_SUFFIXES)]:
        found = find_file(folders, name)
        if found is not None:
            return found
    raise InputError(f"{file}: no page image {image or file.stem} beside it")
