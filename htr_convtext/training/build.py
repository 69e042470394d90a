"""The model and processor that a training run starts from."""

from pathlib import Path

from htr_convtext.charsets import charset_tokenizer
from htr_convtext.data import TextPolicy
from htr_convtext.loading import BUNDLED_MODEL, load_model
from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer

from .arguments import ModelArguments


def find_text_policy(arguments: ModelArguments) -> TextPolicy:
    """
    The text policy that is given, else that of the data (`text_policy.json`), else of the model to go on from.

    Raises:
        OSError: if there is no file as given.
        ValueError: names the data sets that differ, or the file that is no policy.
    """
    if arguments.text_policy:
        return TextPolicy.from_file(arguments.text_policy)
    files = [Path(source) / "text_policy.json" for source in arguments.data]
    found = {str(file): TextPolicy.from_file(file) for file in files if file.is_file()}
    policies = list(found.values())
    if any(policy != policies[0] for policy in policies):
        raise ValueError(f"{' and '.join(found)} have different text policies; give --text_policy.")
    if policies:
        return policies[0]
    if arguments.model:
        return TextPolicy.of(HTRConvTextTokenizer.from_pretrained(_model_source(arguments.model)))
    return TextPolicy()


def _model_source(model: str) -> str | Path:
    return BUNDLED_MODEL if model == "bundled" else model


def build_model(
    arguments: ModelArguments, texts: list[str], text_policy: TextPolicy | None = None
) -> tuple[HTRConvTextForCTC, HTRConvTextProcessor]:
    """
    A new network for the characters of `texts`, or a saved one that is grown by those it does not know. With a charset
    both know exactly its characters; those that a saved one knew keep their weights.

    The tokenizer drops other characters and counts them, and keeps the text policy of the run.

    Raises:
        ValueError: names the model, size or charset that cannot be used.
    """
    if not 1 <= arguments.height <= 64:
        raise ValueError(f"--height {arguments.height}: lines may be 1 to 64 pixels high.")
    text_policy = text_policy or TextPolicy()
    composed = "NFC" if text_policy.unicode_form in ("NFC", "NFKC") else None
    handling = {"unknown": "drop", "unicode_form": composed}
    if arguments.charset:
        tokenizer = charset_tokenizer(arguments.charset, **handling)
    else:
        tokenizer = HTRConvTextTokenizer.from_corpus(texts, arguments.min_character_count, **handling)
    training = {
        "use_tcm": arguments.use_tcm,
        "ctc_loss_weight": arguments.ctc_loss_weight,
        "tcm_loss_weight": arguments.tcm_loss_weight,
        "hidden_dropout": arguments.hidden_dropout,
        "attention_dropout": arguments.attention_dropout,
        "drop_path_rate": arguments.drop_path_rate,
        "masking": None if arguments.masking == "none" else arguments.masking,
    }
    if arguments.model:
        model, processor = load_model(_model_source(arguments.model), **training)
        if arguments.charset:
            known = processor.tokenizer.encoder
            model.replace_vocabulary([0, *(known.get(character) for character in tokenizer.charset)])
            processor.tokenizer = tokenizer
        else:
            processor.tokenizer.add_characters(tokenizer.charset)
            processor.tokenizer.set_policy(**handling)
            model.resize_vocabulary(len(processor.tokenizer))
    else:
        model = HTRConvTextForCTC(HTRConvTextConfig.from_size(arguments.size, vocab_size=len(tokenizer), **training))
        if arguments.image_preparation == "published":
            image_processor = HTRConvTextImageProcessor.published()
        else:
            size = {"height": arguments.height, "width": arguments.max_width or 32 * arguments.height}
            image_processor = HTRConvTextImageProcessor(size=size, horizontal_scale=arguments.horizontal_scale)
        processor = HTRConvTextProcessor(image_processor, tokenizer)
    text_policy.store_in(processor.tokenizer)
    return model, processor
