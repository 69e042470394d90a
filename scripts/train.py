"""Train a line recogniser with CTC and the Textual Context Module.

Examples:
    # your own lines: train/ and validation/ folders of images, each with metadata.jsonl (file_name, text)
    python scripts/train.py --data my_lines --output_dir runs/mine

    # several data sets in Parquet, the `tiny` network at 32 pixels
    python scripts/train.py --data data/a data/b --size tiny --height 32 --max_steps 12000 --output_dir runs/tiny

    # go on from a saved model
    python scripts/train.py --data my_lines --model my_model --max_steps 2000 --output_dir runs/mine

    # go on after a stop
    python scripts/train.py --data my_lines --output_dir runs/mine --resume_from_checkpoint True
"""

import argparse
import logging
import sys
from pathlib import Path

import torch
from transformers import HfArgumentParser, set_seed

from htr_convtext.data import LineCollator, load_sources, select_trainable
from htr_convtext.training import (
    HTRConvTextTrainer,
    LineTrainingArguments,
    ModelArguments,
    build_model,
    character_metrics,
)


logger = logging.getLogger("train")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults, and the examples as they are written."""


def main() -> None:
    parser = HfArgumentParser(
        (ModelArguments, LineTrainingArguments),
        usage="train.py --data DATA [DATA ...] --output_dir DIR [options]",
        description=__doc__,
        formatter_class=HelpFormatter,
    )
    arguments, training_arguments = parser.parse_args_into_dataclasses()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    set_seed(training_arguments.seed)

    try:
        splits = {name: load_sources(arguments.data, name) for name in ("train", "validation")}
        model, processor = build_model(arguments, splits["train"]["text"])
    except (OSError, ValueError) as error:
        sys.exit(f"train.py: {error}")
    for name, lines in splits.items():
        splits[name], left_out = select_trainable(lines, processor, model.config)
        logger.info("%s: %d of %d lines; left out: %s", name, len(splits[name]), len(lines), dict(left_out) or "none")
        if not len(splits[name]):
            sys.exit(f"train.py: no line of the {name} split can be used: {dict(left_out)}")
    dropped = processor.tokenizer.unknown_counts.most_common()
    logger.info("charset: %d characters; dropped from the texts: %s", len(processor.tokenizer) - 1, dropped or "none")
    logger.info("network: %.2f M parameters", model.num_parameters() / 1e6)

    trainer = HTRConvTextTrainer(
        model=model.to(memory_format=torch.channels_last),
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
