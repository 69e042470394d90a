"""Documents: pages with their regions and lines, from images, PAGE-XML and ALTO, and to these, text, JSONL and PDF."""

import lazy_loader


__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
