"""What `common_suites.py` needs to know about AttentionHTR's kin with CTC: CRNN."""

import string

from target_attention_htr import *  # noqa: F403
from target_attention_htr import TINY_CONFIG

from modeling_attention_htr.configuration_attention_htr import NETWORKS
from processing import AttentionHTRTokenizer


HEAD_MAPPING_NAMES = "MODEL_FOR_CTC_MAPPING_NAMES"
TINY_CONFIG = {**TINY_CONFIG, **NETWORKS["crnn"]}
SEQ_LENGTH = 9  # frames


def tokenizer() -> AttentionHTRTokenizer:
    return AttentionHTRTokenizer.from_charset(string.printable[:95], unknown="drop", eos_token=None)


class ModelTests:
    has_attentions = False
