"""Loading saved models: what is wrong with a folder is said, and nothing else."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from htr_convtext import load_model, load_recognizer
from htr_convtext.errors import InputError


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def cut(name: str):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:100])


def write(name: str, content: object):
    return lambda folder: (folder / name).write_text(json.dumps(content))


def change_config(**values):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return change


def crop_weights(folder):
    weights = load_file(folder / "model.safetensors")
    weights["ctc_head.weight"] = weights["ctc_head.weight"][:5].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


CAUSES = {
    "missing folder": (shutil.rmtree, "there is no such folder"),
    "no config": (remove("config.json"), "this folder holds no model: it has no config.json"),
    "damaged config": (cut("config.json"), "its config.json is damaged"),
    "config of another shape": (write("config.json", [1, 2]), "its config.json is damaged"),
    "other model type": (write("config.json", {"model_type": "bert"}), "a model of type 'bert'; this package reads"),
    "no model type": (write("config.json", {"hidden_size": 1}), "a model of type None; this package reads"),
    "wrong value": (change_config(conv_kernel_size=4), "its config.json has a wrong value"),
    "no weights": (remove("model.safetensors"), "its weights are missing"),
    "damaged weights": (cut("model.safetensors"), "its weights are damaged"),
    "weights of another shape": (crop_weights, "its weights do not fit its config.json"),
    "weights of fewer layers": (change_config(num_hidden_layers=4), "its weights do not fit its config.json"),
    "weights of more layers": (change_config(num_hidden_layers=2), "its weights do not fit its config.json"),
    "no characters": (remove("vocab.json"), "its processor cannot be used"),
    "damaged characters": (cut("vocab.json"), "the files of its processor are missing or damaged"),
    "no processor": (remove("processor_config.json"), "the files of its processor are missing or damaged"),
    "damaged processor": (cut("processor_config.json"), "the files of its processor are missing or damaged"),
    "damaged tokenizer": (cut("tokenizer_config.json"), "the files of its processor are missing or damaged"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told(name, model_folder, tmp_path):
    damage, message = CAUSES[name]
    folder = tmp_path / "copied"
    shutil.copytree(model_folder, folder)
    damage(folder)
    with pytest.raises(InputError) as raised:
        load_model(folder)
    said = str(raised.value)
    assert said.startswith(f"{folder}: {message}")
    assert "\n" not in said
    others = {other for _, other in CAUSES.values()} - {message}
    assert [other for other in others if other in said] == []


def test_names_that_are_neither_a_folder_nor_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^nowhere: there is no such folder"):
        load_model("nowhere")
    with pytest.raises(InputError, match=r"^nobody/nothing: there is no such folder, and no model of this name"):
        load_model("nobody/nothing")


def test_devices_and_decoders_that_there_are_not(model_folder):
    with pytest.raises(InputError, match="cuda:9"):
        load_recognizer(model_folder, "cuda:9")
    with pytest.raises(InputError, match="no decoder 'best'; choose one of greedy, beam, lm"):
        load_recognizer(model_folder, "cpu", "best")


def test_changes_of_the_configuration_may_bring_and_take_away_weights(model_folder, tmp_path):
    model, processor = load_model(model_folder, use_tcm=True, drop_path_rate=0.5)
    assert model.config.drop_path_rate == 0.5
    assert not model.training
    assert model.tcm_head is not None
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    model, _ = load_model(tmp_path, use_tcm=False)
    assert model.tcm_head is None
    change_config(num_hidden_layers=4)(tmp_path)
    with pytest.raises(InputError, match=r"do not fit.*\d missing: model\.layers\.3"):
        load_model(tmp_path, use_tcm=False)
