"""Lines to a batch of tensors."""

import torch

from processing import HTRConvTextProcessor

from .lines import open_line


class LineCollator:
    """
    Opens the images of a list of lines and batches them.

    Returns `pixel_values` `(batch_size, 1, height, width)`, `pixel_mask` `(batch_size, width)` (unless the image
    processor leaves it out) and `labels` `(batch_size, length)` padded with -100.
    """

    def __init__(self, processor: HTRConvTextProcessor):
        self.processor = processor

    def __call__(self, lines: list[dict]) -> dict[str, torch.Tensor]:
        batch = self.processor(
            images=[open_line(line["image"]) for line in lines], text=[line["text"] for line in lines]
        )
        labels = batch["labels"]
        batch["labels"] = labels.masked_fill(labels == self.processor.tokenizer.pad_token_id, -100)
        return dict(batch)
