"""Folders to share: what export writes, and how they come to the Hub."""

import json

import httpx
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from safetensors.torch import load_file, save_file

from htr_convtext import hub
from htr_convtext.errors import InputError
from htr_convtext.export import export_model
from htr_convtext.loading import load_model, load_trained
from htr_convtext.recognizer import load_recognizer
from modeling_htr_convtext import HTRConvTextForCTC
from processing import HTRConvTextProcessor, UnknownCharacterError
from tests.helpers import build_model, call_script, draw_line


@pytest.fixture
def trained(tmp_path, processor):
    """A folder as training leaves it: with the Textual Context Module, characters outside the charset dropped."""
    build_model(use_tcm=True, masking="span").save_pretrained(tmp_path / "mine" / "best")
    processor.tokenizer.set_policy("drop")
    processor.save_pretrained(tmp_path / "mine" / "best")
    return tmp_path / "mine" / "best"


def write_average(folder) -> dict[str, torch.Tensor]:
    """Averaged weights beside those of a checkpoint."""
    tensors = {
        name: tensor + 0.5 if tensor.is_floating_point() else tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "ema.safetensors", {"format": "pt", "updates": "1"})
    return tensors


# --- what is written ---


def test_export_has_what_reading_needs_in_half_precision(trained, tmp_path):
    call_script("export.py", "--model", trained, "--output", tmp_path / "out")
    before, after = (load_file(folder / "model.safetensors") for folder in (trained, tmp_path / "out"))
    assert set(before) - set(after) == {name for name in before if name.startswith("tcm_head") or "mask_token" in name}
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name].half() if tensor.is_floating_point() else before[name]), name
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["use_tcm"], config["masking"]) == (False, None)
    assert HTRConvTextForCTC.from_pretrained(tmp_path / "out").dtype == torch.float32
    with pytest.raises(UnknownCharacterError):
        HTRConvTextProcessor.from_pretrained(tmp_path / "out").tokenizer("É")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"README.md", "pipeline_lines.py", "model_card.py", "model_facts.py", "model_card_text.py"} <= names
    assert ModelCard.load(tmp_path / "out" / "README.md").data.model_name == "out"
    line = draw_line("some text")
    (first,), (second,) = (load_recognizer(folder, "cpu").read([line]) for folder in (trained, tmp_path / "out"))
    assert second.text == first.text
    assert second.score == pytest.approx(first.score, abs=0.01)


def test_full_precision_is_exact(trained, tmp_path):
    call_script("export.py", "--model", trained, "--output", tmp_path / "out", "--full-precision")
    before, after = (load_file(folder / "model.safetensors") for folder in (trained, tmp_path / "out"))
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]), name


def test_averaged_weights_of_a_checkpoint_are_taken(trained, tmp_path):
    averaged = write_average(trained)
    export_model(trained, tmp_path / "out", half=False)
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert after
    for name, tensor in after.items():
        assert torch.equal(tensor, averaged[name]), name


def test_damaged_averaged_weights_are_named(trained):
    write_average(trained)
    path = trained / "ema.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"ema\.safetensors is damaged"):
        load_trained(trained)
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="of another model"):
        load_trained(trained)


