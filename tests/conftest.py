"""Small models, processors and pictures that the tests share. Nothing here needs the network."""

import os


os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from htr_convtext import Recognizer, load_recognizer
from htr_convtext.documents import Page
from htr_convtext.evaluation.calibration_fitting import fit_calibration
from htr_convtext.training import callbacks
from htr_convtext.transcription import transcribe
from modeling_htr_convtext import HTRConvTextForCTC
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from processing.confidence import Calibration
from tests.helpers import CHARSET, EXAMPLE_PAGE, Clock, build_model
from tests.test_confidence import SPACE, draw_line


@pytest.fixture
def tokenizer() -> HTRConvTextTokenizer:
    return HTRConvTextTokenizer.from_charset(CHARSET)


@pytest.fixture
def processor(tokenizer) -> HTRConvTextProcessor:
    return HTRConvTextProcessor(HTRConvTextImageProcessor(size={"height": 32, "width": 512}), tokenizer)


@pytest.fixture
def model() -> HTRConvTextForCTC:
    return build_model()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of time budgets; goes on when it is among the callbacks of a trainer."""
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A saved model with its processor, as `from_pretrained` reads it."""
    folder = tmp_path_factory.mktemp("saved") / "nano"
    build_model().save_pretrained(folder)
    image_processor = HTRConvTextImageProcessor(size={"height": 32, "width": 512})
    HTRConvTextProcessor(image_processor, HTRConvTextTokenizer.from_charset(CHARSET)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    """Confidences, fitted on made lines."""
    random = np.random.default_rng(0)
    return fit_calibration([draw_line(random, 2.0, page=str(number // 10)) for number in range(100)], SPACE)


@pytest.fixture(scope="session")
def calibrated_folder(model_folder, calibration, tmp_path_factory) -> Path:
    """The same as `model_folder`, with that calibration for greedy decoding."""
    folder = tmp_path_factory.mktemp("calibrated") / "nano"
    saved = load_recognizer(model_folder, "cpu")
    saved.processor.calibrations["greedy"] = calibration
    saved.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The bundled model."""
    return load_recognizer(device="cpu")


@pytest.fixture(scope="session")
def page(recognizer) -> Page:
    """The page of the app's example, as the bundled model reads it."""
    return transcribe(EXAMPLE_PAGE, recognizer)
