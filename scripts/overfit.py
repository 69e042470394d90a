"""Let a new model learn a few lines by heart: the quickest check that data, charset and image size fit together.

A network that cannot read its own training lines without an error after some minutes will not learn from more of them:
look for wrong transcriptions, lines squeezed to fewer frames than characters, or a learning rate that does not fit.

Examples:
    python scripts/overfit.py --data my_lines
    python scripts/overfit.py --data my_lines --lines 64 --size small --height 48
"""

import argparse
import logging
import sys
import tempfile

import torch
from transformers import ProgressCallback, TrainerCallback, set_seed

from htr_convtext.cli import positive_int
from htr_convtext.data import LineCollator, TextPolicy, load_sources, select_trainable
from htr_convtext.training import (
    HTRConvTextTrainer,
    LineTrainingArguments,
    ModelArguments,
    build_model,
    character_metrics,
)


class StopAtZero(TrainerCallback):
    """Ends training once every line is read without an error."""

    def on_evaluate(self, args, state, control, metrics: dict[str, float], **kwargs):
        print(f"step {state.global_step}: CER {100 * metrics['eval_cer']:.2f} %", flush=True)
        if metrics["eval_cer"] == 0:
            control.should_training_stop = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="SOURCE", help="data sets, as train.py takes them")
    parser.add_argument("--lines", type=positive_int, default=32, help="lines to learn (default: 32)")
    parser.add_argument("--size", choices=("tiny", "small", "base"), default="tiny", help="network (default: tiny)")
    parser.add_argument("--height", type=positive_int, default=32, help="height of the lines (default: 32)")
    parser.add_argument("--max-steps", type=positive_int, default=600, help="steps to give up after (default: 600)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="peak learning rate (default: 0.001)")
    parser.add_argument("--seed", type=int, default=123, help="which lines, and the start (default: 123)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    set_seed(arguments.seed)
    try:
        lines = load_sources(arguments.data, "train").shuffle(seed=arguments.seed)
        lines = TextPolicy().apply(lines.select(range(min(arguments.lines, len(lines)))))
        settings = ModelArguments(
            data=arguments.data, size=arguments.size, height=arguments.height, hidden_dropout=0, attention_dropout=0,
            drop_path_rate=0,
        )  # fmt: skip
        model, processor = build_model(settings, lines["text"])
    except (OSError, ValueError) as error:
        sys.exit(f"overfit.py: {error}")
    lines, left_out = select_trainable(lines, processor, model.config)
    if left_out:
        print(f"left out: {dict(left_out)}", file=sys.stderr)
    if not len(lines):
        sys.exit("overfit.py: none of the lines can be used.")
    print(f"{len(lines)} lines, {model.num_parameters() / 1e6:.2f} M parameters", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = HTRConvTextTrainer(
            model=model.to(memory_format=torch.channels_last),
            args=LineTrainingArguments(
                output_dir=folder, max_steps=arguments.max_steps, learning_rate=arguments.learning_rate,
                warmup_steps=50, eval_steps=50, save_strategy="no", load_best_model_at_end=False,
                ema_decay=0.98, bf16=not torch.accelerator.is_available() or torch.cuda.is_bf16_supported(),
                weight_decay=0, logging_strategy="no", report_to="none", seed=arguments.seed,
            ),
            train_dataset=lines, eval_dataset=lines.sort("width"), data_collator=LineCollator(processor),
            compute_metrics=character_metrics(processor.tokenizer), callbacks=[StopAtZero()],
        )  # fmt: skip
        trainer.remove_callback(ProgressCallback)  # it would print every evaluation a second time
        trainer.train()
        if trainer.stopped_by:
            sys.exit(128 + trainer.stopped_by)
        cer, steps = trainer.evaluate()["eval_cer"], trainer.state.global_step
    if cer > 0:
        sys.exit(f"overfit.py: after {steps} steps the CER is still {100 * cer:.2f} %.")
    print(f"All {len(lines)} lines are read without an error after {steps} steps.")


if __name__ == "__main__":
    main()
