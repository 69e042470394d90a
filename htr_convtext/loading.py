"""Loading a saved model with its processor."""

import os
from pathlib import Path

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC
from processing import HTRConvTextProcessor


BUNDLED_MODEL = Path(__file__).parent / "weights" / "tiny"


def load_model(
    source: str | os.PathLike | None = None, **config_changes
) -> tuple[HTRConvTextForCTC, HTRConvTextProcessor]:
    """
    A saved model, in evaluation mode, and its processor.

    Args:
        source: Folder or Hub id; by default the model that comes with this package.
        config_changes: Replace values of the saved configuration.

    Raises:
        ValueError: names the source if it is no model.
    """
    source = BUNDLED_MODEL if source is None else source
    try:
        config = HTRConvTextConfig.from_pretrained(source, **config_changes)
        model = HTRConvTextForCTC.from_pretrained(source, config=config)
        return model.eval(), HTRConvTextProcessor.from_pretrained(source)
    except Exception as error:  # damaged files raise almost anything
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{source}: not a model of this kind, damaged, or not in reach. ({reason})") from error
