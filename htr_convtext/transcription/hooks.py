"""What a job tells whoever runs it."""

import logging


logger = logging.getLogger(__name__)


class JobHooks:
    """What a job calls while it runs; a program or a service overrides what it shows."""

    def message(self, text: str) -> None:
        """Tells what could not be read or written, or deserves a look."""
        logger.warning("%s", text)

    def progress(self, done: int, total: int) -> None:
        """
        Pages that are done with, be it that they could not be read.

        Args:
            total: All pages; it may change where something stands in for a layout that is damaged.
        """

    def result(self, content: bytes) -> None:
        """Takes the output of a document that is not written to a folder."""
