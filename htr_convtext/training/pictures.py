"""Pictures of a run, in its output folder and TensorBoard: curves, and validation lines with what the model reads."""

from pathlib import Path

from transformers import (
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback

from htr_convtext.evaluation.pictures import draw_samples
from htr_convtext.whole_files import whole_file
from processing.images import open_image


try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise ModuleNotFoundError("Training needs more than reading: pip install 'htr-convtext[train]'") from None


def draw_curves(history: list[dict[str, float]]) -> Figure:
    """Losses, error rates and learning rate over the steps, from a trainer's `log_history`."""
    panels = {
        "loss": {"ctc_loss": "CTC", "tcm_loss": "textual context", "eval_loss": "validation, weighted sum"},
        "error rate on validation": {"eval_cer": "CER", "eval_wer": "WER"},
        "learning rate": {"learning_rate": None},
    }
    figure = Figure(figsize=(15, 4), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name, label in curves.items():
            points = [(entry["step"], float(entry[name])) for entry in history if name in entry]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="." if name.startswith("eval") else None)
        if title == "loss":
            axes.set_yscale("log")
        elif title != "learning rate":
            axes.set_ylim(0, None)
        if axes.lines and axes.lines[0].get_label()[0] != "_":
            axes.legend()
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
    return figure


class TrainingPictures(TrainerCallback):
    """
    After each evaluation writes `curves.png` and `samples.png`, and the samples to TensorBoard where it is on.

    Needs a validation set with `image` and `text`.
    """

    def __init__(self, trainer: Trainer, tokenizer: PreTrainedTokenizerBase, num_samples: int = 8):
        self.trainer, self.tokenizer = trainer, tokenizer
        count = len(trainer.eval_dataset)
        self.indices = sorted({count * number // num_samples for number in range(min(num_samples, count))})
        self.lines = trainer.eval_dataset.select(self.indices)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
        if not state.is_world_process_zero or self.trainer.last_predictions is None:
            return
        readings = [self.tokenizer.decode(self.trainer.last_predictions[index]) for index in self.indices]
        images = [open_image(image) for image in self.lines["image"]]
        samples = draw_samples(images, self.lines["text"], readings)
        figures = {"curves": draw_curves(state.log_history), "samples": samples}
        for name, figure in figures.items():
            with whole_file(Path(args.output_dir) / f"{name}.png") as file:
                figure.savefig(file, dpi=100, format="png")
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                callback.tb_writer.add_figure("samples", figures["samples"], state.global_step)
                pairs = zip(self.lines["text"], readings, strict=True)
                text = "".join(f"    truth: {truth}\n    read:  {reading}\n\n" for truth, reading in pairs)
                callback.tb_writer.add_text("samples", text, state.global_step)
