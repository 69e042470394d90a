"""The card of a saved folder: what it says, what it carries on, and what it leaves out."""

import json
import re
from dataclasses import replace

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from htr_convtext.decoding import LanguageModels
from htr_convtext.errors import InputError
from htr_convtext.loading import BUNDLED_MODEL, load_model
from htr_convtext.model_card import ModelFacts, Rates, SetResult, read_reports
from htr_convtext.recognizer import Recognizer, load_recognizer
from processing import model_card
from processing.model_card import has_weights_of
from processing.model_card_text import card_text
from tests.helpers import CHARSET, build_model, draw_line, load_pipeline


RESULT = SetResult(
    "letters", "test", cer=0.08242, wer=0.3209, cer_interval=(0.0689, 0.0964), wer_interval=(0.28, 0.362), lines=472,
    groups="writers", decoder="greedy",
)  # fmt: skip
FACTS = ModelFacts(
    name="letters of 1905", language=("fr", "de"), license="cc-by-4.0", datasets=("someone/letters",),
    training_sets=("own pages",), base_model=("someone/before",), results=(RESULT,),
    commands=("htr evaluate --data x",),
)  # fmt: skip


def read_card(folder) -> ModelCard:
    return ModelCard.load(folder / "README.md")  # raises for metadata that are none


def written(folder, model, processor, facts=None) -> ModelCard:
    processor.write_model_card(folder, model, facts)
    return read_card(folder)


def saved(folder, model, processor, facts=None):
    """A saved model with its card, loaded again."""
    Recognizer(model, processor, "cpu").save_pretrained(folder, facts)
    return load_model(folder)


