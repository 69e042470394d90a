"""Decoding: from the probabilities of the frames of a line to hypotheses of what is written there."""

from processing.beam_search import BeamSearch
from processing.ctc import Decoder, Hypothesis, decode_greedily
from processing.language_models import DECODERS, LanguageModels, SearchSettings, ctc_decoder


__all__ = [
    "DECODERS",
    "BeamSearch",
    "Decoder",
    "Hypothesis",
    "LanguageModels",
    "SearchSettings",
    "ctc_decoder",
    "decode_greedily",
]
