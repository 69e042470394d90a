"""What is known of a model, for its card: from reports of `htr evaluate`."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from processing.model_facts import ModelFacts, Rates, SetResult

from .decoding import DECODERS
from .errors import InputError


def results_of(report: Mapping[str, Any], hub_sets: Mapping[str, str] | None = None) -> tuple[SetResult, ...]:
    """
    The results of a report, as `measure` makes it, with its `"split"`.

    Args:
        hub_sets: Hub ids of the sets that are data sets of the Hub.
    """
    return tuple(
        SetResult(
            name=name,
            split=report["split"],
            **_rates(numbers),
            lines=numbers["lines"],
            groups=numbers["resampled"]["unit"],
            decoder=decoder_of(report),
            dataset=(hub_sets or {}).get(name),
            greedy=Rates(**_rates(numbers["greedy"])) if "greedy" in numbers else None,
        )
        for name, numbers in report["sets"].items()
    )


def _rates(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cer": numbers["cer"],
        "wer": numbers["wer_space"],
        "cer_interval": tuple(numbers["intervals"]["cer"]),
        "wer_interval": tuple(numbers["intervals"]["wer_space"]),
    }


def decoder_of(report: Mapping[str, Any]) -> str:
    """How the lines of a report were read: `htr evaluate` names it after the model, unless it is greedy."""
    found = re.search(rf", (({'|'.join(DECODERS)})(: .+)?)$", report.get("model", ""))
    return found[1] if found else "greedy"


def read_reports(
    paths: Iterable[str | os.PathLike],
    hub_sets: Mapping[str, str] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> ModelFacts:
    """
    Results and commands of reports that `htr evaluate --output` wrote.

    Args:
        paths: Files `report.json`, or the folders with them.
        hub_sets: As for `results_of`.
        tokenizer: Of the model, whose text policy must be that of the reports.

    Raises:
        InputError: names the file that is no report, is of another text policy, or measures a set again, or the set of
            `hub_sets` that none of them has.
    """
    results: dict[tuple[str, str], SetResult] = {}
    commands = []
    for path in map(Path, paths):
        path = path / "report.json" if path.is_dir() else path
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            found = results_of(report, hub_sets)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; give reports of `htr evaluate --output`.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a report.json of `htr evaluate`. ({error!r})") from error
        policy = tokenizer.init_kwargs.get("text_policy") if tokenizer is not None else None
        if policy is not None and report.get("policy") != policy:
            raise InputError(f"{path}: measured with another text policy than the model's; measure it without one.")
        for result in found:
            if result.key in results:
                raise InputError(f"{path}: {result.name}, {result.split}, was measured in another report too.")
            results[result.key] = result
        decoder, sign, language = decoder_of(report).partition(": ")
        how = f" --decoder {decoder}" + (f" --language {language}" if sign else "")
        sets = " ".join(report["sets"])
        commands.append(f"htr evaluate --model path/to/this/folder --data {sets} --split {report['split']}{how}")
    missing = set(hub_sets or {}) - {name for name, _ in results}
    if missing:
        raise InputError(f"No report has a set {', '.join(sorted(missing))}.")
    return ModelFacts(results=tuple(results.values()), commands=tuple(commands))


__all__ = ["ModelFacts", "Rates", "SetResult", "read_reports", "results_of"]
