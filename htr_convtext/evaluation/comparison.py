"""Several models on the same lines: their rates side by side, and paired differences from the first."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from htr_convtext.errors import InputError
from htr_convtext.whole_files import write_whole

from . import charts
from .intervals import SEED, group_lines, resample
from .measures import COUNTS, DEFINITIONS, to_table
from .metrics import rates
from .paired import mean_of, side_by_side
from .predict import read_predictions
from .report import write_page


SHOWN_LINES = 20


@dataclass(frozen=True)
class Run:
    """What `evaluate` wrote to a folder."""

    name: str
    model: str
    policy: dict
    lines: pd.DataFrame


def load_runs(folders: Sequence[str | os.PathLike]) -> list[Run]:
    """
    Loads runs under the names of their folders, or their whole paths if two names are the same.

    Raises:
        InputError: names the folder that is no run or differs from the first in its lines, ground truth or text policy.
    """
    paths = [Path(folder) for folder in folders]
    names = [path.resolve().name for path in paths]
    runs = []
    for path, name in zip(paths, names, strict=True):
        lines = to_table(read_predictions(path))
        file = path / "report.json"
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            model, policy = report["model"], report["policy"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not a report of evaluate; measure again. ({error})") from None
        runs.append(Run(name if names.count(name) == 1 else str(path), model, policy, lines))
        if len({run.name for run in runs}) < len(runs):
            raise InputError(f"{path} is given twice.")
        _check_pair(runs[0], runs[-1])
    return runs


def _check_pair(first: Run, other: Run) -> None:
    keys = [set(zip(run.lines["source"], run.lines["index"], strict=True)) for run in (first, other)]
    if keys[0] != keys[1]:
        raise InputError(
            f"{first.name} and {other.name} were not measured on the same lines: {len(keys[0] - keys[1])} are only in "
            f"the first, {len(keys[1] - keys[0])} only in the second. Measure both with the same --data and --split."
        )
    order = ["source", "index"]
    texts = [run.lines.sort_values(order)["reference"].to_numpy() for run in (first, other)]
    unequal = int((texts[0] != texts[1]).sum())
    if unequal or first.policy != other.policy:
        raise InputError(
            f"{first.name} and {other.name} were not measured against the same ground truth ({unequal} lines differ). "
            "Measure both on the same data with the same --text-policy."
        )


def compare(runs: Sequence[Run]) -> dict:
    """
    Compares runs of `load_runs`.

    Returns:
        What `compare.json` holds: `"policy"`, `"baseline"` (the first run), `"models"`, and for each of `"sets"`, for
        `"all"` lines and for the `"mean_of_sets"` the `"runs"` as of `side_by_side`.
    """
    names = [run.name for run in runs]
    first = runs[0].lines
    tables = [first, *(first[["source", "index"]].merge(run.lines, validate="one_to_one") for run in runs[1:])]
    counts = pd.concat({name: table[COUNTS] for name, table in zip(names, tables, strict=True)}, axis=1)

    random = np.random.default_rng(SEED)
    sets, draws, found, drawn = {}, [], [], []
    for name, part in first.groupby("source", sort=False):
        unit, groups = group_lines(part)
        sums, draw = counts.loc[part.index].sum(), resample(counts.loc[part.index], groups, random)
        draws.append(draw)
        found.append({run: rates(sums[run]) for run in names})
        drawn.append({run: rates(draw[run]) for run in names})
        sets[name] = {
            "lines": len(part),
            "resampled": {"unit": unit, "groups": groups.nunique()},
            "runs": side_by_side(found[-1], drawn[-1]),
        }
    sums, draw = counts.sum(), sum(draws)
    return {
        "policy": runs[0].policy,
        "definitions": DEFINITIONS,
        "baseline": names[0],
        "models": {run.name: run.model for run in runs},
        "sets": sets,
        "all": {
            "lines": len(first),
            "runs": side_by_side({run: rates(sums[run]) for run in names}, {run: rates(draw[run]) for run in names}),
            "line_errors": {name: _line_errors(first, table) for name, table in zip(names, tables, strict=True)},
        },
        "mean_of_sets": {"runs": side_by_side(mean_of(found), mean_of(drawn))},
    }


def _line_errors(first: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """On how many lines a run has fewer, as many and more character errors than the first."""
    change = other["character_errors"].to_numpy() - first["character_errors"].to_numpy()
    return {"fewer": int((change < 0).sum()), "same": int((change == 0).sum()), "more": int((change > 0).sum())}


def write_comparison(comparison: dict, runs: Sequence[Run], folder: str | os.PathLike) -> None:
    """Writes `compare.json` and `compare.html`, which also shows the lines on which the runs differ most."""
    folder = Path(folder)
    text = json.dumps(comparison, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / "compare.json", text)

    keys = ["source", "index"]
    tables = {run.name: run.lines.set_index(keys) for run in runs}
    errors = pd.DataFrame({name: table["character_errors"] for name, table in tables.items()})
    spread = (errors.max(axis=1) - errors.min(axis=1)).sort_values(ascending=False, kind="stable").head(SHOWN_LINES)
    shown = []
    for key in spread[spread > 0].index:
        rows = {name: table.loc[key] for name, table in tables.items()}
        reference = rows[runs[0].name]["reference"]
        readings = [
            {"run": name, "errors": row["character_errors"], "pieces": row["pieces"]} for name, row in rows.items()
        ]
        shown.append({"source": key[0], "index": key[1], "reference": reference, "readings": readings})

    blocks = {**comparison["sets"], "all lines": comparison["all"]}
    if len(comparison["sets"]) > 1:
        blocks["mean of the sets"] = comparison["mean_of_sets"]
    drawn = {
        run.name: charts.by_set(
            list(blocks),
            [block["runs"][run.name]["difference"]["cer"] for block in blocks.values()],
            [block["runs"][run.name]["difference_intervals"]["cer"] for block in blocks.values()],
            "CER difference, points (below 0: better)",
        )
        for run in runs[1:]
    }
    write_page("compare.html", folder / "compare.html", comparison=comparison, blocks=blocks, lines=shown, charts=drawn)
