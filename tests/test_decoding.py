"""Greedy decoding and beam search against every path."""

from itertools import groupby, product

import numpy as np
import pytest

from htr_convtext import InputError, load_recognizer
from htr_convtext.decoding import BeamSearch, Hypothesis, ctc_decoder, decode_greedily
from processing.ctc import collapse
from tests.helpers import ROOT, load_pipeline


def random_lines(count: int, frames: int = 6, classes: int = 3):
    """Probabilities, and of each path its text."""
    generator = np.random.default_rng(0)
    paths = list(product(range(classes), repeat=frames))
    texts = [tuple(index for index, _ in groupby(path) if index) for path in paths]
    for _ in range(count):
        probabilities = generator.dirichlet(np.full(classes, 0.5), frames)
        yield probabilities, paths, texts, [np.prod(probabilities[range(frames), path]) for path in paths]


def test_greedy_decoding_is_the_most_probable_path():
    for probabilities, paths, texts, weights in random_lines(60):
        (found,) = decode_greedily(probabilities)
        best = int(np.argmax(weights))
        assert found.ids == texts[best]
        assert np.exp(found.log_probability) == pytest.approx(weights[best])
        path = np.zeros(len(probabilities), int)
        for index, (start, end) in zip(found.ids, found.spans, strict=True):
            path[start:end] = index
        assert tuple(path) == paths[best]


def test_beam_search_finds_the_most_probable_texts():
    decoder = BeamSearch(beam_size=100, threshold=700)
    differs = 0
    for probabilities, _paths, texts, weights in random_lines(60):
        sums: dict[tuple, float] = {}
        for text, weight in zip(texts, weights, strict=True):
            sums[text] = sums.get(text, 0) + weight
        found = decoder(probabilities)
        order = sorted(sums.values(), reverse=True)
        for hypothesis, expected in zip(found[:3], order, strict=False):
            assert sums[hypothesis.ids] == pytest.approx(expected, rel=1e-4)
            assert np.exp(hypothesis.log_probability) == pytest.approx(expected, rel=1e-4)
        assert len({hypothesis.ids for hypothesis in found}) == len(found)
        differs += found[0].ids != texts[int(np.argmax(weights))]
    assert differs > 3  # greedy decoding would not do


def test_spans_of_a_beam_search_are_a_path_of_its_text():
    for probabilities, paths, _texts, _weights in random_lines(60):
        for hypothesis in BeamSearch()(probabilities):
            path = np.zeros(len(probabilities), int)
            for index, (start, end) in zip(hypothesis.ids, hypothesis.spans, strict=True):
                path[start:end] = index
            assert tuple(path) in paths
            assert collapse(path) == (hypothesis.ids, hypothesis.spans)


def test_a_class_of_no_probability():
    (best, *_) = BeamSearch()(np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert (best.ids, best.spans) == ((1,), ((1, 2),))


def test_an_unknown_decoder_is_named():
    with pytest.raises(InputError, match=r"no decoder 'beem'; choose one of greedy, beam, lm"):
        ctc_decoder("beem", "ab")
    with pytest.raises(InputError, match="This model has no language model; make one of your texts with `htr lm`"):
        ctc_decoder("lm", "ab")
    with pytest.raises(InputError, match="The language 'fr' needs a language model"):
        ctc_decoder("beam", "ab", language="fr")


def test_one_beam_is_greedy():
    for probabilities, *_ in random_lines(60):
        (found,), (greedy,) = BeamSearch(beam_size=1)(probabilities), decode_greedily(probabilities)
        assert (found.ids, found.spans) == (greedy.ids, greedy.spans)


def test_reading_with_beam_search():
    image = ROOT / "examples" / "it_2.jpg"
    (greedy,), (searched,) = (load_recognizer(device="cpu", decoder=name).read([image]) for name in ("greedy", "beam"))
    assert searched.text == greedy.text == searched.greedy
    places = [[(each.char, each.start, each.end) for each in line.characters] for line in (greedy, searched)]
    assert places[0] == places[1]
    own = load_recognizer(device="cpu", decoder=lambda probabilities: [Hypothesis((5, 6), ((0, 1), (3, 5)), -1.0)])
    (line,) = own.read([image])
    assert len(line.characters) == 2
    assert line.characters[1].start == 3 * line.characters[0].end


def test_a_pipeline_with_beam_search():
    read = load_pipeline()
    greedy, searched = (
        read(str(ROOT / "examples" / "it_2.jpg"), return_characters=True, **options)
        for options in ({"decoder": decode_greedily}, {"decoder": BeamSearch()})
    )
    assert searched["text"] == greedy["text"]
    places = [
        [(each["char"], each["start"], each["end"]) for each in line["characters"]] for line in (greedy, searched)
    ]
    assert places[0] == places[1]
