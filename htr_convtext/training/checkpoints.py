"""Finding the checkpoint to go on from."""

import logging
import os
from pathlib import Path


logger = logging.getLogger(__name__)


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest whole checkpoint of an output folder, or `None`.

    A run that was killed while it saved leaves one without `trainer_state.json`, which is written last; it is passed
    over with a warning.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if (path / "trainer_state.json").is_file():
            return str(path)
        logger.warning("%s is not whole and is passed over.", path)
    return None
