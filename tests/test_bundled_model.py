"""The model that comes with the package."""

import json

import pytest
from safetensors import safe_open

from htr_convtext.data import TextPolicy
from htr_convtext.evaluation import error_rates
from htr_convtext.loading import BUNDLED_MODEL
from htr_convtext.training import parse_arguments
from processing import HTRConvTextTokenizer
from tests.helpers import ROOT, call_script, load_pipeline


@pytest.fixture(scope="module")
def examples() -> list[dict]:
    lines = (ROOT / "examples" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_it_is_small_and_without_the_context_module():
    (weights,) = BUNDLED_MODEL.glob("*.safetensors")
    assert weights.stat().st_size < 10e6
    with safe_open(weights, framework="pt") as tensors:
        names = list(tensors.keys())
        assert tensors.get_tensor("ctc_head.weight").element_size() == 2
    assert not [name for name in names if name.startswith("tcm_head")]


def test_it_reads_rendered_lines(examples):
    """In five languages; an untrained network is at a CER of 1 and above."""
    pipeline = load_pipeline()
    read = pipeline([str(ROOT / "examples" / line["file_name"]) for line in examples], batch_size=4)
    rates = error_rates([line["text"] for line in examples], [line["text"] for line in read])
    assert rates.cer < 0.1, [line["text"] for line in read]


def test_its_charset_and_text_policy_are_those_of_its_recipe(monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments, _ = parse_arguments(["scripts/configs/tiny.yaml"])
    tokenizer = HTRConvTextTokenizer.from_pretrained(BUNDLED_MODEL)
    assert TextPolicy.of(tokenizer) == TextPolicy.from_file(arguments.text_policy)
    assert tokenizer.charset == HTRConvTextTokenizer.from_charset_file(arguments.charset).charset


def test_recognize_reads_the_examples(examples):
    done = call_script("recognize.py", ROOT / "examples", "--device", "cpu")
    assert len(done.stdout.splitlines()) == len(examples) == 10
