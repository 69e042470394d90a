"""Decoding in several processes: flashlight-text holds the lock of the interpreter."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from types import TracebackType

import numpy as np

from processing.ctc import Decoder, Hypothesis, decode_page


class DecodingPool:
    """
    Processes that decode pages, from the first page on; used as a context, at whose end they end, or until `close`.

    Args:
        processes: How many; 1 decodes in this process.
    """

    def __init__(self, processes: int):
        # Started anew: a copy of this process would have its threads' locks, but not the threads.
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(processes, mp_context=context) if processes > 1 else None

    def __enter__(self) -> "DecodingPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes."""
        if self._executor:
            self._executor.shutdown(cancel_futures=True)

    def decode(self, decoder: Decoder, pages: Iterable[Sequence[np.ndarray]]) -> Iterator[list[list[Hypothesis]]]:
        """
        What a decoder finds in the lines of pages, page by page in their order.

        Args:
            decoder: One that can be pickled, if there are several processes.
            pages: Of each line its probabilities `(frames, vocab_size)`.
        """
        if self._executor is None:
            return map(decode_page, repeat(decoder), pages)
        return self._executor.map(decode_page, repeat(decoder), pages)
