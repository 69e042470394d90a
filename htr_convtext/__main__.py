"""`python -m htr_convtext`, the same as `htr`."""

import sys

from .cli import main


if __name__ == "__main__":
    sys.exit(main())
