"""`htr tune`, from a clone."""

import sys

from htr_convtext.cli import run_command


if __name__ == "__main__":
    sys.exit(run_command("tune", prog="tune.py"))
