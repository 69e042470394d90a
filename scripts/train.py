"""Train a line recogniser with CTC and the Textual Context Module.

Examples:
    # your own lines: train/ and validation/ folders of images, each with metadata.jsonl (file_name, text)
    python scripts/train.py --data my_lines --output_dir runs/mine

    # several data sets in Parquet, the `tiny` network at 32 pixels
    python scripts/train.py --data data/a data/b --size tiny --height 32 --max_steps 12000 --output_dir runs/tiny

    # go on after a stop
    python scripts/train.py --data my_lines --output_dir runs/mine --resume_from_checkpoint True
"""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import HfArgumentParser, TrainingArguments, set_seed

from htr_convtext import (
    HTRConvTextConfig,
    HTRConvTextForCTC,
    HTRConvTextImageProcessor,
    HTRConvTextProcessor,
    HTRConvTextTokenizer,
)
from htr_convtext.data import LineCollator, load_sources, select_trainable
from htr_convtext.training import HTRConvTextTrainer, character_metrics


logger = logging.getLogger("train")


@dataclass
class ModelArguments:
    """What is trained, and on what."""

    data: list[str] = field(metadata={"help": "Data sets: Parquet folders or files, image folders with metadata."})
    size: str = field(default="tiny", metadata={"help": "Network: tiny, small or base."})
    height: int = field(default=64, metadata={"help": "Height of the line images in pixels: 32, 48 or 64."})
    max_width: int = field(default=0, metadata={"help": "Widest line in pixels; 0 is 32 times the height."})
    horizontal_scale: float = field(default=1.0, metadata={"help": "Width in units of the aspect-true width."})
    charset: str | None = field(
        default=None, metadata={"help": "UTF-8 file of the characters to learn; by default those of the training text."}
    )
    min_character_count: int = field(
        default=1, metadata={"help": "Characters rarer than this in the training text are left out of the charset."}
    )
    use_tcm: bool = field(default=True, metadata={"help": "Train with the Textual Context Module."})
    ctc_loss_weight: float = field(default=0.1, metadata={"help": "Weight of the CTC loss."})
    tcm_loss_weight: float = field(default=1.0, metadata={"help": "Weight of the textual context loss."})
    hidden_dropout: float = field(default=0.1, metadata={"help": "Dropout of the sub-layers of the encoder."})
    attention_dropout: float = field(default=0.1, metadata={"help": "Dropout of its attention weights."})
    drop_path_rate: float = field(default=0.1, metadata={"help": "Stochastic depth of its last block."})


@dataclass
class LineTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for line recognition."""

    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 32
    learning_rate: float = 1e-3
    adam_beta2: float = 0.99
    weight_decay: float = 0.05
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 150
    max_steps: int = 10_000
    eval_strategy: str = "steps"
    eval_steps: float = 1000
    save_strategy: str = "steps"
    save_steps: float = 1000
    save_total_limit: int = 2
    load_best_model_at_end: bool = True
    metric_for_best_model: str = "cer"
    greater_is_better: bool = False
    logging_steps: float = 50
    remove_unused_columns: bool = False
    seed: int = 123


def build_processor(arguments: ModelArguments, texts: list[str]) -> HTRConvTextProcessor:
    policy = {"unknown": "drop", "unicode_form": "NFC"}
    if arguments.charset:
        tokenizer = HTRConvTextTokenizer.from_charset_file(arguments.charset, **policy)
    else:
        tokenizer = HTRConvTextTokenizer.from_corpus(texts, arguments.min_character_count, **policy)
    size = {"height": arguments.height, "width": arguments.max_width or 32 * arguments.height}
    return HTRConvTextProcessor(
        HTRConvTextImageProcessor(size=size, horizontal_scale=arguments.horizontal_scale), tokenizer
    )


def main() -> None:
    parser = HfArgumentParser(
        (ModelArguments, LineTrainingArguments), description=__doc__.split("\n")[0], epilog=__doc__
    )
    arguments, training_arguments = parser.parse_args_into_dataclasses()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    set_seed(training_arguments.seed)

    try:
        train_lines = load_sources(arguments.data, "train")
        validation_lines = load_sources(arguments.data, "validation")
    except ValueError as error:
        sys.exit(f"train.py: {error}")
    processor = build_processor(arguments, train_lines["text"])
    config = HTRConvTextConfig.from_size(
        arguments.size,
        vocab_size=len(processor.tokenizer),
        use_tcm=arguments.use_tcm,
        ctc_loss_weight=arguments.ctc_loss_weight,
        tcm_loss_weight=arguments.tcm_loss_weight,
        hidden_dropout=arguments.hidden_dropout,
        attention_dropout=arguments.attention_dropout,
        drop_path_rate=arguments.drop_path_rate,
    )
    splits = {}
    for name, lines in (("train", train_lines), ("validation", validation_lines)):
        splits[name], left_out = select_trainable(lines, processor, config)
        logger.info("%s: %d of %d lines; left out: %s", name, len(splits[name]), len(lines), dict(left_out) or "none")
    logger.info(
        "charset: %d characters; dropped from the texts: %s",
        len(processor.tokenizer) - 1,
        dict(processor.tokenizer.unknown_counts.most_common()) or "none",
    )

    model = HTRConvTextForCTC(config).to(memory_format=torch.channels_last)
    logger.info("%s: %.2f M parameters", arguments.size, model.num_parameters() / 1e6)
    trainer = HTRConvTextTrainer(
        model=model,
        args=training_arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=LineCollator(processor),
        processing_class=processor,
        compute_metrics=character_metrics(processor.tokenizer),
    )
    resume = training_arguments.resume_from_checkpoint
    trainer.train(resume_from_checkpoint=True if resume in ("True", "true") else resume)
    trainer.save_model(str(Path(training_arguments.output_dir) / "best"))


if __name__ == "__main__":
    main()