def section(card: ModelCard, title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", card.text, re.MULTILINE | re.DOTALL)[1].strip()


# --- what is said ---


def test_the_metadata_are_those_of_the_hub(tmp_path, model, processor):
    data = written(tmp_path, model, processor, FACTS).data
    assert (data.language, data.license, data.library_name) == (["fr", "de"], "cc-by-4.0", "transformers")
    assert (data.datasets, data.base_model) == (["someone/letters"], ["someone/before"])
    assert (data.pipeline_tag, data.metrics) == ("image-to-text", ["cer", "wer"])
    assert {"htr", "handwriting", "ctc"} <= set(data.tags)
    assert data.model_name == "letters of 1905"
    cer, wer = data.eval_results
    assert (cer.metric_type, cer.metric_value, cer.metric_args) == ("cer", 8.24, {"interval_95": [6.89, 9.64]})
    assert (wer.metric_type, wer.metric_value, wer.metric_args) == ("wer", 32.09, {"interval_95": [28.0, 36.2]})
    assert (cer.dataset_name, cer.dataset_split, cer.task_type) == ("letters", "test", "image-to-text")
    assert cer.dataset_args == {"lines": 472, "resampled": "writers", "decoder": "greedy"}


def test_the_metadata_hold_all_facts(tmp_path, model, processor):
    data = written(tmp_path, model, processor, FACTS).data
    again = ModelFacts.of_card(data)
    assert again.results[0].cer == pytest.approx(RESULT.cer, abs=5e-5)
    assert again.results[0].wer_interval == pytest.approx(RESULT.wer_interval, abs=5e-5)
    description = processor._describe(model)
    assert card_text(again, description) == card_text(FACTS, description)


def test_the_text_says_what_is_known(tmp_path, model, processor):
    processor.tokenizer.init_kwargs["text_policy"] = {
        "unicode_form": "NFC", "whitespace": "fold", "long_s": "s", "abbreviations": {"ꝑ": "per", "\u0303": ""},
    }  # fmt: skip
    card = written(tmp_path, model, processor, FACTS)
    assert card.text.lstrip().startswith("# letters of 1905\n")
    assert "Languages: fr, de." in card.text
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters" in card.text
    text = section(card, "Text and images")
    assert "32 pixels high" in text
    assert f"{len(CHARSET)} characters" in text
    assert "abcdefghijklmnopqrstuvwxyz'" in text
    assert "ſ is written s" in text
    assert "`ꝑ` → `per`, U+0303 → nothing" in text
    row = "| letters | test | 472 | 8.24 | 6.89–9.64 | 32.09 | 28.00–36.20 | writers | greedy |"
    assert row in section(card, "Results")
    assert "htr evaluate --data x" in section(card, "Results")
    assert section(card, "Training data").splitlines()[1] == "- own pages"
    assert section(card, "Licence") == "`cc-by-4.0`"


def test_greedy_figures_stand_beside_those_with_language_models(tmp_path, model, processor):
    with_model = replace(
        RESULT, decoder="lm", cer=0.06, cer_interval=(0.05, 0.07), greedy=Rates(0.0824, 0.35, (0.07, 0.09), None)
    )
    facts = replace(
        FACTS, results=(with_model, replace(RESULT, name="diary"), replace(RESULT, split="train", wer=None))
    )
    card = written(tmp_path, model, processor, facts)
    results = section(card, "Results")
    assert "| greedy CER % | 95 % interval | greedy WER % | 95 % interval | CER % |" in results
    lm = "| 8.24 | 7.00–9.00 | 35.00 | – | 6.00 | 5.00–7.00 | 32.09 | 28.00–36.20 | writers | lm |"
    assert f"| letters | test | 472 {lm}" in results
    greedy = "8.24 | 6.89–9.64 | 32.09 | 28.00–36.20 | "
    assert f"| diary | test | 472 | {2 * greedy}writers | greedy |" in results
    assert "as their training transcriptions are; on other collections expect less" in results
    assert "lm" not in section(written(tmp_path / "greedy", model, processor, FACTS), "Results")
    again = ModelFacts.of_card(card.data).results
    assert (again[0].cer, again[0].decoder) == (0.06, "lm")
    assert again[0].greedy == Rates(0.0824, 0.35, (0.07, 0.09), None)
    assert (again[1].cer, again[1].greedy, again[2].wer) == (0.0824, None, None)
    assert "greedy decoding: CER 8.24 %" in replace(with_model, dataset="someone/letters").to_hub_entry().notes


def test_language_models_are_named_in_the_card_that_has_them(tmp_path, model, processor):
    (tmp_path / "fr.txt").write_text("of no use")
    processor.language_models = LanguageModels({"fr": tmp_path / "fr.txt", "de": tmp_path / "fr.txt"})
    Recognizer(model, processor, "cpu", "greedy").save_pretrained(tmp_path / "model", FACTS)
    card = read_card(tmp_path / "model")
    assert "reads with: `de`, `fr` (in `language_models/`" in card.text
    assert card.data["htr"]["language_models"] == ["de", "fr"]
    # the text was written here, so it follows the processor
    processor.language_models = None
    processor.save_pretrained(tmp_path / "model")
    card = written(tmp_path / "model", model, processor)
    assert "language_models" not in card.text
    assert "language_models" not in card.data["htr"]
    assert "| letters | test | 472 |" in section(card, "Results")


def test_what_is_not_known_is_not_said(tmp_path, model, processor):
    card = written(tmp_path / "mine" / "best", model, processor)
    data = card.data.to_dict()
    assert not {"language", "license", "datasets", "base_model", "model-index", "metrics", "htr"} & set(data)
    assert data["model_name"] == "mine"
    for title in ("Licence", "Training data"):
        assert section(card, title).startswith("Not known")
    assert "not measured" in section(card, "Results").lower()
    assert "No text policy" in section(card, "Text and images")
    assert not (tmp_path / "mine" / "best" / ".eval_results").exists()


def test_parts_for_training_are_not_counted(processor):
    with_module, without = build_model(use_tcm=True), build_model()
    assert with_module.num_parameters() > without.num_parameters()
    assert processor._describe(with_module).parameters == without.num_parameters()


def test_the_code_of_the_card_runs(tmp_path, model_folder):
    load_pipeline(model_folder).save_pretrained(tmp_path)
    draw_line("some text").save(tmp_path / "line.png")
    blocks = re.findall(r"~~~~python\n(.*?)~~~~", read_card(tmp_path).text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        code = block.replace("path/to/this/folder", str(tmp_path)).replace("line.png", str(tmp_path / "line.png"))
        printed = []
        exec(code, {"print": printed.append})
        assert printed == [load_pipeline(model_folder)(str(tmp_path / "line.png"))["text"]]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"language": ("French",)}, "French"),
        ({"license": "Apache 2.0"}, "Apache 2.0"),
        ({"datasets": ("letters",)}, "letters"),
        ({"base_model": ("a/b/c",)}, "a/b/c"),
        ({"repository": "mine"}, "mine"),
    ],
)
def test_wrong_facts_are_named(wrong, named):
    with pytest.raises(InputError, match=named):
        ModelFacts(**wrong)


