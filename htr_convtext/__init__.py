"""HTR-ConvText: handwritten text recognition in the Hugging Face ecosystem."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForCTC, AutoProcessor, AutoTokenizer

from modeling_htr_convtext import (
    HTRConvTextConfig,
    HTRConvTextForCTC,
    HTRConvTextModel,
    HTRConvTextPipeline,
    HTRConvTextPreTrainedModel,
)
from processing import (
    HTRConvTextImageProcessor,
    HTRConvTextProcessor,
    HTRConvTextTokenizer,
    UnknownCharacterError,
)

from .recognition import load_pipeline


__version__ = "0.1.0"

# Once this package is imported the Auto classes use its classes, without `trust_remote_code`.
AutoConfig.register(HTRConvTextConfig.model_type, HTRConvTextConfig, exist_ok=True)
AutoModel.register(HTRConvTextConfig, HTRConvTextModel, exist_ok=True)
AutoModelForCTC.register(HTRConvTextConfig, HTRConvTextForCTC, exist_ok=True)
AutoImageProcessor.register(
    HTRConvTextConfig, image_processor_classes={"pil": HTRConvTextImageProcessor}, exist_ok=True
)
AutoTokenizer.register(HTRConvTextConfig, tokenizer_class=HTRConvTextTokenizer, exist_ok=True)
AutoProcessor.register(HTRConvTextConfig, HTRConvTextProcessor, exist_ok=True)

__all__ = [
    "HTRConvTextConfig",
    "HTRConvTextForCTC",
    "HTRConvTextImageProcessor",
    "HTRConvTextModel",
    "HTRConvTextPipeline",
    "HTRConvTextPreTrainedModel",
    "HTRConvTextProcessor",
    "HTRConvTextTokenizer",
    "UnknownCharacterError",
    "load_pipeline",
]
