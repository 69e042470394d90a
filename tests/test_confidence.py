"""Confidences and the expected CER, on lines whose truth is drawn from known probabilities."""

import json

import numpy as np
import pytest

from htr_convtext.errors import InputError
from htr_convtext.evaluation.calibration import area_under_risk, reliability, right_characters, right_words
from htr_convtext.evaluation.calibration_fitting import ReadLine, fit_calibration, fit_logistic, fit_poisson
from processing.confidence import Calibration
from processing.confidence_features import line_features, word_features, words_of
from processing.ctc import Hypothesis, decode_greedily


CLASSES, SPACE = 12, 1


def draw_line(random, power=1.0, collection="a", page=None, length=20):
    """
    A line whose characters are what they seem with their probability to the `power`, and where some that are seen
    but faintly are missing from the reading as often as their frame says.
    """
    rows, reference = [], []
    for position in range(length):
        top = SPACE if position % 5 == 4 else int(random.integers(2, CLASSES))
        sure = 1 - 0.6 * random.random() ** 3
        row = np.full(CLASSES, (1 - sure) / (CLASSES - 1), np.float32)
        row[top] = sure
        rows.append(row)
        right = random.random() < sure**power
        reference.append(top if right else int(random.choice([c for c in range(2, CLASSES) if c != top])))
        faint = 0.5 * random.random() ** 8
        row = np.full(CLASSES, faint / (CLASSES - 1), np.float32)
        row[0] = 1 - faint
        rows.append(row)
        if random.random() < faint:
            reference.append(int(random.integers(2, CLASSES)))
    probabilities = np.stack(rows)
    return ReadLine(probabilities, decode_greedily(probabilities), tuple(reference), collection, page)


def confidences_of(calibration, lines):
    return [calibration.confidence(line.probabilities, line.hypotheses, SPACE) for line in lines]


