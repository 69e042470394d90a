"""Language models: learned, mixed, pruned, written for KenLM, and decoded with."""

import math
from itertools import groupby, product

import numpy as np
import pytest

from htr_convtext import InputError
from htr_convtext.decoding import BeamSearch, LanguageModels, SearchSettings
from htr_convtext.language_model import (
    Vocabulary,
    best_weights,
    build_language_model,
    mix,
    prune,
    read_model,
    train_ngrams,
    write_model,
)
from htr_convtext.language_model.kenlm_trie import file_size
from processing import HTRConvTextTokenizer
from processing.beam_search import CharacterLanguageModel
from processing.decoding_files import save_decoding
from tests.helpers import call_script


TEXT = ["the cat sat on the mat", "the dog ate the cat", "a cat and a dog", "on the mat sat a rat", "the end"] * 3
OTHER = ["le chat est là", "la rate et le rat", "à la fin", "le chien et la chatte"] * 2


def model_of(lines, characters="", order=6):
    return train_ngrams(lines, Vocabulary(set("".join(lines)) | set(characters)), order)


def half_of(model, share=0.5):
    """Bytes of a file without so many of the n-grams."""
    smallest = file_size(model.vocabulary, [model.counts[0]] + [0] * (model.order - 1))
    return smallest + int(share * (file_size(model.vocabulary, model.counts) - smallest))


def sums(model, context):
    """The probabilities of all characters and the end after a context."""
    characters = sorted(model.vocabulary.characters)
    found = [model.probabilities([context + character])[len(context)] for character in characters]
    return sum(found) + model.probabilities([context])[-1]


@pytest.mark.parametrize("context", ["", "t", "the ca", "xyz", "on the mat s"])
def test_probabilities_add_up(context):
    unknown = model_of(TEXT, "xyz").levels[0].probability[0]
    whole = model_of(TEXT, "xyz")
    mixed = mix([whole, model_of(TEXT[:2], whole.vocabulary.characters)], [0.7, 0.3])
    for model in (whole, prune(whole, half_of(whole)), mixed):
        # What is left is the share of the unknown.
        assert sums(model, context) == pytest.approx(1, abs=3 * unknown)
        assert sums(model, context) < 1 + 1e-9


def test_modified_kneser_ney_by_hand():
    """Bigrams of ab, ab, ac: counts too few for discounts of their own, so 0.5, 1 and 1.5."""
    model = model_of(["ab", "ab", "ac"], order=2)
    # Left neighbours: a 1, b 1, c 1, end 2, of 5; discounts 0.5, 0.5, 0.5 and 1 are shared by a, b, c, end, unknown.
    shared = 2.5 / 5 / 5
    b = (1 - 0.5) / 5 + shared
    # After a: b twice, c once.
    left = (1 + 0.5) / 3
    assert model.probabilities(["ab"])[1] == pytest.approx((2 - 1) / 3 + left * b)
    assert model.probabilities(["aa"])[1] == pytest.approx(left * ((1 - 0.5) / 5 + shared))


def test_a_longer_context_helps_on_text_like_its_own():
    unseen = ["the cat sat on a mat", "the dog and the rat"]
    assert model_of(TEXT, order=4).perplexity(unseen) < 0.7 * model_of(TEXT, order=1).perplexity(unseen)


def test_em_finds_the_weights_of_a_mixture():
    characters = "".join(TEXT + OTHER)
    models = [model_of(TEXT, characters), model_of(OTHER, characters)]
    assert best_weights(models, [["the cat sat on a mat"]])[0] > 0.9
    assert best_weights(models, [["la fin et le chat"]])[1] > 0.9
    weights = best_weights(models, [["the cat sat on a mat"], ["la fin et le chat"]])
    mixed = mix(models, weights)
    both = ["the cat sat on a mat", "la fin et le chat"]
    assert mixed.perplexity(both) < min(model.perplexity(both) for model in models)
    own = [model.probabilities(both) for model in models]
    expected = weights[0] * own[0] + weights[1] * own[1]
    assert np.abs(np.log(mixed.probabilities(both) / expected)).mean() < 0.1


def test_pruning_keeps_what_counts(tmp_path):
    model = model_of(TEXT)
    small = prune(model, half_of(model))
    write_model(small, tmp_path / "small.klm")
    assert (tmp_path / "small.klm").stat().st_size <= half_of(model)
    assert sum(small.counts) < sum(model.counts)
    assert model.perplexity(TEXT) < small.perplexity(TEXT) < 2 * model.perplexity(TEXT)
    bare = prune(model, half_of(model, 0))
    assert bare.counts[1:] == [0] * 5
    assert small.perplexity(TEXT) < bare.perplexity(TEXT)
    with pytest.raises(InputError, match="has at least"):
        prune(model, half_of(model, 0) - 1)


