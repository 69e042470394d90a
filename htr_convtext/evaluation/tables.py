"""The numbers of a report or a comparison as plain text, for a terminal."""

from .metrics import MORE_IS_BETTER
from .report import interval, percent


def report_table(report: dict) -> str:
    """
    CER and WER with 95 % intervals, lines right with and without regard to case, and 1 − NED of each set and all; below
    it both rates beside those of greedy decoding, where the report has these.
    """
    blocks = dict(report["sets"])
    if len(blocks) > 1:
        blocks["all lines"] = report["all"]
        blocks["mean of the sets"] = {"lines": "", **report["all"]["mean_of_sets"]}
    rows = [["", "lines", "CER %", "[95 %]", "WER %", "[95 %]", "lines right %", "caseless %", "1 − NED %"]]
    for name, numbers in blocks.items():
        cer, wer = ([percent(numbers[rate]), interval(numbers["intervals"][rate])] for rate in ("cer", "wer_space"))
        shares = [percent(numbers[rate]) for rate in MORE_IS_BETTER]
        rows.append([name, str(numbers["lines"]), *cer, *wer, *shares])
    tables = [align_columns(rows, left=1)]
    if "greedy" in report["all"]:
        tables.append(align_columns(_beside_greedy(blocks), left=1))
    return "\n\n".join(tables)


def _beside_greedy(blocks: dict[str, dict]) -> list[list[str]]:
    """Both rates of greedy decoding and of the decoder in use, and what that brings."""
    names = ("greedy {} %", "[95 %]", "{} %", "difference", "[95 %]")
    rows = [["", *(name.format(rate) for rate in ("CER", "WER") for name in names)]]
    for block, numbers in blocks.items():
        row = [block]
        for rate in ("cer", "wer_space"):
            greedy = numbers["greedy"]
            row += [percent(greedy[rate]), interval(greedy["intervals"][rate]), percent(numbers[rate])]
            row += [percent(numbers["difference"][rate], signed=True)]
            row += [interval(numbers["difference_intervals"][rate], signed=True)]
        rows.append(row)
    return rows


def comparison_table(comparison: dict) -> str:
    """CER of each run on each set, and its difference from the first run, with 95 % intervals."""
    blocks = {**comparison["sets"], "all lines": comparison["all"]}
    if len(comparison["sets"]) > 1:
        blocks["mean of the sets"] = comparison["mean_of_sets"]
    rows = [["", "", "CER %", "[95 %]", "difference", "[95 %]", ""]]
    for name, block in blocks.items():
        for run, numbers in block["runs"].items():
            row = [name, run, percent(numbers["cer"]), interval(numbers["intervals"]["cer"])]
            if "difference" in numbers:
                row += [percent(numbers["difference"]["cer"], signed=True)]
                row += [interval(numbers["difference_intervals"]["cer"], signed=True), numbers["verdict"]["cer"]]
            rows.append(row + [""] * (7 - len(row)))
            name = ""
    return align_columns(rows, left=2)


def align_columns(rows: list[list[str]], left: int) -> str:
    """Rows of cells as lines of text; the first `left` columns are aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
