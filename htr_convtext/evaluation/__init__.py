"""Measuring recognition: rates with intervals, errors, calibration, reports and comparisons."""

from .compare import compare, load_runs, write_comparison
from .measure import measure
from .metrics import WORD_TOKENIZERS, ErrorRates, count_lines, error_rates, rates
from .predict import Prediction, load_sets, predict_lines, read_predictions
from .report import write_report
from .tables import comparison_table, report_table


__all__ = [
    "ErrorRates",
    "Prediction",
    "WORD_TOKENIZERS",
    "compare",
    "comparison_table",
    "count_lines",
    "error_rates",
    "load_runs",
    "load_sets",
    "measure",
    "predict_lines",
    "rates",
    "read_predictions",
    "report_table",
    "write_comparison",
    "write_report",
]
