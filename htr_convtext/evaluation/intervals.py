"""Confidence intervals by bootstrap over groups of lines."""

import numpy as np
import pandas as pd


RESAMPLES = 1000
SEED = 0
MIN_GROUPS = 10


def group_lines(lines: pd.DataFrame) -> tuple[str, pd.Series]:
    """
    The groups whose lines go together: errors of one writer, or of one page, are alike.

    Returns:
        `"writers"`, `"pages"` or `"lines"`: the first of which the lines name at least `MIN_GROUPS`; and the group of
        each line. A line without a writer or page is a group of its own.
    """
    for column in ("writer", "page"):
        if lines[column].nunique() >= MIN_GROUPS:
            own = pd.Series([f"line {index}" for index in range(len(lines))], index=lines.index)
            named = column + " " + lines[column].astype(str)
            return column + "s", named.where(lines[column].notna(), own)
    return "lines", pd.Series(np.arange(len(lines)), index=lines.index)


def resample(counts: pd.DataFrame, groups: pd.Series, random: np.random.Generator) -> pd.DataFrame:
    """
    Draws as many groups as there are, with replacement, `RESAMPLES` times.

    Args:
        counts: One row a line; anything that can be summed.
        groups: The group of each line.

    Returns:
        The sums over the drawn groups, one row a draw.
    """
    sums = counts.groupby(groups, sort=False).sum()
    share = np.full(len(sums), 1 / len(sums))
    values = sums.to_numpy(float)
    draws = [random.multinomial(len(sums), share) @ values for _ in range(RESAMPLES)]
    return pd.DataFrame(draws, columns=sums.columns)


def interval(values: np.ndarray | pd.Series) -> list[float]:
    """The 95 % percentile interval of resampled values."""
    return [float(bound) for bound in np.percentile(values, [2.5, 97.5])]
