"""Several readings of the same lines: rates side by side, and differences over the same resamples."""

import numpy as np

from .intervals import interval
from .metrics import MORE_IS_BETTER, RATES


def side_by_side(found: dict[str, dict], drawn: dict[str, dict]) -> dict[str, dict]:
    """
    The rates of some readings and their `"intervals"`; of each but the first its `"difference"` from the first,
    `"difference_intervals"`, and `"verdict"`: `"better"` or `"worse"` where the interval leaves out 0, else
    `"unclear"`.

    Args:
        found, drawn: Of each reading by its name `rates` of its lines, and of resamples that all readings share.
    """
    baseline, *others = found
    result = {
        name: {
            **{rate: float(value) for rate, value in found[name].items()},
            "intervals": {rate: interval(values) for rate, values in drawn[name].items()},
        }
        for name in found
    }
    for name in others:
        bounds = {rate: interval(drawn[name][rate] - drawn[baseline][rate]) for rate in RATES}
        result[name]["difference"] = {rate: float(found[name][rate] - found[baseline][rate]) for rate in RATES}
        result[name]["difference_intervals"] = bounds
        result[name]["verdict"] = {rate: _verdict(rate, bound) for rate, bound in bounds.items()}
    return result


def mean_of(sets: list[dict[str, dict]]) -> dict[str, dict]:
    """The mean over sets of the rates of each reading, or of those of its resamples."""
    return {name: {rate: np.mean([found[name][rate] for found in sets], axis=0) for rate in RATES} for name in sets[0]}


def _verdict(rate: str, bounds: list[float]) -> str:
    if bounds[0] <= 0 <= bounds[1]:
        return "unclear"
    return "better" if (bounds[0] > 0) == (rate in MORE_IS_BETTER) else "worse"
