"""What a saved model is decoded with: language models, settings and calibrations, in its folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from .confidence import Calibration
from .errors import InputError
from .language_models import FOLDER, LanguageModels, SearchSettings


FILE = "decoding.json"
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


def save_decoding(
    folder: str | os.PathLike, language_models: LanguageModels | None, calibrations: Mapping[str, Calibration]
) -> None:
    """
    Writes `decoding.json` and the files of language models to a model folder, if there is anything to write.

    Args:
        calibrations: By the names of the decoders that they were fitted for.
    """
    facts: dict[str, Any] = {}
    (language_models or LanguageModels({})).save(folder)
    if language_models is not None:
        facts |= {"language_models": sorted(language_models.files), "settings": asdict(language_models.settings)}
    if calibrations:
        facts["calibrations"] = {name: calibration.to_dict() for name, calibration in calibrations.items()}
    path = Path(folder, FILE)
    if facts:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    else:  # of what was saved here before
        path.unlink(missing_ok=True)


def load_decoding(
    source: str | os.PathLike, options: Mapping[str, Any]
) -> tuple[LanguageModels | None, dict[str, Calibration]]:
    """
    The language models and calibrations of a saved model, a folder or Hub id; `None` and nothing if it has none.

    Args:
        options: Of `from_pretrained`: `revision`, `cache_dir` …

    Raises:
        InputError: names the file that is damaged or missing.
    """

    def find(name: str) -> str | None:
        known = {option: options[option] for option in HUB_OPTIONS if option in options}
        return cached_file(
            source,
            name,
            **known,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
        )

    path = find(FILE)
    if path is None:
        return None, {}
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
        calibrations = {name: Calibration.from_dict(values) for name, values in facts.get("calibrations", {}).items()}
        names = list(facts.get("language_models", ()))
        settings = SearchSettings(**facts["settings"]) if names else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: damaged. ({error})") from None
    if settings is None:
        return None, calibrations
    files = {name: find(f"{FOLDER}/{name}.klm") for name in names}
    if missing := [name for name, file in files.items() if file is None]:
        raise InputError(f"{source}: the file {FOLDER}/{missing[0]}.klm is missing, which {FILE} names.")
    return LanguageModels({name: Path(file) for name, file in files.items()}, settings), calibrations


__all__ = ["load_decoding", "save_decoding"]
