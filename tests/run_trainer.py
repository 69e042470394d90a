"""Some steps of the trainer on drawn lines; `test_resume.py` runs it in one process and in two."""

import sys
from contextlib import suppress
from pathlib import Path

from htr_convtext.data import load_lines, select_trainable
from htr_convtext.training import LineTrainer, LineTrainingArguments, last_checkpoint
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from tests.helpers import CHARSET, StopAt, build_model


def thread_names() -> list[str]:
    """Of this process; on systems other than Linux none."""
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it ended meanwhile
            names.append(path.read_text().strip())
    return names


def main(data: str, output: str, batch_size: str, stop_at: str) -> None:
    model = build_model(use_tcm=True).double()  # so that only mistakes show, not rounding
    image_processor = HTRConvTextImageProcessor(size={"height": 32, "width": 512})
    processor = HTRConvTextProcessor(image_processor, HTRConvTextTokenizer.from_charset(CHARSET))
    lines, _ = select_trainable(load_lines(data, "train"), processor, model.config)
    # SGD: where the true gradient is 0, Adam would make steps of rounding errors.
    arguments = LineTrainingArguments(
        output_dir=output, max_steps=5, per_device_train_batch_size=int(batch_size), gradient_accumulation_steps=2,
        optim="sgd", learning_rate=1e-3, warmup_steps=0, sam_rho=0.05, ema_decay=0.9, eval_strategy="no", save_steps=5,
        load_best_model_at_end=False, use_cpu=True, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = LineTrainer(
        model=model, args=arguments, train_dataset=lines, data_collator=processor,
        processing_class=processor, callbacks=[StopAt(int(stop_at))],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=last_checkpoint(output))
    trainer.leave_process_group()
    assert "pt_gloo_runloop" not in thread_names()


if __name__ == "__main__":
    main(*sys.argv[1:])