def errors_of(lines):
    found = right_characters([line.hypotheses[0].ids for line in lines], [line.reference for line in lines])
    return np.array([(~right).sum() + missing for right, _, missing in found])


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def overconfident():
    """A calibration of a model that is right with the square of its probabilities, and lines it did not see."""
    random = np.random.default_rng(1)
    fitted = [draw_line(random, 2.0, page=str(number // 10)) for number in range(300)]
    return fit_calibration(fitted, SPACE), [draw_line(random, 2.0) for _ in range(300)]


def ece(confidences, right):
    return reliability(np.concatenate(confidences), np.concatenate(right), np.ones(sum(map(len, right))))["ece"]


# --- what is right ---


def test_right_characters_and_words():
    reading, reference = [5, 6, 1, 7, 8], [5, 9, 1, 7, 8, 8]  # a wrong character, a missing one
    ((right, added, missing),) = right_characters([reading], [reference])
    assert (right.tolist(), added, missing) == ([True, False, True, True, True], 0, 1)
    assert [words.tolist() for words in right_words([reading, reading], [reference, [7, 8]], SPACE)] == [
        [False, False],
        [False, True],
    ]
    assert right_characters([[5, 5], []], [[5], [5]])[0][1] == 1  # added
    ((right, _, missing),) = right_characters([[]], [[5, 6]])
    assert (len(right), missing) == (0, 2)


def test_words_of():
    assert words_of([1, 5, 6, 1, 1, 7], SPACE) == ((1, 3), (5, 6))
    assert words_of([5, 6], None) == ((0, 2),)
    assert words_of([], SPACE) == ()


def test_area_under_risk():
    assert area_under_risk([{"risk": 0.1}, {"risk": 0.3}]) == pytest.approx(0.2)


# --- features ---


def test_weight_of_a_character_among_hypotheses():
    probabilities = np.full((6, CLASSES), 0.01, np.float32)
    best = Hypothesis((5, 6), ((0, 1), (3, 4)), np.log(0.6), -3.0)
    near = Hypothesis((5, 6), ((1, 2), (3, 4)), np.log(0.1))  # a frame later is the same place
    other = Hypothesis((5, 7), ((0, 1), (3, 4)), np.log(0.3))
    weights = line_features(probabilities, [best, near, other], SPACE).characters[:, 2]
    assert weights[1] == pytest.approx(np.log(0.7 / 0.3))
    assert weights[0] == pytest.approx(np.log(0.999 / 0.001))
    assert line_features(probabilities, [best], SPACE).characters[0, -1] == pytest.approx(-1.0)


def test_signs_of_what_was_left_out():
    probabilities = np.zeros((5, CLASSES), np.float32)
    probabilities[:, 0] = [1, 0.1, 0.7, 0.9, 1]
    probabilities[:, 5] = 1 - probabilities[:, 0]
    line = line_features(probabilities, [Hypothesis((5,), ((1, 2),), 0.0)], SPACE)
    assert line.gaps == pytest.approx([0, 0.3])
    assert line.unread == pytest.approx(0.4)
    assert word_features(line, np.array([0.8]))[0] == pytest.approx([np.log(4), 0, 0, np.log(0.3)])


# --- regressions ---


def test_regressions_find_what_the_data_was_made_from(random):
    features = np.column_stack([random.normal(size=20000), np.ones(20000)])
    right = random.random(20000) < 1 / (1 + np.exp(-(0.5 + 2 * features[:, 0])))
    found = fit_logistic(features, right)
    assert found.intercept == pytest.approx(0.5, abs=0.1)
    assert found.weights == pytest.approx((2.0, 0.0), abs=0.1)
    assert found(np.array([[1e9, 1.0]])) == pytest.approx(found(features.max(0)[None]))  # nothing is known beyond
    exposure = random.integers(1, 9, 20000).astype(float)
    counts = random.poisson(exposure * np.exp(-1 + 0.5 * features[:, 0]))
    found = fit_poisson(features, counts, exposure)
    assert (found.intercept, found.weights[0]) == pytest.approx((-1, 0.5), abs=0.05)


def test_all_right_is_not_certain():
    found = fit_logistic(np.zeros((100, 1)), np.ones(100))
    assert 0.98 < found.probabilities(np.zeros((1, 1)))[0] < 1


# --- confidences ---


def test_confidences_are_probabilities_of_being_right(overconfident):
    calibration, lines = overconfident
    found = confidences_of(calibration, lines)
    ids = [line.hypotheses[0].ids for line in lines]
    references = [line.reference for line in lines]
    right = [line[0] for line in right_characters(ids, references)]
    shown = [[line.probabilities[start, index] for index, (start, _) in zip(h.ids, h.spans, strict=True)]
             for line in lines for h in line.hypotheses]  # fmt: skip
    assert ece(shown, right) > 0.06
    assert ece([line.characters for line in found], right) < 0.02
    assert ece([line.words for line in found], right_words(ids, references, SPACE)) < 0.05
    whole = [np.array([line == reference]) for line, reference in zip(ids, references, strict=True)]
    assert ece([[line.line] for line in found], whole) < 0.05


def test_expected_errors_add_up(overconfident):
    calibration, lines = overconfident
    found = confidences_of(calibration, lines)
    assert sum(line.errors for line in found) == pytest.approx(errors_of(lines).sum(), rel=0.05)
    assert sum(line.length for line in found) == pytest.approx(sum(len(line.reference) for line in lines), rel=0.01)
    faint = sum(len(line.reference) - 20 for line in lines)  # nothing is ever added, so these are missing
    assert sum(line.length - 20 for line in found) == pytest.approx(faint, rel=0.25)


def test_nothing_read_is_never_certain():
    random = np.random.default_rng(2)
    blank = np.zeros((80, CLASSES), np.float32)
    blank[:, 0] = 1
    lines = [draw_line(random) for _ in range(50)]
    empty = [ReadLine(blank, decode_greedily(blank), (), "a") for _ in range(8)]
    for fitted, right in ((lines, 0.5), (lines + empty, 0.9)):
        found = fit_calibration(fitted, SPACE).confidence(blank, decode_greedily(blank), SPACE)
        assert found.line == pytest.approx(right)
        # About one character in two frames is written in the lines.
        assert found.errors == pytest.approx((1 - right) * 40, rel=0.1)
        assert found.characters == found.words == ()
        assert found.cer == pytest.approx(1 - right)


# --- the expected CER ---


def collection(random, name, pages=5, lines=10):
    """Lines whose model is surer than it may be, by a factor of their collection and one of their page."""
    power = random.lognormal(0.3, 0.3)
    return [
        draw_line(random, on_page, name, f"{page}")
        for page, on_page in enumerate(power * random.lognormal(0, 0.25, pages))
        for _ in range(lines)
    ]


def test_interval_holds_for_other_collections():
    random = np.random.default_rng(3)
    calibration = fit_calibration((line for n in range(15) for line in collection(random, f"{n}", 4)), SPACE)
    inside, narrow, misses, constant = [], [], [], []
    for number in range(100):
        lines = collection(random, f"other {number}", 2)
        found, pages = confidences_of(calibration, lines), [line.page for line in lines]
        cer = errors_of(lines).sum() / sum(len(line.reference) for line in lines)
        expected = calibration.expected_cer(found, pages)
        inside.append(expected.low <= cer <= expected.high)
        independent = Calibration.from_dict({**calibration.to_dict(), "page_variance": 0, "collection_variance": 0})
        alone = independent.expected_cer(found, pages)
        narrow.append(alone.low <= cer <= alone.high)
        misses.append(cer - expected.cer)
        constant.append(cer)
    assert 0.82 <= np.mean(inside) <= 0.98
    assert np.mean(narrow) < 0.8
    assert abs(np.mean(misses)) < 0.25 * np.mean(constant)


def test_pages_are_averaged_out(overconfident):
    calibration, lines = overconfident
    calibration = Calibration.from_dict({**calibration.to_dict(), "page_variance": 0.05})
    found = confidences_of(calibration, lines[:20])

    def width(pages, level=0.9):
        expected = calibration.expected_cer(found, pages, level)
        return expected.high - expected.low

    assert width(range(20)) < width([number // 10 for number in range(20)]) < width(None) == width(["one"] * 20)
    assert width(None, 0.5) < width(None)
    with pytest.raises(InputError, match="no lines"):
        calibration.expected_cer([])


def test_a_single_collection_says_little_of_others():
    random = np.random.default_rng(4)
    found = fit_calibration([line for n in range(4) for line in draw_pages(random, n)], SPACE)
    assert found.page_variance > 0.005
    assert found.collection_variance >= found.page_variance


def draw_pages(random, number):
    power = (0.4, 1.0, 2.0, 3.0)[number]
    return [draw_line(random, power, "only", f"{number}") for _ in range(25)]


# --- as it is stored ---


def test_stored_and_loaded(overconfident):
    calibration, lines = overconfident
    stored = json.loads(json.dumps(calibration.to_dict()))
    loaded = Calibration.from_dict(stored)
    assert loaded == calibration
    assert loaded.id == calibration.id
    assert confidences_of(loaded, lines[:3]) == confidences_of(calibration, lines[:3])
    assert Calibration.from_dict({**stored, "empty_right": 0.123}).id != calibration.id
    del stored["words"]
    with pytest.raises(InputError, match=r"Not a calibration of confidences.*words"):
        Calibration.from_dict(stored)
    with pytest.raises(InputError, match="Not a calibration of confidences"):
        Calibration.from_dict([])


def test_fits_alike_every_time():
    first, second = (
        fit_calibration([draw_line(np.random.default_rng(seed)) for seed in range(40)], SPACE) for _ in range(2)
    )
    assert first.id == second.id
    assert len(first.id) == 8


def test_nothing_to_fit():
    blank = np.eye(CLASSES, dtype=np.float32)[[0, 0]]
    for lines in ([], [ReadLine(blank, decode_greedily(blank), (5,), "a")]):
        with pytest.raises(InputError, match="in which something is read"):
            fit_calibration(lines, SPACE)
