"""
What differs between the model types that this package knows: building and changing models, converting published
checkpoints, and what a line needs to be trained on. All else of the library knows none of them.
"""

from typing import Any

from ..errors import InputError
from .attention_htr import AttentionHTRFamily
from .family import Family
from .htr_convtext import HTRConvTextFamily
from .htr_vt import HTRVTFamily
from .vision_encoder_decoder import VisionEncoderDecoderFamily


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (HTRConvTextFamily(), AttentionHTRFamily(), HTRVTFamily(), VisionEncoderDecoderFamily())
}
DEFAULT_FAMILY = FAMILIES["htr_convtext"]


def family_of(config: Any) -> Family:
    """The family of a configuration that `load_model` gave."""
    return FAMILIES[config.model_type]


def family_named(configuration: str | None) -> Family:
    """
    The family of a named network, by default HTR-ConvText.

    Raises:
        InputError: if there is none of this name.
    """
    if configuration is None:
        return DEFAULT_FAMILY
    for family in FAMILIES.values():
        if configuration in family.configurations:
            return family
    names = [name for family in FAMILIES.values() for name in family.configurations]
    raise InputError(f"--size {configuration}: there is no such network; choose one of {', '.join(names)}.")


# Once this is imported the Auto classes use the classes of this package, without `trust_remote_code`.
for _family in FAMILIES.values():
    _family.register()


__all__ = ["DEFAULT_FAMILY", "FAMILIES", "Family", "family_named", "family_of"]
