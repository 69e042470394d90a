"""Batches that are no batches: an error that says what is wrong, of every family."""

import numpy as np
import pytest
import torch

from htr_convtext import InputError
from tests.helpers import build_attention_htr, build_htr_vt, build_model


@pytest.fixture(params=["convtext", "htr-vt", "attention-htr", "crnn"])
def network(request):
    """A model and a batch of three images and texts."""
    generator = torch.Generator().manual_seed(0)
    if request.param in ("convtext", "htr-vt"):
        model = build_model() if request.param == "convtext" else build_htr_vt()
        batch = {
            "pixel_values": torch.rand(3, 1, 32, 64, generator=generator),
            "pixel_mask": torch.ones(3, 64, dtype=torch.long),
        }
    else:
        model, _ = build_attention_htr(request.param)
        batch = {"pixel_values": torch.rand(3, 1, *model.config.image_size, generator=generator)}
    return model.eval(), {**batch, "labels": torch.tensor([[5, 6, -100], [4, 5, 6], [7, -100, -100]])}


def refuses(network, message, **changes):
    model, batch = network
    with pytest.raises(ValueError, match=message), torch.no_grad():
        model(**{**batch, **changes})


def test_what_is_right_is_taken(network):
    model, batch = network
    with torch.no_grad():
        assert torch.isfinite(model(**batch).loss)
        batch["labels"] = batch["labels"].int()
        assert torch.isfinite(model(**batch).loss)
    labels = torch.zeros(3, 0)  # what a tokenizer makes of empty texts, but for attention: that has an end symbol
    if getattr(model, "decoder", None) is not None:
        refuses(network, "with attention each text has the end symbol", labels=labels)
    else:
        with torch.no_grad():
            model(**{**batch, "labels": labels})


def test_images_that_are_none(network):
    pixels = network[1]["pixel_values"]
    for wrong in (pixels[:0], pixels[..., :0], pixels[0], pixels[:, 0]):
        refuses(network, "pixel_values.*batch_size, num_channels", pixel_values=wrong)
    for value in (float("nan"), float("inf"), -float("inf")):
        wrong = pixels.clone()
        wrong[1, 0, 3, 5] = value
        refuses(network, "not finite", pixel_values=wrong)
        refuses(network, "not finite", pixel_values=wrong.half())


def test_masks_of_another_shape(network):
    _model, batch = network
    if "pixel_mask" not in batch:
        return
    mask = batch["pixel_mask"]
    for wrong in (mask[:2], mask[:, :40], mask[..., None], mask[0]):
        refuses(network, "pixel_mask.*batch_size, width", pixel_mask=wrong)


def test_labels_that_are_none(network):
    labels = network[1]["labels"]
    refuses(network, "integers.*float", labels=labels.float())
    refuses(network, "integers.*bool", labels=labels > 0)
    refuses(network, "labels.*batch_size, length", labels=labels[:2])
    refuses(network, "labels.*batch_size, length", labels=labels[0])
    refuses(network, "Label -1 is outside", labels=labels.masked_fill(labels == 5, -1))
    refuses(network, "Label 9999 is outside", labels=labels.masked_fill(labels == 5, 9999))


def test_empty_batches_of_the_processor(processor):
    for images in ([], ()):
        with pytest.raises(InputError, match="batch is empty"):
            processor(images=images)
    with pytest.raises(InputError, match="not finite"):
        processor(images=np.full((32, 64), np.nan))
    with pytest.raises(InputError, match="no image"):
        processor(images=[object()])
