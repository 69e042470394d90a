"""Decoders by their names, as programs take them."""

from processing.ctc import Decoder, decode_greedily

from ..errors import InputError
from .beam_search import BeamSearch


DECODERS = {"greedy": lambda: decode_greedily, "beam": BeamSearch}


def choose_decoder(name: str) -> Decoder:
    """
    A decoder of `DECODERS` with its defaults.

    Raises:
        InputError: if there is none of this name, or what it needs is not installed.
    """
    if name not in DECODERS:
        raise InputError(f"There is no decoder {name!r}; choose one of {', '.join(DECODERS)}.")
    try:
        return DECODERS[name]()
    except ModuleNotFoundError as error:
        raise InputError(str(error)) from None
