"""Small models, pictures, data sets and trainers that the tests share. Nothing here needs the network."""

import io
import json
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from transformers import TrainerCallback

from htr_convtext.data import load_lines, select_trainable
from htr_convtext.evaluation import Prediction
from htr_convtext.loading import load_model
from htr_convtext.training import LineTrainer, LineTrainingArguments, character_metrics
from modeling_attention_htr import AttentionHTRConfig, AttentionHTRForTextRecognition
from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC
from modeling_htr_vt import HTRVTConfig, HTRVTForCTC
from processing import AttentionHTRImageProcessor, AttentionHTRProcessor, AttentionHTRTokenizer, LinePipeline


ROOT = Path(__file__).parent.parent
EXAMPLE_PAGE = ROOT / "space" / "examples" / "page.jpg"
EXAMPLE_TEXT = """\
Lyon, le 14 mars 1898
Ma chère sœur,
Nous sommes arrivés hier soir après un long
voyage. La neige était tombée toute la nuit et
les chevaux avançaient avec peine. Ta lettre
nous attendait sur la table de la cuisine.
Père va mieux, il marche de nouveau jusqu'au
bord de la rivière. Le pain est encore cher,
mais les pommes de terre ne manquent pas.
Dis à Jean que son cheval est vendu; il en
aura la moitié du prix à son retour.
Je t'embrasse de tout mon cœur,
Marguerite""".splitlines()
CHARSET = " abcdefghijklmnopqrstuvwxyz'"
WORDS = ["abc", "cab", "bac", "a cab", "ab", "bca", "c ab", "cba"]

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
NANO_HTR_VT = {
    "vocab_size": len(CHARSET) + 1,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


NANO_ATTENTION_HTR = {"feature_size": 32, "hidden_size": 16}


# --- models and pictures ---


def build_model(**kwargs) -> HTRConvTextForCTC:
    """A network of some thousand parameters, none of them at its start value: zeros would hide mistakes."""
    torch.manual_seed(0)
    return off_its_start(HTRConvTextForCTC(HTRConvTextConfig(**{**NANO, **kwargs})).eval())


def build_htr_vt(**kwargs) -> HTRVTForCTC:
    """As `build_model`, of HTR-VT."""
    torch.manual_seed(0)
    return off_its_start(HTRVTForCTC(HTRVTConfig(**{**NANO_HTR_VT, **kwargs})).eval())


def off_its_start(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def build_attention_htr(network: str = "attention-htr") -> tuple[AttentionHTRForTextRecognition, AttentionHTRProcessor]:
    """A network of some thousand parameters that knows letters and digits, and its processor."""
    torch.manual_seed(0)
    config = AttentionHTRConfig.from_name(network, **NANO_ATTENTION_HTR)
    end = {} if config.prediction == "attention" else {"eos_token": None}
    tokenizer = AttentionHTRTokenizer.from_published("sensitive", **end)
    config.vocab_size = len(tokenizer)
    model = AttentionHTRForTextRecognition(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "transformation" not in name:  # else the spline would twist the image beyond recognition
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model, AttentionHTRProcessor(AttentionHTRImageProcessor(), tokenizer)


def load_pipeline(folder=None) -> LinePipeline:
    """The pipeline of transformers with a saved model, by default the bundled one, on the CPU."""
    model, processor = load_model(folder)
    return LinePipeline(model=model, processor=processor, task="image-to-text", device="cpu")


def draw_line(text: str, height: int = 40, padding: int = 6) -> Image.Image:
    """Black text on white in Pillow's own font."""
    font = ImageFont.load_default(size=height - 2 * padding)
    width = int(font.getlength(text)) + 2 * padding
    image = Image.new("L", (max(width, 1), height), 255)
    ImageDraw.Draw(image).text((padding, padding // 2), text, fill=0, font=font)
    return image


def write_image_folder(folder, split: str, texts: list[str]) -> None:
    (folder / split).mkdir(parents=True)
    rows = []
    for index, text in enumerate(texts):
        draw_line(text or " ").save(folder / split / f"{index}.png")
        rows.append(json.dumps({"file_name": f"{index}.png", "text": text}))
    (folder / split / "metadata.jsonl").write_text("\n".join(rows))


# --- programs ---


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


# --- training and measuring ---


def build_trainer(tmp_path, processor, model=None, augmentation=None, callbacks=(), **settings) -> LineTrainer:
    if not (tmp_path / "words").exists():
        write_image_folder(tmp_path / "words", "train", WORDS)
    model = model or build_model(use_tcm=True)
    lines, _ = select_trainable(load_lines(tmp_path / "words", "train"), processor, model.config)
    defaults = {
        "output_dir": str(tmp_path / "run"), "max_steps": 4, "per_device_train_batch_size": 4, "logging_steps": 1,
        "use_cpu": True, "report_to": "none", "save_strategy": "no", "eval_strategy": "no", "disable_tqdm": True,
        "load_best_model_at_end": False, "ema_decay": 0.0,
    }  # fmt: skip
    return LineTrainer(
        model=model, args=LineTrainingArguments(**{**defaults, **settings}), train_dataset=lines, eval_dataset=lines,
        data_collator=processor, processing_class=processor, augmentation=augmentation,
        compute_metrics=character_metrics(processor.tokenizer), callbacks=list(callbacks),
    )  # fmt: skip


class Clock(TrainerCallback):
    """A clock for a time budget: a step takes ten seconds, an evaluation a thousand."""

    seconds = 0.0

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds += 10

    def on_evaluate(self, args, state, control, **kwargs):
        self.seconds += 1000


def use_saved_statistics(model: nn.Module) -> None:
    """Batch norm with its saved statistics: with those of the batch, lines would not be independent."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train = lambda mode=True, module=module: module
            module.training = False


class StopAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            control.should_training_stop = control.should_save = True


def predictions(*lines, source="a", **columns) -> list[Prediction]:
    """From pairs of ground truth and reading; `columns` hold one value a line."""
    return [
        Prediction(source, index, f"{index}.png", reference, text, **{
            "score": 0.5, **{name: values[index] for name, values in columns.items()}
        })
        for index, (reference, text) in enumerate(lines)
    ]  # fmt: skip