# --- what goes on ---


def test_the_card_of_the_same_weights_goes_on(tmp_path, model, processor):
    loaded = saved(tmp_path / "one", model, processor, FACTS)
    loaded = saved(tmp_path / "two", *loaded)
    assert (tmp_path / "two" / "README.md").read_text() == (tmp_path / "one" / "README.md").read_text()
    other = SetResult("letters", "validation", cer=0.5)
    saved(tmp_path / "three", *loaded, ModelFacts(results=(other,), license="apache-2.0"))
    card = read_card(tmp_path / "three")
    assert (card.data.license, card.data.language) == ("apache-2.0", ["fr", "de"])
    rates = {each.dataset_split: each.metric_value for each in card.data.eval_results if each.metric_type == "cer"}
    assert rates == {"test": 8.24, "validation": 50.0}
    assert "| letters | validation | – | 50.00 | – | – | – | – | – |" in section(card, "Results")
    assert "| letters | test | 472 |" in section(card, "Results")
    assert section(card, "Licence") == "`apache-2.0`"


def test_a_text_that_somebody_wrote_stays(tmp_path, model, processor):
    loaded = saved(tmp_path / "one", model, processor, FACTS)
    file = tmp_path / "one" / "README.md"
    file.write_text(file.read_text() + "\nRead the *long* lines twice.\n")
    saved(tmp_path / "two", *loaded)
    assert (tmp_path / "two" / "README.md").read_text() == file.read_text()
    new = SetResult("diaries", "test", cer=0.25)
    saved(tmp_path / "three", *loaded, ModelFacts(results=(new,)))
    card = read_card(tmp_path / "three")
    assert "Read the *long* lines twice." not in section(card, "Results")
    assert "Read the *long* lines twice." in card.text
    assert card.text.count("## Results") == 1
    assert "diaries | test" in section(card, "Results")


def test_a_folder_keeps_the_text_that_was_written_there(tmp_path, model, processor):
    loaded = saved(tmp_path / "source", model, processor, FACTS)
    saved(tmp_path / "shared", *loaded)
    file = tmp_path / "shared" / "README.md"
    file.write_text(file.read_text() + "\nWritten for those with whom it is shared.\n")
    saved(tmp_path / "shared", *loaded, ModelFacts(repository="me/letters"))
    assert "Written for those with whom it is shared." in file.read_text()
    assert read_card(tmp_path / "shared").data.htr["repository"] == "me/letters"
    other = build_model()
    other.ctc_head.weight.data.add_(1)
    saved(tmp_path / "shared", other, processor)
    assert "Written for those" not in file.read_text()


