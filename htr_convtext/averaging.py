"""One model of the weights of several."""

import os
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, ProcessorMixin

from processing.model_facts import ModelFacts

from .errors import InputError
from .export import refuse_own_folder, save_to_share
from .families import family_of
from .loading import load_trained


def average_models(
    models: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    shares: Sequence[float] | None = None,
    half: bool = True,
    facts: ModelFacts | None = None,
) -> PreTrainedModel:
    """
    Writes a folder to share with the weighted mean of the weights of saved models.

    Of a training checkpoint with averaged weights it takes those, as `export_model`. Counters and the processor are
    those of the last model.

    Args:
        models: Folders or Hub ids.
        shares: Of each model, positive; they are divided by their sum. By default all are equal.
        half: Whether to store 16-bit floats.
        facts: What is known of the mean, for its card.

    Raises:
        InputError: names the models that cannot be loaded or differ in more than their weights, or the wrong shares.
    """
    names = [str(model) for model in models]
    shares = normalise_shares(shares, len(names))
    for name in names:
        refuse_own_folder(name, output)
    mean: dict[str, torch.Tensor] = {}
    first: tuple[str, dict] | None = None
    for name, share in zip(names, shares, strict=True):
        network, processor = load_trained(name)
        traits = traits_of(network, processor)
        first = first or (name, traits)
        differing = [trait for trait in traits if traits[trait] != first[1].get(trait)]
        if differing:
            raise InputError(f"{first[0]} and {name} have no mean: they differ in {', '.join(differing)}.")
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                mean[key] = mean.get(key, 0.0) + share * tensor.double()
            else:  # the number of batches that were seen
                mean[key] = tensor
    network.load_state_dict(mean)  # as 32-bit floats again
    facts = facts or ModelFacts()
    processor.calibrations = {}  # of one of the models
    save_to_share(network, processor, output, half, facts.updated(_origin(names, shares)))
    return network


def normalise_shares(shares: Sequence[float] | None, count: int) -> list[float]:
    """
    Shares of `count` models whose sum is 1.

    Raises:
        InputError: if there are fewer or more of them, or one is not positive.
    """
    shares = [1.0] * count if shares is None else list(shares)
    if len(shares) != count:
        raise InputError(f"{len(shares)} shares for {count} models: give one for each.")
    if not count or not all(0 < share < float("inf") for share in shares):
        raise InputError(f"Shares must be positive numbers, of one model at least; got {', '.join(map(str, shares))}.")
    return [share / sum(shares) for share in shares]


def traits_of(network: PreTrainedModel, processor: ProcessorMixin) -> dict[str, object]:
    """What models must have in common for their weights to have a mean that means anything, under its names."""
    tokenizer, image_processor = processor.tokenizer, processor.image_processor
    settings = family_of(network.config).reading_settings(network.config)
    images = {name: value for name, value in image_processor.to_dict().items() if not name.startswith("_")}
    text = {"charset": tokenizer.get_vocab(), "unicode_form": tokenizer.unicode_form}
    text["text policy"] = tokenizer.init_kwargs.get("text_policy")
    return {
        "model_type": network.config.model_type,
        **text,
        **settings,
        **{f"{name} of images": value for name, value in images.items()},
        "shapes of weights": {name: tensor.shape for name, tensor in network.state_dict().items()},
    }


def _origin(names: Sequence[str], shares: Sequence[float]) -> ModelFacts:
    shown = ", ".join(f"{share:.4g}" for share in shares)
    note = (f"The mean of the weights of {len(names)} models, with shares of {shown}.",) if len(names) > 1 else ()
    return ModelFacts(notes=note, sources=tuple(names))
