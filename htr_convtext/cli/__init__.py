"""The command `htr`: a module for each of its programs, which `scripts/` has too."""

from .main import COMMANDS, main, run_command


__all__ = ["COMMANDS", "main", "run_command"]
