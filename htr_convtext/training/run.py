"""A training run, from its settings to the model that it came to."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, ProcessorMixin, TrainerCallback, set_seed

from htr_convtext.data import (
    LineAugmentation,
    TextPolicy,
    augment_normalized,
    load_sources,
    preview_augmentations,
    select_trainable,
)
from htr_convtext.data.items import counted
from htr_convtext.data.sampler import source_shares
from htr_convtext.errors import InputError
from htr_convtext.export import MAY_BE_STALE
from htr_convtext.families import family_of
from htr_convtext.loading import find_model
from htr_convtext.model_card import ModelFacts, SetResult
from htr_convtext.whole_files import whole_folder
from processing.images import open_image

from .arguments import METRICS, LineTrainingArguments, ModelArguments, parse_weights
from .build import build_model, find_text_policy, load_checkpoint, refuse_other_count
from .checkpoints import find_checkpoint, is_finished
from .scores import Scores, score_lines
from .trainer import LineTrainer, character_metrics


logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """
    What a run came to.

    Attributes:
        trainer: Its model has the weights of the best evaluation, or the last ones, averaged if they are.
        policy: The text policy of all lines.
        base_model: The saved model that it went on from.
        data: The names of the data sets.
        steps, lines_seen, lines: Steps made, training lines that were seen in them, and training lines.
        scores: CER and WER on all validation lines; `None` without evaluations, or if a signal ended the run.
        set_scores: Those of each data set.
    """

    trainer: LineTrainer
    policy: TextPolicy
    base_model: str | None
    data: list[str]
    steps: int
    lines_seen: int
    lines: int
    scores: Scores | None = None
    set_scores: dict[str, Scores] = field(default_factory=dict)
    stopped_by: int | None = field(init=False)  # the signal that ended it early, if one did

    def __post_init__(self):
        self.stopped_by = self.trainer.stopped_by


def train(
    arguments: ModelArguments,
    training_arguments: LineTrainingArguments,
    splits: Mapping[str, Dataset] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    pictures: bool = True,
) -> Outcome:
    """
    Trains a new model, a saved one, or goes on with a run, as the settings say.

    Args:
        splits: The lines (`image`, `text`, `source`) of `train` and, unless the training lines are for that too,
            `validation`; by default those of `arguments.data`.
        pictures: Whether to draw curves and samples into the output folder.

    Raises:
        InputError: names the setting, data set, model or checkpoint that cannot be used.
        ModuleNotFoundError: names what must be installed.
        OSError: if a file cannot be read.
    """
    if training_arguments.metric_for_best_model.removeprefix("eval_") not in METRICS:
        raise InputError(
            f"--metric_for_best_model {training_arguments.metric_for_best_model}: choose one of {', '.join(METRICS)}."
        )
    set_seed(training_arguments.seed)
    checkpoint = find_checkpoint(training_arguments.output_dir, training_arguments.resume_from_checkpoint)
    augmentation = LineAugmentation.from_preset(arguments.augmentation, arguments.augmentation_strength)
    if checkpoint is None:
        model, processor, policy, splits = start(arguments, training_arguments, splits)
    else:  # the data may have changed since, the classes of the network must not
        model, processor, policy = load_checkpoint(arguments, checkpoint)
        splits = load_splits(arguments, training_arguments, policy, splits)
        refuse_other_count(arguments, splits["train"]["text"], processor, family_of(model.config))
    splits = {name: usable_lines(name, lines, model, processor, arguments) for name, lines in splits.items()}
    check_weights(training_arguments, splits["train"], "of the lines that can be used: ")
    dropped = processor.tokenizer.unknown_counts.most_common()
    logger.info("text policy: %s", policy)
    charset = processor.tokenizer.charset
    logger.info("charset: %d characters; dropped from the texts: %s", len(charset), dropped or "none")
    logger.info("network: %.2f M parameters", model.num_parameters() / 1e6)

    if arguments.model and checkpoint is None and training_arguments.eval_strategy != "no":
        training_arguments.eval_on_start = True  # what training brought is the difference
    trainer = LineTrainer(
        model=model.to(memory_format=torch.channels_last),
        args=training_arguments,
        train_dataset=splits["train"],
        eval_dataset=by_width(splits.get("validation", splits["train"])),
        data_collator=processor,
        processing_class=processor,
        compute_metrics=character_metrics(processor.tokenizer),
        augmentation=augment_normalized(augmentation, processor.image_processor),
        callbacks=list(callbacks),
    )
    if pictures:
        from .pictures import TrainingPictures  # slow to import

        trainer.add_callback(TrainingPictures(trainer, processor.tokenizer))
    if checkpoint and is_finished(checkpoint, training_arguments):
        trainer.load_finished(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=checkpoint)
    return outcome_of(trainer, arguments, policy)


def start(
    arguments: ModelArguments, training_arguments: LineTrainingArguments, splits: Mapping[str, Dataset] | None = None
) -> tuple[PreTrainedModel, ProcessorMixin, TextPolicy, dict[str, Dataset]]:
    """The model, processor, text policy and lines that a run begins with."""
    policy = find_text_policy(arguments)
    splits = load_splits(arguments, training_arguments, policy, splits)
    model, processor = build_model(arguments, splits["train"]["text"], policy)
    return model, processor, policy, splits


def load_splits(
    arguments: ModelArguments,
    training_arguments: LineTrainingArguments,
    policy: TextPolicy,
    splits: Mapping[str, Dataset] | None = None,
) -> dict[str, Dataset]:
    """The lines of all splits, their texts in the form of the policy."""
    if splits is None:
        splits = {name: load_sources(arguments.data, name) for name in ("train", "validation")}
    splits = {name: policy.apply(lines) for name, lines in splits.items()}
    check_weights(training_arguments, splits["train"])
    return splits


def check_weights(training_arguments: LineTrainingArguments, lines: Dataset, where: str = "") -> None:
    """Raises an `InputError` if a data set is to be weighed of which there is no line."""
    weights = parse_weights(training_arguments.source_weights)
    if weights:
        try:
            source_shares(lines["source"], weights)
        except InputError as error:
            raise InputError(f"{where}{error}") from None


def usable_lines(
    split: str, lines: Dataset, model: PreTrainedModel, processor: ProcessorMixin, arguments: ModelArguments
) -> Dataset:
    """The lines that the model can be trained on; how many are left out is logged."""
    usable, left_out = select_trainable(
        lines,
        processor,
        model.config,
        leave_out_unknown=arguments.unknown_characters == "leave_out",
        max_characters=arguments.max_characters,
    )
    log = logger.warning if left_out else logger.info
    log("%s: %d of %d lines; left out: %s", split, len(usable), len(lines), counted(left_out) or "none")
    if not len(usable):
        raise InputError(f"no line of the {split} split can be used: {counted(left_out)}.")
    return usable


def by_width(lines: Dataset) -> Dataset:
    """The lines from narrow to wide: there is little padding in batches of them."""
    return lines.select(np.argsort(lines["width"], kind="stable"))


def outcome_of(trainer: LineTrainer, arguments: ModelArguments, policy: TextPolicy) -> Outcome:
    """Sums a run up and measures its model, if it has come to its end."""
    args, steps, lines = trainer.args, trainer.state.global_step, len(trainer.train_dataset)
    seen = steps * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    names = sorted(set(trainer.train_dataset["source"]))
    outcome = Outcome(trainer, policy, arguments.model, names, steps, seen, lines)
    if seen < lines:
        logger.info("%s steps: less than an epoch, %s of %s lines", f"{steps:,}", f"{seen:,}", f"{lines:,}")
    else:
        logger.info("%s steps: %.1f epochs of %s lines", f"{steps:,}", seen / lines, f"{lines:,}")
    if outcome.stopped_by:
        logger.warning("Stopped at step %d. --resume_from_checkpoint True goes on.", steps)
    elif args.eval_strategy != "no":
        outcome.scores, outcome.set_scores = measure(trainer, policy)
        logger.info("validation: %s", outcome.scores)
    trainer.leave_process_group()
    return outcome


def measure(trainer: LineTrainer, policy: TextPolicy) -> tuple[Scores, dict[str, Scores]]:
    """The scores on all validation lines and on those of each data set, of the model that training came to."""
    state, best = trainer.state, trainer.best_checkpoint
    step = state.global_step if best is None else int(best.rpartition("-")[2])
    evaluated = [entry["step"] for entry in state.log_history if "eval_loss" in entry]
    if trainer.last_predictions is None or evaluated[-1:] != [step]:
        trainer.predict(trainer.eval_dataset)
    readings = [policy(trainer.processing_class.tokenizer.decode(ids)) for ids in trainer.last_predictions]
    references, sources = trainer.eval_dataset["text"], trainer.eval_dataset["source"]
    pairs = list(zip(references, readings, strict=True))
    parts = {
        name: [pair for pair, source in zip(pairs, sources, strict=True) if source == name]
        for name in sorted(set(sources))
    }
    scores = {name: score_lines(*zip(*part, strict=True)) for name, part in parts.items()}
    return score_lines(references, readings), scores


def finish(outcome: Outcome) -> Path:
    """Saves the model that a run came to as a folder with its card, `best` in its output folder."""
    trainer = outcome.trainer
    folder = Path(trainer.args.output_dir) / "best"
    is_writer = trainer.is_world_process_zero()
    with whole_folder(folder, stale=MAY_BE_STALE) if is_writer else nullcontext(folder) as place:
        trainer.save_model(str(place))
        if is_writer:
            trainer.processing_class.write_model_card(folder, trainer.model, facts_of(outcome))
    logger.info("The best model is in %s; `htr export` makes a folder to share of it.", folder)
    return folder


def facts_of(outcome: Outcome) -> ModelFacts:
    """What the card of a model says of the run that it comes from."""
    results = tuple(
        SetResult(
            name, "validation", scores.cer, scores.wer, scores.cer_interval, scores.wer_interval, scores.lines,
            groups="lines", decoder="greedy",
        )
        for name, scores in outcome.set_scores.items()
    )  # fmt: skip
    sources = (str(find_model(outcome.base_model)),) if outcome.base_model else ()
    return ModelFacts(training_sets=tuple(outcome.data), results=results, sources=sources)


def preview(arguments: ModelArguments, training_arguments: LineTrainingArguments, count: int = 2) -> int:
    """
    Draws some training lines as the network gets them, and what augmentation makes of them, to `arguments.preview`.

    Returns how many.
    """
    if training_arguments.resume_from_checkpoint not in (None, "False", "false"):
        raise InputError("--preview shows the lines of a new run; leave --resume_from_checkpoint out.")
    set_seed(training_arguments.seed)
    augmentation = LineAugmentation.from_preset(arguments.augmentation, arguments.augmentation_strength)
    _, processor, _, splits = start(arguments, training_arguments)
    images = []
    for line in splits["train"].shuffle(seed=training_arguments.seed):
        try:
            image = open_image(line["image"])
        except InputError as error:
            logger.warning("Not shown: %s", error)
            continue
        images.append(
            torch.as_tensor(processor.image_processor(image, do_pad=False, do_normalize=False).pixel_values[0])
        )
        if len(images) == count:
            break
    preview_augmentations(images, augmentation, arguments.preview)
    return len(images)