def test_other_weights_have_no_results_of_those_that_they_were_made_from(tmp_path, model, processor):
    on_hub = ModelFacts(results=(SetResult("letters", "test", cer=0.1, dataset="someone/letters"),)).updated(FACTS)
    hub_result = SetResult("diaries", "test", cer=0.1, dataset="someone/diaries")
    loaded, processor = saved(tmp_path / "one", model, processor, on_hub.updated(ModelFacts(results=(hub_result,))))
    assert (tmp_path / "one" / ".eval_results").is_dir()
    with torch.no_grad():
        loaded.ctc_head.bias.add_(1e-3)
    saved(tmp_path / "one", loaded, processor)  # over what it was loaded from
    card = read_card(tmp_path / "one")
    assert card.data.eval_results is None
    assert not (tmp_path / "one" / ".eval_results").exists()
    assert "8.24" not in card.text
    assert "Made from the weights of `letters of 1905`. What its card says was measured with other weights" in card.text
    assert (card.data.license, card.data.language, card.data.datasets) == (
        "cc-by-4.0", ["fr", "de"], ["someone/letters"],
    )  # fmt: skip
    assert "own pages" in section(card, "Training data")


def test_a_model_of_the_hub_is_carried_on_and_named_as_base(tmp_path, model, processor, monkeypatch):
    loaded, processor = saved(tmp_path / "cached", model, processor, FACTS)

    def cached_file(name, file, revision):
        path = tmp_path / "cached" / file
        if name != "someone/first" or not path.is_file():
            raise OSError
        return str(path)

    monkeypatch.setattr(model_card, "cached_file", cached_file)
    loaded.name_or_path = "someone/first"
    same = written(tmp_path / "same", loaded, processor)
    assert same.text.strip() == read_card(tmp_path / "cached").text.strip()
    assert same.data.base_model == ["someone/before"]
    with torch.no_grad():
        loaded.ctc_head.bias.add_(1e-3)
    trained = written(tmp_path / "trained", loaded, processor)
    assert trained.data.base_model == ["someone/first"]
    assert trained.data.eval_results is None
    gone = written(tmp_path / "gone", loaded, processor, ModelFacts(sources=("runs/gone",)))
    assert gone.data.base_model is None


def test_weights_are_compared_in_the_coarser_precision(tmp_path, model_folder):
    model, _ = load_model(model_folder)
    assert has_weights_of(model, model_folder)
    assert has_weights_of(model.half(), model_folder)
    model = model.float()
    assert not has_weights_of(model, model_folder)  # 32 bits that 16 bits have been through
    assert not has_weights_of(model, tmp_path)
    assert not has_weights_of(model, "someone/never_downloaded")


def test_a_card_that_cannot_be_read_does_not_stop_saving(tmp_path, model, processor):
    loaded = saved(tmp_path / "one", model, processor, FACTS)
    (tmp_path / "one" / "README.md").write_text("---\n- a list\nlicense: [\n---\n# Mine\n")
    saved(tmp_path / "two", *loaded)
    assert read_card(tmp_path / "two").data.model_name == "two"


# --- the Hub's evaluation results ---


def test_results_on_sets_of_the_hub_are_written_for_their_leaderboards(tmp_path, model, processor):
    results = [
        SetResult("letters", "test", cer=0.0824, wer=0.32, cer_interval=(0.07, 0.1), dataset="someone/letters"),
        SetResult("letters", "validation", cer=0.5, dataset="someone/letters"),
        SetResult("own", "test", cer=0.4),
    ]
    card = written(tmp_path, model, processor, ModelFacts(results=tuple(results)))
    (file,) = (tmp_path / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("someone/letters", "default", 8.24)
    assert "95 % interval 7.00 to 10.00" in entry.notes
    assert card.data.eval_results[0].dataset_type == "someone/letters"
    assert "[letters](https://huggingface.co/datasets/someone/letters) | test" in card.text


# --- reports of `htr evaluate` ---


def write_report(folder, **changes) -> None:
    rates = {"cer": 0.0824, "wer_space": 0.3209}
    numbers = {
        **rates, "lines": 472, "resampled": {"unit": "pages"},
        "intervals": {name: [0.9 * rate, 1.1 * rate] for name, rate in rates.items()},
    }  # fmt: skip
    report = {"model": "x", "split": "test", "policy": {"long_s": "s"}, "sets": {"a": numbers, "b": numbers}, **changes}
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report))


