"""Measuring recognition."""

from .metrics import ErrorRates, error_rates


__all__ = ["ErrorRates", "error_rates"]
