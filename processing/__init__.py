"""Images and text for HTR-ConvText: the processor files that travel with saved weights."""

from .image_processing_htr_convtext import HTRConvTextImageProcessor
from .processing_htr_convtext import HTRConvTextProcessor
from .tokenization_htr_convtext import HTRConvTextTokenizer, UnknownCharacterError


HTRConvTextImageProcessor.register_for_auto_class()
HTRConvTextTokenizer.register_for_auto_class()
HTRConvTextProcessor.register_for_auto_class()

__all__ = ["HTRConvTextImageProcessor", "HTRConvTextProcessor", "HTRConvTextTokenizer", "UnknownCharacterError"]