def test_facts_of_reports(tmp_path):
    write_report(tmp_path / "one")
    write_report(tmp_path / "two", model="runs/x, beam", split="validation")
    facts = read_reports([tmp_path / "one", tmp_path / "two" / "report.json"], {"b": "someone/b"})
    first, second = facts.results[0], facts.results[3]
    assert (first.key, first.cer, first.wer, first.lines) == (("a", "test"), 0.0824, 0.3209, 472)
    assert first.cer_interval == pytest.approx((0.07416, 0.09064))
    assert (first.groups, first.decoder, first.dataset) == ("pages", "greedy", None)
    assert (second.key, second.decoder, second.dataset) == (("b", "validation"), "beam", "someone/b")
    assert facts.commands[0].endswith("--data a b --split test --decoder greedy")
    assert facts.commands[1].endswith("--data a b --split validation --decoder beam")


def test_facts_of_a_report_with_greedy_figures(tmp_path):
    write_report(tmp_path / "one", model="runs/x, lm: fr")
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    rates = {"cer": 0.1, "wer_space": 0.4, "intervals": {"cer": [0.09, 0.11], "wer_space": [0.3, 0.5]}}
    report["sets"]["a"]["greedy"] = rates
    (tmp_path / "one" / "report.json").write_text(json.dumps(report))
    first, second = read_reports([tmp_path / "one"]).results
    assert first.greedy == Rates(0.1, 0.4, (0.09, 0.11), (0.3, 0.5))
    assert (first.cer, first.decoder, second.greedy) == (0.0824, "lm: fr", None)


def test_reports_that_cannot_be_used_are_named(tmp_path, tokenizer):
    write_report(tmp_path / "one")
    with pytest.raises(InputError, match=r"nowhere.report\.json|nowhere: No such file"):
        read_reports([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="a, test, was measured in another report"):
        read_reports([tmp_path / "one", tmp_path / "one" / "report.json"])
    with pytest.raises(InputError, match="No report has a set c"):
        read_reports([tmp_path / "one"], {"c": "someone/c"})
    tokenizer.init_kwargs["text_policy"] = {"long_s": "keep"}
    with pytest.raises(InputError, match="another text policy"):
        read_reports([tmp_path / "one"], tokenizer=tokenizer)
    (tmp_path / "one" / "report.json").write_text("{}")
    with pytest.raises(InputError, match=r"not a report\.json"):
        read_reports([tmp_path / "one"])


# --- the card of the bundled model ---


def test_the_bundled_card_holds_valid_metadata():
    data = read_card(BUNDLED_MODEL).data
    facts = ModelFacts.of_card(data)  # leaves out what is not as the Hub has it
    assert list(facts.language) == data.language
    assert facts.license == data.license == "apache-2.0"
    assert len(facts.results) == 11
    assert sum(len(each.to_eval_results()) for each in facts.results) == len(data.eval_results)
    assert data.pipeline_tag == "image-to-text"


def test_the_bundled_card_goes_on_with_its_picture(tmp_path):
    load_recognizer(device="cpu").save_pretrained(tmp_path)
    before, after = read_card(BUNDLED_MODEL), read_card(tmp_path)
    assert after.data.to_dict() == before.data.to_dict()
    assert (tmp_path / "lines.jpg").read_bytes() == (BUNDLED_MODEL / "lines.jpg").read_bytes()
    targets = re.findall(r"\]\(([^)#\s]+)\)", after.text)
    assert "lines.jpg" in targets
    kept = [target for target in targets if "://" not in target]
    assert kept == ["lines.jpg", "language_models/README.md"]
    assert "Licences" in (tmp_path / kept[1]).read_text(encoding="utf-8")
    assert "docs/experiments.md has every run" in after.text
    assert re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", before.text).strip() == after.text.strip()
