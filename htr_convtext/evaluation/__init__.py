"""Measuring recognition."""

from .metrics import ErrorRates, error_rates
from .predict import Prediction, predict_lines


__all__ = ["ErrorRates", "Prediction", "error_rates", "predict_lines"]
