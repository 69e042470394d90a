"""Where in a line a text is written that is known, and where it does not fit: CTC forced alignment."""

from collections.abc import Sequence

import numpy as np

from processing.beam_search import SMALLEST
from processing.ctc import Hypothesis, required_frames


# What a frame of a path may be less probable than the best class there, as natural logarithm, before it counts as a
# misfit. Of 0.2 to 2 this ranked faults that were put into the transcriptions of 16 sets best.
ALLOWANCE = 0.5


def align(probabilities: np.ndarray, ids: Sequence[int]) -> Hypothesis:
    """
    The most probable path of a text through the frames of a line (Viterbi).

    Args:
        probabilities: `(frames, vocab_size)` of a line, without padding, class 0 the blank.
        ids: Of the characters of the text.

    Returns:
        These ids with the frames of each on that path, and the natural logarithm of its probability, for which a
        probability of 0 counts as the smallest there is: so every text has a path.

    Raises:
        ValueError: if the line has fewer frames than the text needs.
    """
    if len(probabilities) < max(1, required_frames(ids)):
        raise ValueError(f"A text of {len(ids)} characters needs more frames than {len(probabilities)}.")
    # States: a blank, then each character with a blank after it.
    states = np.zeros(2 * len(ids) + 1, dtype=int)
    states[1::2] = ids
    emissions = np.log(np.maximum(probabilities[:, states].astype(np.float64), SMALLEST))
    # From one character to the next there is no need of a blank, unless they are equal.
    skips = np.full(len(states), -np.inf)
    skips[3::2][states[3::2] != states[1:-2:2]] = 0

    # Of the best path to each state at each frame, after two states that cannot be reached.
    scores = np.full((len(emissions), len(states) + 2), -np.inf)
    scores[0, 2:4] = emissions[0, :2]
    skipped = np.empty(len(states))
    for before, after, emitted in zip(scores[:-1], scores[1:, 2:], emissions[1:], strict=True):
        np.add(before[:-2], skips, out=skipped)
        np.maximum(before[2:], before[1:-1], out=after)
        np.maximum(after, skipped, out=after)
        after += emitted

    last = len(states) - 1
    state = last if last == 0 or scores[-1, -1] >= scores[-1, -2] else last - 1
    path = [state]
    for before in scores[-2::-1]:
        skipping, one_back, staying = before[state : state + 3].tolist()
        skipping += skips[state]
        if staying < max(one_back, skipping):
            state -= 1 if one_back >= skipping else 2
        path.append(state)
    path = np.array(path[::-1])
    firsts = np.searchsorted(path, range(1, len(states), 2))
    ends = np.searchsorted(path, range(1, len(states), 2), side="right")
    spans = tuple(zip(firsts.tolist(), ends.tolist(), strict=True))
    return Hypothesis(tuple(int(index) for index in ids), spans, float(scores[-1, path[-1] + 2]))


def worst_stretch(probabilities: np.ndarray, hypothesis: Hypothesis) -> tuple[float, tuple[int, int]]:
    """
    The frames where a path fits least.

    For each frame the logarithm of the best probability over that of the path is taken, and `ALLOWANCE` off it; the
    stretch is the one with the highest sum. One wrong word in a long line weighs as much as in a short one, unlike in
    the mean over all frames; where the model is unsure between classes, all of them weigh little.

    Args:
        probabilities: `(frames, vocab_size)`, class 0 the blank.
        hypothesis: Of `align`.

    Returns:
        That sum, 0 if no frame is worse than allowed; the first frame, and the one after the last.
    """
    path = np.zeros(len(probabilities), dtype=int)
    for index, (start, end) in zip(hypothesis.ids, hypothesis.spans, strict=True):
        path[start:end] = index
    taken = np.take_along_axis(probabilities, path[:, None], 1)[:, 0].astype(np.float64)
    losses = np.log(probabilities.max(-1).astype(np.float64)) - np.log(np.maximum(taken, SMALLEST)) - ALLOWANCE
    sums = np.concatenate([[0.0], losses.cumsum()])
    rises = sums - np.minimum.accumulate(sums)
    end = int(rises.argmax())
    return float(rises[end]), (int(sums[: end + 1].argmin()), end)
