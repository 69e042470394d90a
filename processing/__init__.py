"""Images and text of lines: what travels with saved weights. `image_processing_…`, `tokenization_…` and `processing_…`
belong to a family of models, the other files to all of them."""

import lazy_loader


__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