@pytest.mark.parametrize("order", [2, 3, 6])
def test_kenlm_reads_what_is_written(tmp_path, order):
    """The same probabilities from KenLM, from our reader, and, but for the quantisation, from the model itself."""
    lines = [line + " ❦é" for line in TEXT]
    model = model_of(lines, order=order)
    write_model(model, tmp_path / "lm.klm")
    assert (tmp_path / "lm.klm").stat().st_size == file_size(model.vocabulary, model.counts)
    again = read_model(tmp_path / "lm.klm")
    assert again.counts == model.counts
    characters = sorted(model.vocabulary.characters)
    kenlm = CharacterLanguageModel(tmp_path / "lm.klm", characters)
    for line in ["the cat", "ttt❦", "", "dog dog", "a rat sat on é"]:
        ids = [characters.index(character) + 1 for character in line]
        found = kenlm.log_probability(ids)
        assert found == pytest.approx(np.log(again.probabilities([line])).sum(), rel=1e-4)
        assert found == pytest.approx(np.log(model.probabilities([line])).sum(), rel=0.02)
    unknown = CharacterLanguageModel(tmp_path / "lm.klm", ["Q"]).log_probability([1])
    assert unknown == pytest.approx(np.log(again.probabilities(["Q"])).sum(), rel=1e-4)
    assert np.isfinite(unknown)


def test_damaged_files_are_refused(tmp_path):
    write_model(model_of(TEXT), tmp_path / "lm.klm")
    content = (tmp_path / "lm.klm").read_bytes()
    (tmp_path / "other.klm").write_bytes(b"something else")
    (tmp_path / "short.klm").write_bytes(content[:-40])
    for name in ("other", "short"):
        with pytest.raises(InputError, match=rf"{name}.klm: no language model of `htr lm`, or damaged"):
            read_model(tmp_path / f"{name}.klm")
    with pytest.raises(InputError, match=r"other.klm: the language model cannot be read"):
        CharacterLanguageModel(tmp_path / "other.klm", "ab")


def test_more_characters_leave_the_others_as_they_were(tmp_path):
    model = model_of(TEXT)
    grown = model.with_vocabulary(Vocabulary(model.vocabulary.characters | set("éñ")), 6)
    before, after = (each.probabilities(["the cat sat"]) for each in (model, grown))
    assert after == pytest.approx(before, rel=0.02)
    assert grown.probabilities(["é"])[0] > 0
    write_model(grown, tmp_path / "lm.klm")
    assert read_model(tmp_path / "lm.klm").counts == grown.counts


def test_search_with_a_language_model_finds_the_best_texts(tmp_path):
    """Against the score of every text over all its paths."""
    write_model(model_of(["ab", "aab", "b a", "ab a"], "ab ", order=3), tmp_path / "lm.klm")
    characters, weight, space, blank = "ab ", 0.8, -0.4, -0.7
    model = CharacterLanguageModel(tmp_path / "lm.klm", characters)
    search = BeamSearch(500, None, 700.0, model, weight, space, blank)
    generator = np.random.default_rng(1)
    paths = list(product(range(4), repeat=5))
    texts = [tuple(index for index, _ in groupby(path) if index) for path in paths]
    differs = 0
    for _ in range(20):
        probabilities = generator.dirichlet(np.full(4, 0.5), 5)
        frames = probabilities * np.exp([blank, 0, 0, space])
        sums: dict[tuple, float] = {}
        for path, text in zip(paths, texts, strict=True):
            sums[text] = sums.get(text, 0.0) + np.prod(frames[range(5), path])
        scores = {text: math.log(total) + weight * model.log_probability(text) for text, total in sums.items()}
        found = search(probabilities)
        assert found[0].ids == max(scores, key=scores.get)
        assert found[0].log_probability == pytest.approx(scores[found[0].ids], rel=1e-4)
        expected = model.log_probability(found[0].ids)
        assert found[0].language_model_log_probability == pytest.approx(expected, rel=1e-4)
        differs += found[0].ids != BeamSearch(500, None, 700.0)(probabilities)[0].ids
    assert differs > 3


def frames_of(text, characters, doubt):
    """Probabilities of a line that shows a text, one frame a character and a blank; `doubt`: a second reading."""
    frames = []
    for character, other in zip(text, doubt, strict=True):
        row = np.full(len(characters) + 1, 1e-4)
        row[characters.index(character) + 1] += 0.5
        row[characters.index(other) + 1] += 0.4
        blank = np.full(len(characters) + 1, 1e-4)
        blank[0] = 1
        frames += [row / row.sum(), blank / blank.sum()]
    return np.array(frames)


