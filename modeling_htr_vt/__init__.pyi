from .configuration_htr_vt import HTRVTConfig as HTRVTConfig
from .modeling_htr_vt import HTRVTForCTC as HTRVTForCTC
from .modeling_htr_vt import HTRVTModel as HTRVTModel
from .modeling_htr_vt import HTRVTPreTrainedModel as HTRVTPreTrainedModel
