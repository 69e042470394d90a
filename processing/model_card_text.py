"""The text of a model card, made of what is known of the model."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .model_facts import ModelFacts, Rates, SetResult, in_percent


RESULTS = "## Results"
CHARSET_WIDTH = 60


@dataclass(frozen=True)
class ModelDescription:
    """
    What a model and its processor are.

    Attributes:
        architecture: Its name, and where it is described.
        auto_model: The Auto class of the network.
        parameters: Their number, of what reading needs.
        charset: The characters that it can write.
        unicode_form: `"NFC"` if what it reads is composed, `None` if it comes as the characters of the charset.
        text_policy: How the ground truth that it learned from is written, if that is stored with it.
        images: Sentences on how line images are prepared.
        limits: Sentences on what it cannot do.
        language_models: Names of those that it decodes with by default.
    """

    architecture: str
    auto_model: str
    parameters: int
    charset: str
    unicode_form: str | None
    text_policy: Mapping[str, Any] | None
    images: tuple[str, ...]
    limits: tuple[str, ...]
    tags: tuple[str, ...]
    language_models: tuple[str, ...] = ()


def card_text(facts: ModelFacts, description: ModelDescription) -> str:
    """The whole text, in Markdown."""
    parts = [f"# {facts.name}", *_introduction(facts, description), *_usage(facts, description)]
    parts += ["## Text and images", *_text_and_images(description), RESULTS, *results_section(facts)]
    parts += ["## Training data", *_training_data(facts), "## Licence", _licence(facts)]
    parts += ["## Limits", "\n".join(f"- {sentence}" for sentence in description.limits)]
    return "\n\n".join(parts) + "\n"


def _introduction(facts: ModelFacts, description: ModelDescription) -> list[str]:
    languages = f"Languages: {', '.join(facts.language)}." if facts.language else "Its languages are not stated."
    what = (
        f"Reads one line of handwriting at a time. Architecture: {description.architecture}; "
        f"{description.parameters / 1e6:.2f} M parameters. {languages}"
    )
    based = [f"Trained from {_hub_links(facts.base_model)}."] if facts.base_model else []
    return [what, *based, *facts.notes]


def _usage(facts: ModelFacts, description: ModelDescription) -> list[str]:
    model = facts.repository or "path/to/this/folder"
    return [
        "## How to use it",
        "With `transformers`; the code of the model is in this folder, so say that you trust it:",
        _fenced(
            f"""
            from transformers import pipeline

            read = pipeline("image-to-text", model="{model}", trust_remote_code=True)
            print(read("line.png")["text"])
            """,
            "python",
        ),
        "Or step by step:",
        _fenced(
            f"""
            from transformers import {description.auto_model}, AutoProcessor

            model = {description.auto_model}.from_pretrained("{model}", trust_remote_code=True)
            processor = AutoProcessor.from_pretrained("{model}", trust_remote_code=True)
            outputs = model(**processor(images="line.png"))
            print(processor.post_process_text_recognition(outputs)[0]["text"])
            """,
            "python",
        ),
        "On the command line, with the package `htr-convtext`, which reads whole pages too:",
        _fenced(f"htr recognize line.png --model {model}\nhtr transcribe page.jpg --model {model}", "sh"),
        *_language_models(facts),
    ]


def _language_models(facts: ModelFacts) -> list[str]:
    if not facts.language_models:
        return []
    names = ", ".join(f"`{name}`" for name in facts.language_models)
    return [
        f"Language models of characters that it reads with: {names} (in `language_models/`; they need "
        "flashlight-text). `--decoder greedy` reads without any."
    ]


def _text_and_images(description: ModelDescription) -> list[str]:
    charset = description.charset
    count = len(charset)
    shown = [character for character in charset if _is_visible(character)]
    hidden = [f"`U+{ord(character):04X}`" for character in charset if character not in shown and character != " "]
    spelled = [f"◌{character}" if unicodedata.combining(character) else character for character in shown]
    lines = ["".join(spelled[start : start + CHARSET_WIDTH]) for start in range(0, len(spelled), CHARSET_WIDTH)]
    besides = (["the space"] if " " in charset else []) + hidden
    return [
        " ".join(description.images),
        f"It writes {count} character{'s' if count != 1 else ''}"
        + (f", these and {' and '.join([', '.join(besides[:-1]), besides[-1]] if besides[1:] else besides)}:"
           if besides else ":"),
        _fenced("\n".join(lines), "text"),
        _text_policy(description),
    ]  # fmt: skip


def _text_policy(description: ModelDescription) -> str:
    composed = "What it reads is composed (NFC). " if description.unicode_form else ""
    policy = description.text_policy
    if not policy:
        return f"{composed}No text policy is stored with it: how its ground truth was written is not known."
    form = policy.get("unicode_form")
    sentences = [f"Unicode form {form}" if form else "characters stay as they are composed"]
    sentences.append("runs of white space become one space" if policy.get("whitespace") == "fold" else "spaces stay")
    sentences.append("ſ is written s" if policy.get("long_s") == "s" else "ſ stays")
    signs = policy.get("abbreviations") or {}
    if signs:
        written = ", ".join(f"{_sign(sign)} → {f'`{text}`' if text else 'nothing'}" for sign, text in signs.items())
        sentences.append(f"signs written out or dropped: {written}")
    return f"{composed}Text policy of the ground truth that it learned from: {'; '.join(sentences)}."


def results_section(facts: ModelFacts) -> list[str]:
    """What stands under the heading `RESULTS`: the table, what its numbers are, and the commands that made them."""
    if not facts.results:
        return ["Not measured, or not known. `htr evaluate` measures a model on lines with ground truth."]
    decoders = any(result.decoder for result in facts.results)
    beside = any(result.greedy for result in facts.results)
    header = ["set", "split", "lines"]
    header += ["greedy CER %", "95 % interval", "greedy WER %", "95 % interval"] if beside else []
    header += ["CER %", "95 % interval", "WER %", "95 % interval", "drawn"]
    header += ["decoder"] if decoders else []
    rows = [header, ["---"] * len(header)]
    rows += [_result_row(result, beside) + ([result.decoder or "–"] if decoders else []) for result in facts.results]
    parts = ["\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)]
    parts.append(
        "CER: character error rate over code points. WER: word error rate over words between spaces. Both are of all "
        "lines of a set together; characters that the model does not know count as errors. Intervals by bootstrap of "
        "what the column *drawn* says; those of drawn lines are too narrow where a few hands wrote many lines."
        if any(result.cer_interval for result in facts.results)
        else "CER: character error rate over code points. WER: word error rate over words between spaces."
    )
    if beside:
        parts.append("*greedy*: the best class of each frame, without language model or search (`--decoder greedy`).")
    if any((result.decoder or "").startswith("lm") for result in facts.results):
        parts.append(
            "*lm*: with a language model. It helps most where its text is of the collections that are measured, as "
            "their training transcriptions are; on other collections expect less of it."
        )
    if facts.commands:
        parts += ["Measured with", _fenced("\n".join(facts.commands), "sh")]
    return parts


def _result_row(result: SetResult, beside: bool) -> list[str]:
    """With the figures of greedy decoding before the others if such stand `beside` any."""
    name = f"[{result.name}](https://huggingface.co/datasets/{result.dataset})" if result.dataset else result.name
    greedy = result if result.decoder == "greedy" else result.greedy
    shown = [*(_rate_cells(greedy) if beside else []), *_rate_cells(result)]
    return [name, result.split, f"{result.lines:,}" if result.lines else "–", *shown, result.groups or "–"]


def _rate_cells(rates: SetResult | Rates | None) -> list[str]:
    if rates is None:
        return ["–"] * 4
    pairs = [(rates.cer, rates.cer_interval), (rates.wer, rates.wer_interval)]
    return [
        text
        for rate, interval in pairs
        for text in (
            "–" if rate is None else f"{in_percent(rate):.2f}",
            "{:.2f}–{:.2f}".format(*map(in_percent, interval)) if interval else "–",
        )
    ]


def _training_data(facts: ModelFacts) -> list[str]:
    rows = [f"- {_hub_links([name], 'datasets/')}" for name in facts.datasets]
    rows += [f"- {name}" for name in facts.training_sets]
    return ["\n".join(rows) or "Not known."]


def _licence(facts: ModelFacts) -> str:
    return f"`{facts.license}`" if facts.license else "Not known: nobody has stated one."


def _hub_links(names: Iterable[str], kind: str = "") -> str:
    return ", ".join(f"[{name}](https://huggingface.co/{kind}{name})" for name in names)


def _fenced(text: str, language: str) -> str:
    """A block of code, without the indent of its first line."""
    lines = text.strip("\n").rstrip().split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip(" ")) if language == "python" else 0
    return "\n".join([f"~~~~{language}", *(line[indent:] for line in lines), "~~~~"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _is_visible(character: str) -> bool:
    """Not white space, control and format characters, nor what no font has."""
    return unicodedata.category(character)[0] not in "ZC"


def _sign(sign: str) -> str:
    """A sign, or its code points where it would not be seen alone."""
    if all(_is_visible(character) and not unicodedata.combining(character) for character in sign):
        return f"`{sign}`"
    return " ".join(f"U+{ord(character):04X}" for character in sign)
