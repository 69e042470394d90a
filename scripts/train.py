"""Train a line recogniser with CTC and the Textual Context Module.

Settings come from the command line, or from a YAML file with the same names and then the command line, which wins.
The output folder holds checkpoints, TensorBoard logs, curves.png, samples.png and, at the end, the best model in best/.
SIGTERM or Ctrl-C ends training after the step with a checkpoint; resumed from there it gives what it would have given,
unless the clock decides (--max_minutes). Network, charset, text policy and image size are then those of the checkpoint.

Examples:
    # your own lines: train/ and validation/ folders of images, each with metadata.jsonl (file_name, text)
    python scripts/train.py --data my_lines --output_dir runs/mine

    # several data sets, the `tiny` network at 32 pixels, for three hours
    python scripts/train.py --data data/a data/b --size tiny --height 32 --max_minutes 180 --output_dir runs/tiny

    # twice as many lines of one as of the other, whatever their sizes
    python scripts/train.py --data data/a data/b --source_weights a=2 --output_dir runs/mine

    # the published recipe, on four GPUs
    accelerate launch --num_processes 4 scripts/train.py scripts/configs/iam.yaml --per_device_train_batch_size 16

    # go on from the model of this package, or from a saved one (--model DIR)
    python scripts/train.py --data my_lines --model bundled --max_steps 2000 --output_dir runs/mine

    # go on after a stop, or start if there is nothing to go on from
    python scripts/train.py --data my_lines --output_dir runs/mine --resume_from_checkpoint True

    # see what augmentation does to the lines
    python scripts/train.py --data my_lines --output_dir runs/mine --preview augmentations.png
"""

import logging
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import set_seed

from htr_convtext.data import (
    LineAugmentation,
    LineCollator,
    TextPolicy,
    load_sources,
    preview_augmentations,
    select_trainable,
)
from htr_convtext.data.lines import open_line
from htr_convtext.data.sampler import source_shares
from htr_convtext.loading import load_model
from htr_convtext.training import (
    HTRConvTextTrainer,
    build_model,
    character_metrics,
    find_checkpoint,
    find_text_policy,
    is_finished,
    parse_arguments,
    parse_weights,
)
from processing import HTRConvTextProcessor


logger = logging.getLogger("train")


def preview(
    lines: Dataset, processor: HTRConvTextProcessor, augmentation: LineAugmentation, path: str, count: int = 2
) -> None:
    """Draws some lines as the network gets them, and what augmentation makes of them."""
    images = []
    for line in lines:
        try:
            pixels = processor.image_processor(open_line(line["image"]), do_pad=False).pixel_values[0]
        except ValueError as error:
            logger.warning("Not shown: %s", error)
            continue
        images.append(torch.as_tensor(pixels))
        if len(images) == count:
            break
    preview_augmentations(images, augmentation, path)
    print(f"{path} shows {len(images)} training lines and what augmentation does to them.")


def main() -> None:
    arguments, training_arguments = parse_arguments(
        sys.argv[1:], usage="train.py [SETTINGS.yaml] --data DATA [DATA ...] --output_dir DIR [options]",
        description=__doc__,
    )  # fmt: skip
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if training_arguments.process_index:
        logging.disable(logging.INFO)
    set_seed(training_arguments.seed)
    output = Path(training_arguments.output_dir)
    try:
        from htr_convtext.training.pictures import TrainingPictures  # needs what only `.[train]` installs

        checkpoint = None if arguments.preview else find_checkpoint(output, training_arguments.resume_from_checkpoint)
        augmentation = LineAugmentation.from_preset(arguments.augmentation, arguments.augmentation_strength)
        if checkpoint is None:
            policy = find_text_policy(arguments)
        else:  # the data may have changed since, the classes of the network must not
            model, processor = load_model(checkpoint)
            policy = TextPolicy.of(processor.tokenizer)
        splits = {name: policy.apply(load_sources(arguments.data, name)) for name in ("train", "validation")}
        weights = parse_weights(training_arguments.source_weights)
        if weights:
            source_shares(splits["train"]["source"], weights)
        if checkpoint is None:
            model, processor = build_model(arguments, splits["train"]["text"], policy)
        if arguments.preview:
            lines = splits["train"].shuffle(seed=training_arguments.seed)
            preview(lines, processor, augmentation, arguments.preview)
            return
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"train.py: {error}")
    for name, lines in splits.items():
        splits[name], left_out = select_trainable(lines, processor, model.config)
        log = logger.warning if left_out else logger.info
        log("%s: %d of %d lines; left out: %s", name, len(splits[name]), len(lines), dict(left_out) or "none")
        if not len(splits[name]):
            sys.exit(f"train.py: no line of the {name} split can be used: {dict(left_out)}")
    try:
        if weights:
            source_shares(splits["train"]["source"], weights)
    except ValueError as error:
        sys.exit(f"train.py: of the lines that can be used: {error}")
    dropped = processor.tokenizer.unknown_counts.most_common()
    logger.info("text policy: %s", policy)
    logger.info("charset: %d characters; dropped from the texts: %s", len(processor.tokenizer) - 1, dropped or "none")
    logger.info("network: %.2f M parameters", model.num_parameters() / 1e6)

    trainer = HTRConvTextTrainer(
        model=model.to(memory_format=torch.channels_last),
        args=training_arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"].sort("width"),  # little padding in its batches
        data_collator=LineCollator(processor),
        processing_class=processor,
        compute_metrics=character_metrics(processor.tokenizer),
        augmentation=augmentation,
    )
    trainer.add_callback(TrainingPictures(trainer, processor.tokenizer))
    try:
        if checkpoint and is_finished(checkpoint, training_arguments):
            trainer.load_finished(checkpoint)
        else:
            trainer.train(resume_from_checkpoint=checkpoint)
    except FileNotFoundError as error:  # of the checkpoint
        sys.exit(f"train.py: {error}")
    trainer.leave_process_group()
    if trainer.stopped_by:
        logger.warning("Stopped at step %d. --resume_from_checkpoint True goes on.", trainer.state.global_step)
        sys.exit(128 + trainer.stopped_by)
    trainer.save_model(str(output / "best"))
    logger.info("The best model is in %s; scripts/export.py makes a folder to share of it.", output / "best")


if __name__ == "__main__":
    main()
