"""One model of the weights of several."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from htr_convtext.averaging import average_models
from htr_convtext.errors import InputError
from htr_convtext.loading import load_model
from htr_convtext.recognizer import load_recognizer
from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from processing.model_facts import ModelFacts, SetResult
from tests.helpers import CHARSET, NANO, call_script, draw_line


def random_model(seed: int, **kwargs) -> HTRConvTextForCTC:
    torch.manual_seed(seed)
    model = HTRConvTextForCTC(HTRConvTextConfig(**{**NANO, **kwargs})).eval()
    for tensor in model.state_dict().values():
        tensor.uniform_(0.5, 1.5) if tensor.is_floating_point() else tensor.fill_(seed)
    return model


@pytest.fixture
def save(tmp_path, processor):
    """Saves a random model under a name, with a processor, and gives its folder."""

    def write(name: str, seed: int, with_processor: HTRConvTextProcessor = processor, facts=None, **kwargs):
        model = random_model(seed, **kwargs)
        with_processor.write_model_card(tmp_path / name, model, facts)
        model.save_pretrained(tmp_path / name)
        with_processor.save_pretrained(tmp_path / name)
        return tmp_path / name

    return write


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_mean_is_exact(save, tmp_path):
    one, two, three = (weights(save(name, seed)) for seed, name in enumerate(("one", "two", "three"), 1))
    folders = [tmp_path / name for name in ("one", "two", "three")]
    average_models(folders, tmp_path / "mean", shares=[2, 1, 5], half=False)
    mean = weights(tmp_path / "mean")
    assert set(mean) == set(one)
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            expected = (2 * one[name].double() + two[name].double() + 5 * three[name].double()) / 8
            assert torch.equal(tensor, expected.float()), name
        else:
            assert torch.equal(tensor, three[name]), name  # the counters of the last


def test_shares_are_equal_unless_they_are_given(save, tmp_path):
    one, two = weights(save("one", 1)), weights(save("two", 2))
    average_models([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")
    for name, tensor in weights(tmp_path / "mean").items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, ((one[name].double() + two[name].double()) / 2).float().half()), name


def test_the_mean_of_one_model_is_that_model(save, tmp_path):
    facts = ModelFacts(results=(SetResult("letters", "test", cer=0.1),), license="cc-by-4.0")
    one = weights(save("one", 1, facts=facts))
    average_models([tmp_path / "one"], tmp_path / "mean", shares=[1], half=False)
    for name, tensor in weights(tmp_path / "mean").items():
        assert torch.equal(tensor, one[name]), name
    assert (tmp_path / "mean" / "README.md").read_text() == (tmp_path / "one" / "README.md").read_text()


def test_averaged_weights_are_taken(save, tmp_path):
    one, two = save("one", 1), save("two", 2, use_tcm=True)
    averaged = {name: tensor * 3 if tensor.is_floating_point() else tensor for name, tensor in weights(two).items()}
    save_file(averaged, two / "ema.safetensors", {"format": "pt"})
    average_models([one, two], tmp_path / "mean", half=False)
    before, mean = weights(one), weights(tmp_path / "mean")
    assert not [name for name in mean if name.startswith("tcm_head")]
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, ((before[name].double() + averaged[name].double()) / 2).float()), name


def test_the_mean_reads_lines_and_has_a_card(save, tmp_path):
    measured = (SetResult("letters", "test", cer=0.1234, dataset="someone/letters"),)
    save("one", 1, facts=ModelFacts(name="first", license="cc-by-4.0", language=("fr",), results=measured))
    save("two", 2, facts=ModelFacts(name="second", license="cc-by-4.0", language=("de",)))
    done = call_script("average.py", tmp_path / "one", tmp_path / "two", "--share", 1, 3, "--output", tmp_path / "mean")
    assert f"0.75 of {tmp_path / 'two'}" in done.stderr
    assert weights(tmp_path / "mean")["ctc_head.weight"].dtype == torch.float16
    (reading,) = load_recognizer(tmp_path / "mean", "cpu").read([draw_line("some text")])
    assert reading.error is None
    assert 0 < reading.score <= 1
    text = (tmp_path / "mean" / "README.md").read_text()
    assert "The mean of the weights of 2 models, with shares of 0.25, 0.75." in text
    assert "Made from the weights of `first`. What its card says was measured with other weights" in text
    assert "Made from the weights of `second`.\n" in text
    assert "license: cc-by-4.0" in text
    assert "Languages: fr, de." in text
    assert "12.34" not in text
    assert not (tmp_path / "mean" / ".eval_results").exists()


def test_a_licence_that_not_all_have_is_not_that_of_the_mean(save, tmp_path):
    save("one", 1, facts=ModelFacts(license="cc-by-4.0"))
    save("two", 2)
    average_models([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")
    assert "license:" not in (tmp_path / "mean" / "README.md").read_text()


# --- what has no mean ---


def other_processor(charset: str = CHARSET, height: int = 32, policy: dict | None = None) -> HTRConvTextProcessor:
    tokenizer = HTRConvTextTokenizer.from_charset(charset)
    if policy:
        tokenizer.init_kwargs["text_policy"] = policy
    return HTRConvTextProcessor(HTRConvTextImageProcessor(size={"height": height, "width": 512}), tokenizer)


@pytest.mark.parametrize(
    ("processor_changes", "model_changes", "difference"),
    [
        ({"charset": CHARSET[::-1]}, {}, "charset"),
        ({"height": 48}, {}, "size of images"),
        ({"policy": {"long_s": "s"}}, {}, "text policy"),
        ({}, {"hidden_act": "gelu"}, "hidden_act"),
        ({}, {"num_hidden_layers": 4}, "num_hidden_layers, shapes of weights"),
    ],
)
def test_models_that_differ_are_refused_by_name(save, tmp_path, processor_changes, model_changes, difference):
    save("one", 1)
    save("two", 2, other_processor(**processor_changes), **model_changes)
    with pytest.raises(InputError) as refused:
        average_models([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")
    assert str(refused.value).endswith(f"one and {tmp_path / 'two'} have no mean: they differ in {difference}.")
    assert not (tmp_path / "mean").exists()


def test_what_matters_to_training_alone_may_differ(save, tmp_path):
    save("one", 1)
    save("two", 2, hidden_dropout=0.3, mask_ratio=0.2, ctc_loss_weight=1.0)
    average_models([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")
    load_model(tmp_path / "mean")


def test_a_model_of_another_type_is_refused(save, tmp_path):
    save("one", 1)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="two: a model of type 'bert'"):
        average_models([tmp_path / "one", tmp_path / "two"], tmp_path / "mean")


@pytest.mark.parametrize("shares", [[1], [1, 0], [1, -1], [1, float("nan")], [1, float("inf")], [1, 1, 1]])
def test_wrong_shares_are_refused(shares, tmp_path):
    with pytest.raises(InputError, match=r"[Ss]hares"):
        average_models(["one", "two"], tmp_path / "mean", shares)


def test_the_mean_is_not_written_over_a_model(save, tmp_path):
    save("one", 1)
    save("two", 2)
    done = call_script("average.py", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "two", expect=1)
    assert "average.py: " in done.stderr
    assert "give another" in done.stderr
    assert weights(tmp_path / "two")["ctc_head.weight"].equal(random_model(2).state_dict()["ctc_head.weight"])