def test_weights_too_large_for_half_precision_are_named(trained, tmp_path):
    model, _ = load_model(trained)
    with torch.no_grad():
        model.ctc_head.bias[0] = 1e6
    model.save_pretrained(trained)
    with pytest.raises(InputError, match=r"full precision: ctc_head\.bias"):
        export_model(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_model(trained, tmp_path / "out", half=False)


def test_a_model_is_not_written_over_itself(trained):
    before = (trained / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="give another"):
        export_model(trained, trained.parent / "." / "best")
    assert (trained / "model.safetensors").read_bytes() == before


def test_arguments_and_reports_come_into_the_card(trained, tmp_path):
    rates = {"cer": 0.1, "wer_space": 0.25}
    numbers = {
        **rates, "lines": 9, "resampled": {"unit": "lines"}, "intervals": {name: [0.0, 1.0] for name in rates},
    }  # fmt: skip
    report = {"model": "x", "split": "test", "policy": {}, "sets": {"letters": numbers}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    words = ["--model", trained, "--output", tmp_path / "out", "--report", tmp_path / "report.json"]
    done = call_script(
        "export.py", *words, "--language", "fr", "de", "--license", "cc-by-4.0", "--dataset", "someone/letters",
        "--base-model", "someone/before",
    )  # fmt: skip
    assert ".eval_results/ is not written" in done.stderr
    data = ModelCard.load(tmp_path / "out" / "README.md").data
    assert (data.language, data.license, data.datasets) == (["fr", "de"], "cc-by-4.0", ["someone/letters"])
    assert data.base_model == ["someone/before"]
    assert [each.metric_value for each in data.eval_results] == [10.0, 25.0]
    done = call_script("export.py", *words, "--hub-set", "letters=someone/letters")
    assert ".eval_results/ is not written" not in done.stderr
    assert (tmp_path / "out" / ".eval_results" / "someone--letters.yaml").is_file()
    done = call_script("export.py", *words, "--license", "CC BY", expect=1)
    assert "export.py: 'CC BY'" in done.stderr


# --- to the Hub ---


class FakeHub:
    """Stands for `HfApi`, and remembers what it was asked for."""

    error: Exception | None = None

    def __init__(self):
        self.calls: list[tuple] = []

    def create_repo(self, repo_id, **options):
        if self.error:
            raise self.error
        self.calls.append(("create", repo_id, options))
        return f"https://hub.example/{repo_id}"

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.calls.append(("upload", repo_id, str(folder_path)))


@pytest.fixture
def fake_hub(monkeypatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(hub, "HfApi", lambda: fake)
    return fake


def refused(status: int) -> HfHubHTTPError:
    # The client of huggingface_hub is httpx or its successor, with the same answers.
    return HfHubHTTPError("refused", response=httpx.Response(status, request=httpx.Request("POST", "https://x")))


def test_push_makes_the_model_and_uploads_the_folder(trained, tmp_path, fake_hub):
    out = tmp_path / "out"
    done = call_script("export.py", "--model", trained, "--output", out, "--push", "me/letters", "--private")
    assert fake_hub.calls == [
        ("create", "me/letters", {"private": True, "exist_ok": True}),
        ("upload", "me/letters", str(out)),
    ]
    assert done.stdout.endswith("https://hub.example/me/letters\n")
    assert 'pipeline("image-to-text", model="me/letters"' in (out / "README.md").read_text()


def test_a_dry_run_lists_and_uploads_nothing(trained, tmp_path, fake_hub):
    out = tmp_path / "out"
    done = call_script(
        "export.py", "--model", trained, "--output", out, "--push", "me/letters", "--dry-run", "--language", "fr"
    )
    assert fake_hub.calls == []
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*") if path.is_file()}
    assert f"{len(files)} files for https://huggingface.co/me/letters" in done.stdout
    for name, size in files.items():
        assert f"{size / 1e6:10.3f} MB  {name}\n" in done.stdout
    assert f"{sum(files.values()) / 1e6:10.3f} MB  in all" in done.stdout
    for line in ("language:", "- fr", "pipeline_tag: image-to-text"):
        assert f"    {line}\n" in done.stdout


def test_what_git_and_the_hub_keep_for_themselves_is_not_uploaded(tmp_path):
    for name in (".git/config", ".cache/huggingface/x", ".eval_results/a.yaml", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    assert hub.files_to_upload(tmp_path) == {".eval_results/a.yaml": 5, "README.md": 5}


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (refused(401), "hf auth login"),
        (refused(403), "settings/tokens"),
        (refused(500), "The Hub refused it"),
        (ConnectionError("no route"), "not in reach: try again with a network"),
    ],
)
def test_why_nothing_was_uploaded_is_said_in_one_line(trained, tmp_path, fake_hub, error, remedy):
    fake_hub.error = error
    words = ["--model", trained, "--output", tmp_path / "out", "--push", "me/letters"]
    done = call_script("export.py", *words, expect=1)
    (line,) = [line for line in done.stderr.splitlines() if "was not uploaded" in line]
    assert line.startswith("export.py: me/letters was not uploaded")
    assert remedy in line
    assert "Traceback" not in done.stderr


def test_without_a_network_nothing_is_uploaded(trained, tmp_path):
    """With the library's own client; the tests set HF_HUB_OFFLINE."""
    words = ["--model", trained, "--output", tmp_path / "out", "--push", "me/letters"]
    done = call_script("export.py", *words, expect=1)
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert "files for https://huggingface.co/me/letters" in done.stdout


@pytest.mark.parametrize(
    "words", [["--dry-run"], ["--private"], ["--hub-set", "a=b/c"], ["--push", "x", "--hub-set", "a"]]
)
def test_options_without_effect_are_refused(words):
    done = call_script("export.py", "--model", "x", "--output", "y", *words, expect=2)
    assert "error: " in done.stderr
