"""A saved folder works where this package is not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from htr_convtext import InputError, load_recognizer
from htr_convtext.decoding import Hypothesis
from htr_convtext.evaluation.calibration_fitting import ReadLine, fit_calibration
from htr_convtext.loading import load_processor
from tests.helpers import ROOT, build_attention_htr, build_htr_vt, draw_line, load_pipeline


# Runs in a process of its own that cannot import this package: loads everything, reads a line, saves all again.
SCRIPT = """
for name in ("htr_convtext", "modeling_attention_htr", "modeling_htr_convtext", "modeling_htr_vt", "processing"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} can be imported: the test would prove nothing")

import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor, AutoTokenizer, pipeline

folder, image, again, network, head, tools = sys.argv[1:]
remote = {"trust_remote_code": True}
config = AutoConfig.from_pretrained(folder, **remote)
assert type(config).__name__ == f"{network}Config", config
assert type(AutoModel.from_pretrained(folder, **remote)).__name__ == f"{network}Model"
model = getattr(transformers, f"AutoModelFor{head}").from_pretrained(folder, **remote)
assert type(model).__name__ == f"{network}For{head}"
assert type(AutoImageProcessor.from_pretrained(folder, **remote)).__name__ == f"{tools}ImageProcessor"
assert type(AutoTokenizer.from_pretrained(folder, **remote)).__name__ == f"{tools}Tokenizer"
processor = AutoProcessor.from_pretrained(folder, **remote)
assert type(processor).__name__ == f"{tools}Processor"

outputs = model.eval()(**processor(images=image))
(line,) = processor.post_process_text_recognition(outputs)
read = pipeline(model=folder, **remote)(image)
again_read = pipeline("image-to-text", model=folder, **remote)([image, image], batch_size=2)[1]
assert read["text"] == again_read["text"], (read, again_read)
assert read["text"] == line["text"], (read, line)
print(line["text"])

pipeline(model=folder, **remote).save_pretrained(again)
"""


def run_without_the_package(folder: Path, image: Path, again: Path, names: list[str], working_directory: Path) -> str:
    environment = {**os.environ, "HF_MODULES_CACHE": str(working_directory / "modules"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    script = working_directory / "use_model.py"
    script.write_text(BLOCK_PACKAGE + SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(image), str(again), *names],
        cwd=working_directory, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# The package may be installed in the environment that runs the tests. This hides it from the process.
BLOCK_PACKAGE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("htr_convtext", "processing") or name.startswith("modeling_"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(params=["HTRConvText", "HTRVT", "AttentionHTR"])
def saved(request, tmp_path_factory) -> tuple[Path, list[str]]:
    """
    A saved model with its processor; what the names of its classes begin with, its head, and what those of its
    processor begin with.
    """
    if request.param == "HTRConvText":
        return request.getfixturevalue("model_folder"), [request.param, "CTC", request.param]
    folder = tmp_path_factory.mktemp("saved") / "nano"
    if request.param == "HTRVT":
        build_htr_vt().save_pretrained(folder)
        load_processor(request.getfixturevalue("model_folder")).save_pretrained(folder)
        return folder, [request.param, "CTC", "HTRConvText"]
    model, processor = build_attention_htr()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, [request.param, "TextRecognition", request.param]


def test_saved_folder_loads_without_the_package_twice(saved, tmp_path):
    model_folder, prefixes = saved
    image = tmp_path / "line.png"
    draw_line("some text").save(image)
    texts = []
    for step, (source, target) in enumerate([(model_folder, "second"), (tmp_path / "second", "third")]):
        working_directory = tmp_path / f"process {step}"
        working_directory.mkdir()
        texts.append(run_without_the_package(source, image, tmp_path / target, prefixes, working_directory))
    assert texts[0].strip()
    assert texts[0] == texts[1]
    assert names(tmp_path / "second") == names(tmp_path / "third") == names(model_folder) | {"README.md"}
    cards = [(tmp_path / name / "README.md").read_text(encoding="utf-8") for name in ("second", "third")]
    assert "model_name: second" in cards[0]
    assert cards[0] == cards[1]


def test_language_models_and_confidences_travel(tmp_path):
    """Read with language models, and scored by a calibration, without the package and saved again."""
    bundled = load_recognizer(device="cpu")
    calibration = fit_calibration(
        [ReadLine(np.eye(4)[[1, 0, 2, 0]], [Hypothesis((1, 2), ((0, 1), (2, 3)), 0.0)], (1, 2), "a")] * 20, space=None
    )
    bundled.processor.calibrations = {"lm": calibration}
    bundled.save_pretrained(tmp_path / "first")
    image = ROOT / "examples" / "de_2.jpg"
    (greedy,) = load_recognizer(device="cpu", decoder="greedy").read([image])
    for source, target in (("first", "second"), ("second", "third")):
        working_directory = tmp_path / f"to {target}"
        working_directory.mkdir()
        read = run_without_the_package(
            tmp_path / source, image, tmp_path / target, ["HTRConvText", "CTC", "HTRConvText"], working_directory
        )
        assert read.startswith("Über den")
        assert greedy.text.startswith("Uber den")
        again = load_processor(tmp_path / target)
        assert {name: each.id for name, each in again.calibrations.items()} == {"lm": calibration.id}
        assert again.language_models.settings == bundled.processor.language_models.settings
        assert names(tmp_path / target / "language_models") == {
            *(f"{name}.klm" for name in bundled.processor.language_models.files),
            "README.md",
        }


def test_a_damaged_decoding_file_is_named(model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "decoding.json").write_text('{"language_models": ["fr"], "settings": {"wait": 1}}')
    with pytest.raises(InputError, match=r"decoding.json: damaged"):
        load_processor(tmp_path / "model")
    (tmp_path / "model" / "decoding.json").write_text('{"language_models": ["fr"], "settings": {}}')
    with pytest.raises(InputError, match=r"the file language_models/fr.klm is missing"):
        load_processor(tmp_path / "model")


def test_a_pipeline_saves_all_of_it_and_a_card(model_folder, tmp_path):
    load_pipeline(model_folder).save_pretrained(tmp_path)
    assert names(tmp_path) == names(model_folder) | {"README.md"}


def test_a_model_and_its_processor_save_all_of_it_but_the_card(model_folder, tmp_path):
    pipeline = load_pipeline(model_folder)
    pipeline.model.save_pretrained(tmp_path)
    pipeline.processor.save_pretrained(tmp_path)
    assert names(tmp_path) == names(model_folder)


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
