"""Two steps of the trainer on drawn lines; `test_resume.py` runs it in one process and in two."""

import sys

from htr_convtext.data import LineCollator, load_lines, select_trainable
from htr_convtext.training import HTRConvTextTrainer, LineTrainingArguments
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer
from tests.conftest import CHARSET, build_model


def main(data: str, output: str, batch_size: str) -> None:
    model = build_model(use_tcm=True).double()  # so that only mistakes show, not rounding
    image_processor = HTRConvTextImageProcessor(size={"height": 32, "width": 512})
    processor = HTRConvTextProcessor(image_processor, HTRConvTextTokenizer.from_charset(CHARSET))
    lines, _ = select_trainable(load_lines(data, "train"), processor, model.config)
    # SGD: where the true gradient is 0, Adam would make steps of rounding errors.
    arguments = LineTrainingArguments(
        output_dir=output, max_steps=2, per_device_train_batch_size=int(batch_size), gradient_accumulation_steps=2,
        optim="sgd", learning_rate=1e-3, warmup_steps=0, sam_rho=0.05, ema_decay=0.9, eval_strategy="no", save_steps=2,
        load_best_model_at_end=False, use_cpu=True, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    HTRConvTextTrainer(
        model=model, args=arguments, train_dataset=lines, data_collator=LineCollator(processor),
        processing_class=processor,
    ).train()  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
