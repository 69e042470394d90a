"""The model and processor that a training run starts from."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from htr_convtext.charsets import charset_tokenizer
from htr_convtext.data import TextPolicy
from htr_convtext.errors import InputError
from htr_convtext.families import Family, family_named, family_of
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
    settings = arguments.network_settings()
    family = family_of(load_config(arguments.model)) if arguments.model else family_named(arguments.size)
    tokenizer = new_tokenizer(arguments, family, texts, text_policy)
    if arguments.model:
        model, processor = load_model(arguments.model, **family.changes_for_training(settings))
        family.change_processor(processor, settings)
        processor.calibrations = {}  # of the weights as they were
        refuse_other_settings(settings, family.settings_of(model, processor), f"The model {arguments.model}")
        if arguments.charset:
            family.replace_charset(model, processor, tokenizer)
        else:
            family.add_characters(model, processor, tokenizer.charset)
            processor.tokenizer.set_policy(**_handling(text_policy))
    else:
        model, processor = family.new_model(tokenizer, settings)
    text_policy.store_in(processor.tokenizer)
    return model, processor


def new_tokenizer(
    arguments: ModelArguments, family: Family, texts: Iterable[str], text_policy: TextPolicy
) -> PreTrainedTokenizerBase:
    """A tokenizer of the charset that is given, else of the characters of `texts`."""
    if arguments.charset:
        return charset_tokenizer(arguments.charset, family.tokenizer_class, **_handling(text_policy))
    return family.tokenizer_class.from_corpus(texts, arguments.min_character_count or 1, **_handling(text_policy))


def _handling(text_policy: TextPolicy) -> dict[str, str | None]:
    """What a tokenizer does to texts while training: drops other characters, composes those of a composed form."""
    return {"unknown": "drop", "unicode_form": "NFC" if text_policy.unicode_form in ("NFC", "NFKC") else None}


def load_checkpoint(
    arguments: ModelArguments, checkpoint: str | os.PathLike
) -> tuple[PreTrainedModel, ProcessorMixin, TextPolicy]:
    """
    The model, processor and text policy that a run goes on with. What is given of them must be what the run has.

    Raises:
        InputError: names the checkpoint that cannot be loaded, or the setting that it has otherwise.
    """
    model, processor = load_model(checkpoint)
    where = f"The run of {checkpoint}"
    family, text_policy = family_of(model.config), TextPolicy.of(processor.tokenizer)
    refuse_other_settings(arguments.network_settings(), family.settings_of(model, processor), where)
    if arguments.text_policy and TextPolicy.from_file(arguments.text_policy) != text_policy:
        raise InputError(f"{where} has another text policy than --text_policy {arguments.text_policy}; leave it out.")
    if arguments.charset:
        asked = new_tokenizer(arguments, family, (), text_policy).charset
        if asked != processor.tokenizer.charset:
            raise InputError(f"{where} has another charset than --charset {arguments.charset}; leave it out.")
    return model, processor, text_policy


def refuse_other_count(
    arguments: ModelArguments, texts: Iterable[str], processor: ProcessorMixin, family: Family
) -> None:
    """
    Raises:
        InputError: if a run is resumed with a `min_character_count` that its charset does not come from.
    """
    if arguments.min_character_count is None:
        return
    asked = set(new_tokenizer(arguments, family, texts, TextPolicy.of(processor.tokenizer)).charset)
    charset = set(processor.tokenizer.charset)
    if not asked <= charset or (asked != charset and not arguments.model):  # a saved model has brought its own
        raise InputError(
            f"The run's charset does not come from --min_character_count {arguments.min_character_count} and this "
            "training text; a run goes on with the charset that it has, so leave it out."
        )


def refuse_other_settings(asked: Mapping[str, Any], found: Mapping[str, Any], where: str) -> None:
    """
    Raises:
        InputError: names the settings that were asked for and are others in what is there.
    """
    other = [
        f"--{name} {value} (it has {'another' if found.get(name) is None else found[name]})"
        for name, value in asked.items()
        if found.get(name) != value
    ]
    if other:
        raise InputError(f"{where} cannot be given {', '.join(other)}; leave that out.")
