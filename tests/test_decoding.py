"""Beam search and forced alignment against every path."""

from itertools import groupby, product

import numpy as np
import pytest

from htr_convtext import load_pipeline
from htr_convtext.decoding import BeamSearch
from processing.processing_htr_convtext import align
from tests.conftest import ROOT


def random_lines(count: int, frames: int = 6, classes: int = 3):
    """Probabilities, and of each path its text."""
    generator = np.random.default_rng(0)
    paths = list(product(range(classes), repeat=frames))
    texts = [tuple(index for index, _ in groupby(path) if index) for path in paths]
    for _ in range(count):
        probabilities = generator.dirichlet(np.full(classes, 0.5), frames)
        yield probabilities, paths, texts, [np.prod(probabilities[range(frames), path]) for path in paths]


def test_alignment_is_the_most_probable_path_of_a_text():
    generator = np.random.default_rng(1)
    impossible = 0
    for probabilities, _paths, texts, weights in random_lines(60):
        ids = tuple(generator.integers(1, 3, generator.integers(0, 5)))
        best = max((weight for text, weight in zip(texts, weights, strict=True) if text == ids), default=None)
        if best is None:
            impossible += 1
            with pytest.raises(ValueError, match="does not fit"):
                align(probabilities, list(ids))
            continue
        path = align(probabilities, list(ids))
        assert tuple(index for index, _ in groupby(path) if index) == ids
        assert np.prod(probabilities[range(6), path]) == pytest.approx(best)
    assert 0 < impossible < 30


def test_beam_search_finds_the_most_probable_text():
    decoder = BeamSearch(beam_size=100, threshold=0)
    differs = 0
    for probabilities, _paths, texts, weights in random_lines(60):
        sums: dict[tuple, float] = {}
        for text, weight in zip(texts, weights, strict=True):
            sums[text] = sums.get(text, 0) + weight
        found = tuple(decoder(probabilities))
        assert sums[found] == pytest.approx(max(sums.values()), rel=1e-5)
        differs += found != texts[int(np.argmax(weights))]
    assert differs > 3  # greedy decoding would not do


def test_a_pipeline_with_beam_search():
    read = load_pipeline()
    greedy, searched = (
        read(str(ROOT / "examples" / "it_2.jpg"), return_characters=True, **options)
        for options in ({}, {"decoder": BeamSearch()})
    )
    assert searched["text"] == greedy["text"]
    assert searched["characters"] == greedy["characters"]
    assert read(str(ROOT / "examples" / "it_2.jpg"), decoder=lambda probabilities: [5, 6])["text"] != greedy["text"]
