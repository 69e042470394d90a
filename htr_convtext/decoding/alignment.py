"""Where in a line a text is written that is known: CTC forced alignment."""

from collections.abc import Sequence

import numpy as np

from processing.ctc import Hypothesis, required_frames


def align(probabilities: np.ndarray, ids: Sequence[int]) -> Hypothesis:
    """
    The most probable path of a text through the frames of a line (Viterbi).

    Args:
        probabilities: `(frames, vocab_size)` of a line, without padding, class 0 the blank.
        ids: Of the characters of the text.

    Returns:
        These ids with the frames of each on that path, and the natural logarithm of its probability.

    Raises:
        ValueError: if the line has fewer frames than the text needs.
    """
    if required_frames(ids) > len(probabilities):
        raise ValueError(f"A text of {len(ids)} characters needs more frames than {len(probabilities)}.")
    # States: a blank, then each character with a blank after it.
    states = np.zeros(2 * len(ids) + 1, dtype=int)
    states[1::2] = ids
    with np.errstate(divide="ignore"):
        emissions = np.log(probabilities[:, states].astype(np.float64))
    # From one character to the next there is no need of a blank, unless they are equal.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]

    scores = np.full(len(states), -np.inf)
    scores[:2] = emissions[0, :2]
    steps = np.zeros(emissions.shape, dtype=int)  # states passed on the way to each frame
    for frame in range(1, len(emissions)):
        before = np.stack(
            [
                scores,
                np.concatenate([[-np.inf], scores[:-1]]),
                np.where(skips, np.concatenate([[-np.inf] * 2, scores])[: len(states)], -np.inf),
            ]
        )
        steps[frame] = before.argmax(0)
        scores = before.max(0) + emissions[frame]

    last = len(states) - 1
    state = last if last == 0 or scores[last] >= scores[last - 1] else last - 1
    log_probability = float(scores[state])
    path = np.empty(len(emissions), dtype=int)
    for frame in range(len(emissions) - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    places = [np.flatnonzero(path == state) for state in range(1, len(states), 2)]
    spans = tuple((int(frames[0]), int(frames[-1]) + 1) for frames in places)
    return Hypothesis(tuple(int(index) for index in ids), spans, log_probability)
