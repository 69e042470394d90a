"""The settings of a training run as options of a command line, and as a YAML file of the same names."""

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from transformers import HfArgumentParser
from transformers.utils import is_accelerate_available

from htr_convtext.errors import InputError

from .arguments import LineTrainingArguments, ModelArguments


# What `--help` shows, and under which headings; `--help-all` shows all other settings below them.
GROUPS = {
    "data": (
        "data", "source_weights", "source_batches", "text_policy", "charset", "min_character_count",
        "unknown_characters", "max_characters",
    ),
    "network": (
        "model", "size", "use_tcm", "no_use_tcm", "hidden_dropout", "attention_dropout", "drop_path_rate",
        "freeze_backbone",
    ),
    "images": (
        "height", "max_width", "horizontal_scale", "image_preparation", "augmentation", "augmentation_strength",
        "preview",
    ),
    "losses and optimiser": (
        "ctc_loss_weight", "tcm_loss_weight", "masking", "optim", "learning_rate", "min_learning_rate", "warmup_steps",
        "weight_decay", "max_grad_norm", "sam_rho", "ema_decay", "per_device_train_batch_size",
        "gradient_accumulation_steps", "seed",
    ),
    "length of the run and evaluation": (
        "max_minutes", "max_steps", "num_train_epochs", "eval_steps", "metric_for_best_model",
        "early_stopping_patience", "per_device_eval_batch_size",
    ),
    "saving and resuming": ("output_dir", "resume_from_checkpoint", "save_steps", "save_total_limit"),
    "computing and logging": (
        "bf16", "use_cpu", "dataloader_num_workers", "logging_steps", "report_to", "disable_tqdm",
    ),
}  # fmt: skip


class SettingsFormatter(argparse.RawDescriptionHelpFormatter):
    """The examples as they are written, and defaults where a help text does not speak of them."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32, width=100)

    def add_setting(self, action: argparse.Action) -> None:
        """One option with one spelling of its name."""
        shown = copy.copy(action)
        shown.option_strings = [name for name in action.option_strings if name.startswith("--")][:1]
        says_nothing = shown.default in (None, False, "", argparse.SUPPRESS) or shown.default == []
        if shown.help and "default" not in shown.help.lower() and not says_nothing and shown.nargs != 0:
            shown.help += " (default: %(default)s)"
        self.add_argument(shown)


class SettingsParser(HfArgumentParser):
    """All settings as options; `--help` shows those of `GROUPS` under their headings, `--help-all` the others too."""

    def __init__(self, **options):
        self.settings: dict[str, argparse.Action] = {}
        super().__init__(
            (ModelArguments, LineTrainingArguments), formatter_class=SettingsFormatter, allow_abbrev=False, **options
        )
        self.add_argument(
            "--no_use_tcm", "--no-use-tcm", action="store_const", const=False, dest="use_tcm",
            default=argparse.SUPPRESS, help="train without the Textual Context Module",
        )  # fmt: skip
        self.add_argument(
            "--help-all", action=_HelpAll, nargs=0, default=argparse.SUPPRESS, dest=argparse.SUPPRESS,
            help="show all other settings of transformers too, and exit",
        )  # fmt: skip

    def add_argument(self, *names, **options) -> argparse.Action:
        """Adds an option, for the help by the first long spelling of its name."""
        action = super().add_argument(*names, **options)
        if action.nargs == 0 and action.const is False and action.dest != "use_tcm":
            action.help = (
                f"the same as --{action.dest} False"  # of `--no_…`: transformers repeats the help of the other
            )
        elif action.nargs != 0 and action.metavar is None and action.choices is None:
            action.metavar = "BOOL" if action.const is True else "VALUE"
        self.settings[next(name for name in action.option_strings if name.startswith("--"))] = action
        return action

    def format_help(self, every_setting: bool = False) -> str:
        groups = {title: [f"--{name}" for name in names] for title, names in GROUPS.items()}
        shown = {"--help", "--help-all"}.union(*groups.values())
        if every_setting:
            groups["other settings of transformers"] = [name for name in self.settings if name not in shown]
        groups["help"] = ["--help", "--help-all"]
        formatter = SettingsFormatter(self.prog)
        formatter.add_usage(self.usage, [], [])
        formatter.add_text(self.description)
        for title, names in groups.items():
            formatter.start_section(title)
            for name in names:
                formatter.add_setting(self.settings[name])
            formatter.end_section()
        return formatter.format_help()


class _HelpAll(argparse.Action):
    def __call__(self, parser: SettingsParser, namespace: argparse.Namespace, values, option_string=None) -> None:
        print(parser.format_help(every_setting=True), end="")
        parser.exit()


def parse_arguments(words: Sequence[str], **parser_options) -> tuple[ModelArguments, LineTrainingArguments]:
    """
    The settings of a command line. Its first word may be a YAML file of the same names; words after it win.

    Args:
        parser_options: Of `argparse.ArgumentParser`: `prog`, `usage`, `description`.

    Ends the program with a message, as `argparse` does, if a name or value is wrong.

    Raises:
        ModuleNotFoundError: if accelerate is missing.
    """
    parser = SettingsParser(**parser_options)
    words = list(words)
    try:
        if words and words[0].endswith((".yaml", ".yml")):
            words = [*yaml_as_command_line(words[0]), *words[1:]]
        *settings, unknown = parser.parse_args_into_dataclasses(
            words, return_remaining_strings=True, look_for_args_file=False
        )
    except ImportError as error:
        if not is_accelerate_available():
            raise ModuleNotFoundError("Training needs accelerate: pip install 'htr-convtext[train]'") from error
        parser.error(str(error))
    except (OSError, ValueError) as error:  # settings that do not go together
        parser.error(str(error))
    if unknown:
        parser.error(f"unknown settings: {' '.join(unknown)}")
    return tuple(settings)


def yaml_as_command_line(path: str | os.PathLike) -> list[str]:
    """
    The settings of a YAML file as words of a command line.

    Raises:
        OSError: if there is no such file.
        InputError: names the file if it is no mapping of names to values or lists of values.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML. ({error})") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: must map the names of settings to their values.")
    words = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if value is None or any(isinstance(item, (dict, list)) for item in values):
            raise InputError(f"{path}: the value of {name} must be a text, a number, true or false, or a list of them.")
        words += [f"--{name}", *map(str, values)]
    return words
