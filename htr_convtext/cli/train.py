"""Train a line recogniser with CTC and the Textual Context Module.

Settings come from the command line, or from a YAML file with the same names and then the command line, which wins.
The output folder holds checkpoints, TensorBoard logs, curves.png, samples.png and, at the end, the best model in best/.
SIGTERM or Ctrl-C ends training after the step with a checkpoint; resumed from there it gives what it would have given,
unless the clock decides (--max_minutes). Network, charset, text policy and image size are then those of the checkpoint.

Examples:
    # your own lines: train/ and validation/ folders of images, each with metadata.jsonl (file_name, text)
    %(prog)s --data my_lines --output_dir runs/mine

    # several data sets, the `tiny` network at 32 pixels, for three hours; of one twice as many lines as of the other
    %(prog)s --data data/a data/b --source_weights a=2 --size tiny --height 32 --max_minutes 180 --output_dir runs/tiny

    # the published recipe, on four GPUs
    accelerate launch --num_processes 4 scripts/train.py scripts/configs/iam.yaml --per_device_train_batch_size 16

    # go on from the model of this package, or from a saved one (--model DIR)
    %(prog)s --data my_lines --model bundled --max_steps 2000 --output_dir runs/mine

    # go on after a stop, or start if there is nothing to go on from
    %(prog)s --data my_lines --output_dir runs/mine --resume_from_checkpoint True

    # see what augmentation does to the lines
    %(prog)s --data my_lines --output_dir runs/mine --preview augmentations.png
"""

import argparse
import logging


def parse(words: list[str], prog: str) -> argparse.Namespace:
    from htr_convtext.training import parse_arguments

    arguments, training_arguments = parse_arguments(
        words, prog=prog, usage=f"{prog} [SETTINGS.yaml] --data SOURCE [SOURCE ...] --output_dir DIR [options]",
        description=__doc__,
    )  # fmt: skip
    return argparse.Namespace(arguments=arguments, training_arguments=training_arguments)


def run(settings: argparse.Namespace) -> int:
    from htr_convtext.training import finish, preview, train

    arguments, training_arguments = settings.arguments, settings.training_arguments
    logging.getLogger("htr_convtext").setLevel(logging.WARNING if training_arguments.process_index else logging.INFO)
    if arguments.preview:
        count = preview(arguments, training_arguments)
        print(f"{arguments.preview} shows {count} training lines and what augmentation does to them.")
        return 0
    outcome = train(arguments, training_arguments)
    if outcome.stopped_by:
        return 128 + outcome.stopped_by
    finish(outcome)
    return 0
