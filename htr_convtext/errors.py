"""The error that stands for bad input. It is defined where saved weights can take it along."""

from processing.errors import InputError


__all__ = ["InputError"]
