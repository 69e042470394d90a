"""Argument types that the scripts share."""

import argparse


def positive_int(text: str) -> int:
    """A whole number of at least 1, for `add_argument(type=...)`."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value
