"""
HTR-ConvText: handwritten text recognition in the Hugging Face ecosystem.

What is imported from here is loaded when it is used. The Auto classes of transformers know the models of this package,
without `trust_remote_code`, from `load_model` or `load_recognizer` on, or once `htr_convtext.families` is imported.
"""

import lazy_loader


__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
