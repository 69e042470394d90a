"""Decoders to use in place of the best class of each frame."""

import numpy as np


# Labels of the library are texts: one private character for each class.
FIRST_LABEL = 0xF0000


class BeamSearch:
    """
    CTC prefix beam search: the text of the highest probability over all its alignments, without a language model.

    Args:
        beam_size: Texts that are followed at once.
        threshold: Classes below this probability in a frame are left out, or below half of an even share if that is
            lower.

    Raises:
        ModuleNotFoundError: if fast-ctc-decode is missing.
    """

    def __init__(self, beam_size: int = 16, threshold: float = 1e-4):
        try:
            from fast_ctc_decode import beam_search
        except ModuleNotFoundError:
            raise ModuleNotFoundError("Beam search needs fast-ctc-decode: pip install fast-ctc-decode") from None
        self.search, self.beam_size, self.threshold = beam_search, beam_size, threshold

    def __call__(self, probabilities: np.ndarray) -> list[int]:
        """
        Args:
            probabilities: `(frames, vocab_size)`; class 0 is the blank.

        Returns:
            The ids of the characters.
        """
        classes = probabilities.shape[1]
        labels = [chr(FIRST_LABEL + index) for index in range(classes)]
        threshold = min(self.threshold, 0.5 / classes)
        frames = np.ascontiguousarray(probabilities, dtype=np.float32)
        text, _ = self.search(frames, labels, self.beam_size, threshold)
        return [ord(label) - FIRST_LABEL for label in text]