def test_lines_of_a_page_share_the_language(tmp_path):
    characters = "".join(sorted(set("".join(TEXT + OTHER))))
    for name, lines in (("en", TEXT), ("fr", OTHER)):
        write_model(model_of(lines, characters), tmp_path / f"{name}.klm")
    models = LanguageModels({name: tmp_path / f"{name}.klm" for name in ("en", "fr")}, SearchSettings())
    decoder = models.decoder(characters)
    english, french = (frames_of(text, characters, text) for text in ("the cat sat on the mat", "le chat est là"))
    short = frames_of("rat", characters, "rat")
    assert decoder.choose([english, french]) == (["en", "fr"], True)
    assert decoder.choose([english, english, short])[0][2] == "en"
    assert decoder.choose([french, french, short])[0][2] == "fr"
    assert models.decoder(characters, "fr").choose([english]) == (["fr"], True)
    with pytest.raises(InputError, match="no language model 'de'; there are en, fr"):
        models.decoder(characters, "de")
    doubtful = frames_of("tha cet", characters, "the cat")
    (best, *_) = decoder(doubtful)
    assert "".join(characters[index - 1] for index in best.ids) == "the cat"


def test_a_page_of_another_language_is_read_with_less_of_the_language_models(tmp_path):
    characters = "".join(sorted(set("".join(TEXT)) | set("zqxvkj")))
    write_model(model_of(TEXT, characters), tmp_path / "en.klm")
    models = LanguageModels({"en": tmp_path / "en.klm"}, SearchSettings(weight=2.0))
    foreign = frames_of("zqxvkj qzkx vqjzk xkqzv", characters, "zqxvkj qzkx vqjzk xkqzv")
    doubtful = frames_of("tha cet", characters, "the cat")
    decoder = models.decoder(characters)

    def reading(decoder, page):
        return "".join(characters[index - 1] for index in decoder.decode_page(page)[0][0].ids)

    assert decoder.choose([doubtful])[1]
    assert reading(decoder, [doubtful]) == "the cat"
    assert not decoder.choose([doubtful, foreign, foreign])[1]
    found = decoder.decode_page([doubtful, foreign, foreign])[0][0]
    less = SearchSettings(weight=2 / 3, space=-0.5 / 3, blank=-0.5)
    alone = LanguageModels(models.files, less).decoder(characters, "en")(doubtful)[0]
    assert found.log_probability == pytest.approx(alone.log_probability, rel=1e-5)
    # a language that is given is not doubted
    assert reading(models.decoder(characters, "en"), [doubtful, foreign, foreign]) == "the cat"


def test_saving_leaves_no_file_of_another_language_model(tmp_path):
    files = {}
    for name in ("en", "fr"):
        files[name] = tmp_path / f"{name}.txt"
        files[name].write_text(name)
    folder = tmp_path / "model"
    save_decoding(folder, LanguageModels(files), {})
    (folder / "language_models" / "README.md").write_text("What they are of")

    def left():
        return sorted(path.name for path in (folder / "language_models").iterdir())

    # what is saved comes from the folder itself
    save_decoding(folder, LanguageModels({"en": folder / "language_models" / "en.klm"}), {})
    assert left() == ["README.md", "en.klm"]
    renamed = LanguageModels({"english": folder / "language_models" / "en.klm"})
    save_decoding(folder, renamed, {})
    assert left() == ["README.md", "en.klm", "english.klm"]  # `renamed` still reads the first
    save_decoding(folder, None, {})
    assert left() == ["README.md"]
    save_decoding(tmp_path / "none", None, {})
    assert not (tmp_path / "none").exists()


def test_building_from_texts(tmp_path):
    tokenizer = HTRConvTextTokenizer.from_charset("".join(sorted(set("".join(TEXT)))))
    (tmp_path / "books.txt").write_text("\n".join(TEXT) + "\nThe éñ\n" + " ".join(TEXT) + "\n", encoding="utf-8")
    built = build_language_model([tmp_path / "books.txt"], tokenizer)
    assert "é" not in built.model.vocabulary.characters
    (part,) = built.parts
    assert part.weight == 1.0
    assert 18 < part.lines < 25  # 16 short ones, and a long one in pieces, without those held out
    (tmp_path / "latin.txt").write_bytes("Où".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.txt: not UTF-8"):
        build_language_model([tmp_path / "latin.txt"], tokenizer)
    (tmp_path / "empty.txt").write_text("ÉÉ\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty.txt: it has no text"):
        build_language_model([tmp_path / "empty.txt"], tokenizer)


def test_the_program_mixes_with_the_bundled_models_and_reads(tmp_path):
    (tmp_path / "archive.txt").write_text("\n".join(f"Xavier Quux le {day} zbre" for day in range(1, 60)), "utf-8")
    target = tmp_path / "archive.klm"
    done = call_script("build_language_model.py", tmp_path / "archive.txt", "--max-size", "2", "--output", target)
    assert "language model fr" in done.stdout
    assert target.stat().st_size <= 2_000_000
    image = "examples/fr_1.jpg"
    done = call_script("recognize.py", image, "--lm", target, "--device", "cpu", "--format", "jsonl")
    assert "Le march" in done.stdout
    failed = call_script("recognize.py", image, "--lm", target, "--language", "fr", expect=1)
    assert "Give --lm or --language, not both" in failed.stderr
    failed = call_script("recognize.py", image, "--lm", target, "--decoder", "greedy", expect=1)
    assert f"{target}: only the decoder lm reads with a language model; leave one of them out" in failed.stderr
