"""What `common_suites.py` needs to know about HTR-VT: lines, as of HTR-ConvText, and another network."""

from attention_tests import AttentionTests
from target_htr_convtext import *  # noqa: F403

from modeling_htr_vt import HTRVTConfig, HTRVTForCTC, HTRVTModel


CONFIG_CLASS, MODEL_CLASS, HEAD_CLASS = HTRVTConfig, HTRVTModel, HTRVTForCTC
TINY_CONFIG = {
    "vocab_size": 24,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
}


class ModelTests(AttentionTests):
    pass
