"""Small models, processors and pictures that the tests share. Nothing here needs the network."""

import os


os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from htr_convtext import (
    HTRConvTextConfig,
    HTRConvTextForCTC,
    HTRConvTextImageProcessor,
    HTRConvTextProcessor,
    HTRConvTextTokenizer,
)


ROOT = Path(__file__).parent.parent
CHARSET = " abcdefghijklmnopqrstuvwxyz'"

NANO = {
    "vocab_size": len(CHARSET) + 1,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "downsample_after": 1,
    "upsample_after": 2,
    "mobilevit_head_dim": 8,
    "tcm_hidden_size": 16,
    "layer_scale_init_value": 1.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "drop_path_rate": 0.0,
    "tcm_dropout": 0.0,
}


def build_model(**kwargs) -> HTRConvTextForCTC:
    """A network of some thousand parameters, none of them at its start value: zeros would hide mistakes."""
    torch.manual_seed(0)
    model = HTRConvTextForCTC(HTRConvTextConfig(**{**NANO, **kwargs})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def draw_line(text: str, height: int = 40, padding: int = 6) -> Image.Image:
    """Black text on white in Pillow's own font."""
    font = ImageFont.load_default(size=height - 2 * padding)
    width = int(font.getlength(text)) + 2 * padding
    image = Image.new("L", (max(width, 1), height), 255)
    ImageDraw.Draw(image).text((padding, padding // 2), text, fill=0, font=font)
    return image


def run_script(name: str, *arguments, expect: int = 0) -> subprocess.CompletedProcess:
    """Runs a program of `scripts/` as a user does, and checks its exit code."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return done


def call_script(name: str, *arguments, expect: int = 0) -> subprocess.CompletedProcess:
    """Like `run_script`, but in this process, which has PyTorch and transformers: to import them takes up to 10 s."""
    command = [str(ROOT / "scripts" / name), *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code = 0
    with patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
            if isinstance(code, str):
                err.write(f"{code}\n")
                code = 1
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (out, err))
    assert code == expect, stderr[-3000:]
    return subprocess.CompletedProcess(command, code, stdout, stderr)


@pytest.fixture
def tokenizer() -> HTRConvTextTokenizer:
    return HTRConvTextTokenizer.from_charset(CHARSET)


@pytest.fixture
def processor(tokenizer) -> HTRConvTextProcessor:
    return HTRConvTextProcessor(HTRConvTextImageProcessor(size={"height": 32, "width": 512}), tokenizer)


@pytest.fixture
def model() -> HTRConvTextForCTC:
    return build_model()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A saved model with its processor, as `from_pretrained` reads it."""
    folder = tmp_path_factory.mktemp("saved") / "nano"
    build_model().save_pretrained(folder)
    image_processor = HTRConvTextImageProcessor(size={"height": 32, "width": 512})
    HTRConvTextProcessor(image_processor, HTRConvTextTokenizer.from_charset(CHARSET)).save_pretrained(folder)
    return folder
