"""What is known of a model and is said in its card: facts, their metadata on the Hub, and back."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

from .errors import InputError


HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*|multilingual")
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
TASK = "image-to-text"
EXTRA = "htr"  # the key of the metadata for what the Hub has no key for


@dataclass(frozen=True)
class Rates:
    """CER, and WER of words between spaces, with their 95 % intervals, all of them shares."""

    cer: float
    wer: float | None = None
    cer_interval: tuple[float, float] | None = None
    wer_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class SetResult:
    """
    What was measured on one set of lines; rates and their 95 % intervals are shares.

    Attributes:
        name: Of the set.
        wer: Of words between spaces.
        groups: What was drawn for the intervals: `"writers"`, `"pages"` or `"lines"`.
        decoder: How the lines were read, if that is known: `"greedy"`, `"beam"`, `"lm"` or `"lm: fr"`.
        dataset: Hub id, if the set is a data set of the Hub.
        greedy: What greedy decoding has on the same lines, where `decoder` is another.
    """

    name: str
    split: str
    cer: float
    wer: float | None = None
    cer_interval: tuple[float, float] | None = None
    wer_interval: tuple[float, float] | None = None
    lines: int | None = None
    groups: str | None = None
    decoder: str | None = None
    dataset: str | None = None
    greedy: Rates | None = None

    @property
    def key(self) -> tuple[str, str]:
        """A set has one result for each of its splits."""
        return self.name, self.split

    def to_eval_results(self) -> list[EvalResult]:
        """CER and WER in per cent, their intervals among their `args`; then those of greedy decoding, which say so."""
        of_set = {"lines": self.lines, "resampled": self.groups, "decoder": self.decoder}
        found = [("cer", self.cer, self.cer_interval, {}), ("wer", self.wer, self.wer_interval, {})]
        if self.greedy:
            how = {"decoder": "greedy"}
            found.append(("cer", self.greedy.cer, self.greedy.cer_interval, how))
            found.append(("wer", self.greedy.wer, self.greedy.wer_interval, how))
        return [
            EvalResult(
                task_type=TASK,
                dataset_type=self.dataset or self.name,
                dataset_name=self.name,
                dataset_split=self.split,
                dataset_args={name: value for name, value in of_set.items() if value is not None} or None,
                metric_type=metric,
                metric_name=f"{metric}, greedy decoding" if how else None,
                metric_value=in_percent(rate),
                metric_args={**({"interval_95": list(map(in_percent, interval))} if interval else {}), **how} or None,
            )
            for metric, rate, interval, how in found
            if rate is not None
        ]

    def to_hub_entry(self) -> EvalResultEntry | None:
        """
        The entry for the leaderboard of the data set, if this is the test split of one that is on the Hub.

        A task there has one value: the CER, in per cent; the notes say that, and the rest.
        """
        if self.dataset is None or self.split != "test":
            return None
        notes = ["CER in %, lower is better; split test"]
        if self.cer_interval:
            notes.append("95 % interval {:.2f} to {:.2f}".format(*map(in_percent, self.cer_interval)))
        if self.wer is not None:
            notes.append(f"WER {in_percent(self.wer):.2f} %")
        if self.decoder:
            notes.append(f"decoder {self.decoder}")
        if self.greedy:
            notes.append(f"greedy decoding: CER {in_percent(self.greedy.cer):.2f} %")
        return EvalResultEntry(
            dataset_id=self.dataset, task_id="default", value=in_percent(self.cer), notes="; ".join(notes)
        )


@dataclass(frozen=True)
class ModelFacts:
    """
    What is known of a model beyond what its processor and configuration tell. What is empty is not known, and the card
    says so.

    Attributes:
        name: By default that of the card that is carried on, or of the folder.
        language: Codes as the Hub has them: `("fr", "de")`.
        license: As the Hub lists it: `"apache-2.0"`.
        datasets: Hub ids of the training data.
        training_sets: Names of training data that are not on the Hub.
        base_model: Hub ids of the models that this one was trained from.
        results: What was measured with these very weights.
        commands: Commands that measured it.
        notes: Sentences about how the weights came about.
        language_models: Names of those that are stored with the model. The card takes them from its processor.
        repository: Hub id under which the model is shared.
        sources: Folders or Hub ids of the models that the weights come from; `None` for the one that it was loaded
            from. Their cards are carried on: all of a card if the weights are the same, else what holds for trained
            ones too. They are not named in the card by their path.

    Raises:
        InputError: names a language, licence or Hub id that is none.
    """

    name: str | None = None
    language: tuple[str, ...] = ()
    license: str | None = None
    datasets: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    base_model: tuple[str, ...] = ()
    results: tuple[SetResult, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    language_models: tuple[str, ...] = ()
    repository: str | None = None
    sources: tuple[str, ...] | None = None

    def __post_init__(self):
        for code in self.language:
            if not LANGUAGE.fullmatch(code):
                raise InputError(f"{code!r} is no language code such as fr, deu or zh-Hant.")
        if self.license is not None and not LICENSE.fullmatch(self.license):
            raise InputError(
                f"{self.license!r} is no licence as the Hub writes them, in small letters: apache-2.0, cc-by-4.0 …"
            )
        ids = (*self.datasets, *self.base_model, *(each.dataset for each in self.results if each.dataset))
        for name in (*ids, *([self.repository] if self.repository else [])):
            if not HUB_ID.fullmatch(name):
                raise InputError(f"{name!r} is no name on the Hub; those are owner/name.")

    @classmethod
    def of_card(cls, data: ModelCardData) -> "ModelFacts":
        """The facts in the metadata of a card; what is not as it should be is left out."""
        extra = data.get(EXTRA)
        extra = extra if isinstance(extra, dict) else {}
        license = data.get("license")
        return cls(
            name=data.get("model_name"),
            language=_matching(data.get("language"), LANGUAGE),
            license=license if isinstance(license, str) and LICENSE.fullmatch(license) else None,
            datasets=_matching(data.get("datasets"), HUB_ID),
            base_model=_matching(data.get("base_model"), HUB_ID),
            results=tuple(_set_results(data.get("eval_results") or [])),
            repository=(*_matching(extra.get("repository"), HUB_ID), None)[0],
            **{name: _matching(extra.get(name)) for name in ("training_sets", "commands", "notes", "language_models")},
        )

    def updated(self, other: "ModelFacts") -> "ModelFacts":
        """These with those of `other`: what it has replaces, data, results and notes are added."""
        added = ("datasets", "training_sets", "commands", "notes")
        changes = {each.name: getattr(other, each.name) or getattr(self, each.name) for each in fields(self)}
        changes.update({name: unique(getattr(self, name) + getattr(other, name)) for name in added})
        results = {each.key: each for each in (*self.results, *other.results)}
        return replace(self, **{**changes, "results": tuple(results.values())})

    def write_into(self, data: ModelCardData) -> None:
        """Puts the facts into the metadata of a card; what is there and is not known here stays."""
        known = {
            "model_name": self.name,
            "language": list(self.language),
            "license": self.license,
            "base_model": list(self.base_model),
            "datasets": list(self.datasets),
        }
        for name, value in known.items():
            if value:
                data[name] = value
        extra = {
            "training_sets": list(self.training_sets),
            "commands": list(self.commands),
            "notes": list(self.notes),
            "language_models": list(self.language_models),
            "repository": self.repository,
        }
        extra = {name: value for name, value in extra.items() if value}
        data.pop(EXTRA, None)
        if extra:
            data[EXTRA] = extra


def in_percent(share: float) -> float:
    """`0.123456` as `12.35`."""
    return round(100 * share, 2)


def unique(values: Iterable[Any]) -> tuple:
    """Each value once, in their order."""
    return tuple(dict.fromkeys(values))


def _matching(value: Any, pattern: re.Pattern = re.compile(r"(?s).+")) -> tuple[str, ...]:
    """The texts of a list, or a text, that match."""
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and pattern.fullmatch(each))


def _set_results(eval_results: Iterable[EvalResult]) -> Iterable[SetResult]:
    """The results of each set, of those as `SetResult.to_eval_results` makes them, or with less."""
    sets: dict[tuple[str, str], list[EvalResult]] = {}
    for each in eval_results:
        if each.metric_type in ("cer", "wer") and isinstance(each.metric_value, (int, float)):
            sets.setdefault((each.dataset_name, each.dataset_split or "test"), []).append(each)
    for (name, split), found in sets.items():
        beside = [each for each in found if (each.metric_args or {}).get("decoder") == "greedy"]
        rates = _rates([each for each in found if each not in beside])
        if rates is None:
            continue
        kind, of_set = found[0].dataset_type, found[0].dataset_args or {}
        yield SetResult(
            name,
            split,
            **vars(rates),
            lines=of_set.get("lines"),
            groups=of_set.get("resampled"),
            decoder=of_set.get("decoder"),
            dataset=kind if isinstance(kind, str) and HUB_ID.fullmatch(kind) else None,
            greedy=_rates(beside),
        )


def _rates(eval_results: Iterable[EvalResult]) -> Rates | None:
    """Those of one decoder; `None` without a CER."""
    found: dict[str, Any] = {}
    for each in eval_results:
        bounds = (each.metric_args or {}).get("interval_95")
        found[each.metric_type] = each.metric_value / 100
        found[f"{each.metric_type}_interval"] = (bounds[0] / 100, bounds[1] / 100) if bounds else None
    return Rates(**found) if "cer" in found else None
