"""The model and processor that a training run starts from."""

from htr_convtext.loading import load_model
from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer

from .arguments import ModelArguments


def build_model(arguments: ModelArguments, texts: list[str]) -> tuple[HTRConvTextForCTC, HTRConvTextProcessor]:
    """
    A new network for the characters of `texts`, or a saved one that is grown by those it does not know.

    The tokenizer drops other characters and counts them, and reads and writes Unicode form NFC.

    Raises:
        ValueError: names the model, size or charset that cannot be used.
    """
    if not 1 <= arguments.height <= 64:
        raise ValueError(f"--height {arguments.height}: lines may be 1 to 64 pixels high.")
    policy = {"unknown": "drop", "unicode_form": "NFC"}
    if arguments.charset:
        tokenizer = HTRConvTextTokenizer.from_charset_file(arguments.charset, **policy)
    else:
        tokenizer = HTRConvTextTokenizer.from_corpus(texts, arguments.min_character_count, **policy)
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
        model, processor = load_model(arguments.model, **training)
        processor.tokenizer.add_characters(tokenizer.charset)
        processor.tokenizer.set_policy(**policy)
        model.resize_vocabulary(len(processor.tokenizer))
        return model, processor

    config = HTRConvTextConfig.from_size(arguments.size, vocab_size=len(tokenizer), **training)
    size = {"height": arguments.height, "width": arguments.max_width or 32 * arguments.height}
    image_processor = HTRConvTextImageProcessor(size=size, horizontal_scale=arguments.horizontal_scale)
    return HTRConvTextForCTC(config), HTRConvTextProcessor(image_processor, tokenizer)
