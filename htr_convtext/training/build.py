"""The model and processor that a training run starts from."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, ProcessorMixin

from htr_convtext.charsets import charset_tokenizer
from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from htr_convtext.families import DEFAULT_FAMILY, family_of
from htr_convtext.loading import load_config, load_model, load_processor

from .arguments import ModelArguments


def find_text_policy(arguments: ModelArguments) -> TextPolicy:
    """
    The text policy that is given, else that of the data (`text_policy.json`), else of the model to go on from.

    Raises:
        OSError: if there is no file as given.
        InputError: names the data sets that differ, or the file that is no policy.
    """
    if arguments.text_policy:
        return TextPolicy.from_file(arguments.text_policy)
    files = [Path(source) / "text_policy.json" for source in arguments.data]
    found = {str(file): TextPolicy.from_file(file) for file in files if file.is_file()}
    policies = list(found.values())
    if any(policy != policies[0] for policy in policies):
        raise InputError(f"{' and '.join(found)} have different text policies; give --text_policy.")
    if policies:
        return policies[0]
    if arguments.model:
        return TextPolicy.of(load_processor(arguments.model).tokenizer)
    return TextPolicy()


def build_model(
    arguments: ModelArguments, texts: list[str], text_policy: TextPolicy | None = None
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    A new network for the characters of `texts`, or a saved one that is grown by those it does not know. With a charset
    both know exactly its characters; those that a saved one knew keep their weights.

    The tokenizer drops other characters and counts them, and keeps the text policy of the run.

    Raises:
        InputError: names the model, charset or setting that cannot be used.
    """
    text_policy = text_policy or TextPolicy()
    composed = "NFC" if text_policy.unicode_form in ("NFC", "NFKC") else None
    handling = {"unknown": "drop", "unicode_form": composed}
    settings = arguments.network_settings()
    family = family_of(load_config(arguments.model)) if arguments.model else DEFAULT_FAMILY
    if arguments.charset:
        if arguments.min_character_count is not None:
            raise InputError("--min_character_count has no effect with --charset; leave one of them out.")
        tokenizer = charset_tokenizer(arguments.charset, family, **handling)
    else:
        tokenizer = family.tokenizer_class.from_corpus(texts, arguments.min_character_count or 1, **handling)
    if arguments.model:
        model, processor = load_model(arguments.model, **family.changes_for_training(settings))
        family.change_processor(processor, settings)
        refuse_other_settings(settings, family.settings_of(model, processor), f"the model {arguments.model}")
        if arguments.charset:
            family.replace_charset(model, processor, tokenizer)
        else:
            family.add_characters(model, processor, tokenizer.charset)
            processor.tokenizer.set_policy(**handling)
    else:
        model, processor = family.new_model(tokenizer, settings)
    text_policy.store_in(processor.tokenizer)
    return model, processor


def refuse_other_settings(asked: dict[str, Any], found: dict[str, Any], where: str) -> None:
    """
    Raises:
        InputError: names the settings that were asked for and are others in what is there.
    """
    other = [
        f"--{name} {value} (there: {found.get(name)})" for name, value in asked.items() if found.get(name) != value
    ]
    if other:
        raise InputError(f"{where} cannot be given {', '.join(other)}; leave that out.")
