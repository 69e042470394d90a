"""CTC prefix beam search, over flashlight-text."""

import numpy as np

from processing.ctc import Hypothesis, collapse


SMALLEST = np.finfo(np.float32).tiny  # a probability of 0 has no logarithm


class BeamSearch:
    """
    The texts of the highest probability over all their paths, without a language model.

    Args:
        beam_size: Prefixes that are followed at once.
        threshold: Prefixes less probable than the best by this factor are given up.

    Raises:
        ModuleNotFoundError: if flashlight-text is missing.
    """

    def __init__(self, beam_size: int = 16, threshold: float = 1e-11):
        try:
            from flashlight.lib.text import decoder
        except ModuleNotFoundError:
            raise ModuleNotFoundError("Beam search needs flashlight-text: pip install 'htr-convtext[beam]'") from None
        self.beam_size, self.threshold = beam_size, threshold
        self._library = decoder

    def __call__(self, probabilities: np.ndarray) -> list[Hypothesis]:
        """
        Args:
            probabilities: `(frames, vocab_size)`; class 0 is the blank.

        Returns:
            At most `beam_size` hypotheses with different texts, the most probable first.
        """
        frames, classes = probabilities.shape
        options = self._library.LexiconFreeDecoderOptions(
            beam_size=self.beam_size,
            beam_size_token=classes,
            beam_threshold=-np.log(self.threshold),
            lm_weight=0.0,
            sil_score=0.0,
            log_add=True,
            criterion_type=self._library.CriterionType.CTC,
        )
        search = self._library.LexiconFreeDecoder(options, self._library.ZeroLM(), -1, 0, [])
        emissions = np.ascontiguousarray(np.log(np.maximum(probabilities, SMALLEST)), dtype=np.float32)
        found = search.decode(emissions.ctypes.data, frames, classes)
        # A path has one class before the frames and one after them.
        return [Hypothesis(*collapse(result.tokens[1:-1]), float(result.score)) for result in found]
