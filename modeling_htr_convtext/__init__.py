"""The HTR-ConvText network: the files that travel with saved weights."""

from .configuration_htr_convtext import HTRConvTextConfig
from .modeling_htr_convtext import HTRConvTextForCTC, HTRConvTextModel, HTRConvTextPreTrainedModel
from .pipeline_htr_convtext import HTRConvTextPipeline


HTRConvTextConfig.register_for_auto_class()
HTRConvTextModel.register_for_auto_class("AutoModel")
HTRConvTextForCTC.register_for_auto_class("AutoModelForCTC")

__all__ = [
    "HTRConvTextConfig",
    "HTRConvTextForCTC",
    "HTRConvTextModel",
    "HTRConvTextPipeline",
    "HTRConvTextPreTrainedModel",
]
