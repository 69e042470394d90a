"""HTR-ConvText: handwritten text recognition in the Hugging Face ecosystem."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForCTC, AutoProcessor, AutoTokenizer

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC, HTRConvTextModel
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer

from .recognition import load_pipeline


__version__ = "0.1.0"

# Where this package is installed its classes are used, without `trust_remote_code`.
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
    "HTRConvTextProcessor",
    "HTRConvTextTokenizer",
    "load_pipeline",
]
