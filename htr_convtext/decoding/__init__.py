"""Decoding: from the probabilities of the frames of a line to hypotheses of what is written there."""

from processing.ctc import Decoder, Hypothesis, decode_greedily

from .beam_search import BeamSearch
from .choice import DECODERS, choose_decoder


__all__ = ["DECODERS", "BeamSearch", "Decoder", "Hypothesis", "choose_decoder", "decode_greedily"]
