"""What read a page, and how well it is expected to be read, in the metadata of PAGE-XML and ALTO."""

from datetime import datetime, timezone

from lxml import etree

from htr_convtext import __version__

from .page import Page


CREATOR = "HTR-ConvText"


def now() -> str:
    return datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat()


def add_child(parent: etree._Element, name: str, /, **attributes: str) -> etree._Element:
    """A new last element within another, of its namespace if it has one."""
    namespace = etree.QName(parent).namespace
    return etree.SubElement(parent, f"{{{namespace}}}{name}" if namespace else name, **attributes)


def settings_of(page: Page) -> dict[str, str]:
    """What there is to say of how a page was read; nothing if it was not read here."""
    if page.provenance is None:
        return {}
    settings = {
        "software version": __version__,
        "model": page.provenance.model or "unnamed",
        "decoder": page.provenance.decoder,
    }
    if page.provenance.calibration is None:
        return settings | {"confidence": "mean score of the characters"}
    settings |= {"calibration": page.provenance.calibration, "confidence": "probability of being right"}
    if page.expected_cer is not None:
        cer, level = page.expected_cer, page.expected_cer.level
        settings["expected CER"] = f"{cer.cer:.4f} ({level:.0%} interval {cer.low:.4f} to {cer.high:.4f})"
    return settings


def record_in_page_xml(metadata: etree._Element | None, page: Page) -> None:
    """
    Writes to the `Metadata` of a PAGE-XML file what read it, in place of what was written before: a `MetadataItem`, as
    OCR-D has it, or before 2018 a line of the `Comments`.
    """
    settings = settings_of(page)
    if metadata is None or not settings:
        return
    year = (etree.QName(metadata).namespace or "").rpartition("/")[2][:4]
    if year.isdigit() and int(year) < 2018:
        comments = metadata.find("{*}Comments")
        if comments is None:
            comments = add_child(metadata, "Comments")
            before = [metadata.find(f"{{*}}{name}") for name in ("Creator", "Created", "LastChange")]
            metadata.insert(max((metadata.index(each) + 1 for each in before if each is not None), default=0), comments)
        kept = [line for line in (comments.text or "").splitlines() if not line.startswith(f"{CREATOR}: ")]
        read = "; ".join(f"{name}: {value}" for name, value in settings.items())
        comments.text = "\n".join([*kept, f"{CREATOR}: {read}"])
        return
    for item in metadata.findall("{*}MetadataItem"):
        if item.get("value") == CREATOR:
            metadata.remove(item)
    step = {"type": "processingStep", "name": "recognition/text-recognition", "value": CREATOR}
    labels = add_child(add_child(metadata, "MetadataItem", **step), "Labels")
    for name, value in settings.items():
        add_child(labels, "Label", value=value, type=name)


def record_in_alto(root: etree._Element, page: Page) -> None:
    """
    Writes to an ALTO file what read it, in place of what was written before: a `Processing` step, or before version 4
    an `OCRProcessing`; and the expected accuracy of the page.
    """
    description, settings = root.find("{*}Description"), settings_of(page)
    if description is None:
        return
    identifier = "processing_1"
    for step in [*description.findall("{*}Processing"), *description.findall("{*}OCRProcessing")]:
        if step.findtext(".//{*}processingSoftware/{*}softwareName") == CREATOR:
            identifier = step.get("ID") or identifier
            description.remove(step)
    taken = {element.get("ID") for element in root.iter("{*}*")}
    while identifier in taken:
        identifier += "_"
    if "ns-v4" in (etree.QName(root).namespace or ""):
        step = add_child(description, "Processing", ID=identifier)
    else:
        step = add_child(add_child(description, "OCRProcessing", ID=identifier), "ocrProcessingStep")
    add_child(step, "processingDateTime").text = now()
    settings.pop("software version", None)  # it has an element of its own
    if settings:
        lines = [f"{name}: {value}" for name, value in settings.items()]
        add_child(step, "processingStepSettings").text = "\n".join(lines)
    software = add_child(step, "processingSoftware")
    for name, text in (("softwareName", CREATOR), ("softwareVersion", __version__)):
        add_child(software, name).text = text
    element = root.find(".//{*}Page")
    element.attrib.pop("ACCURACY", None)  # of the text that was there before
    if page.expected_cer is not None:
        element.set("ACCURACY", f"{max(0.0, 100 * (1 - page.expected_cer.cer)):.2f}")
