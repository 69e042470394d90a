"""What the library asks of a family of models."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL import Image
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from processing.model_facts import ModelFacts

from ..decoding import decode_greedily
from ..errors import InputError


class Family(ABC):
    """
    One model type.

    Besides what is here, its models offer what the trainer asks: `loss_parts`, `freeze_backbone()`, `read_ids(outputs)`
    and the losses among their outputs; its processors `recognize` and `write_model_card`, where it reads frames (CTC)
    also `decoder`, `line_frames` and `read_frames`; its image processors `fetch_images`, `process_image` and
    `visible_width`.
    """

    model_type: ClassVar[str]
    configurations: ClassVar[tuple[str, ...]]  # named networks, of which no two families have the same
    unregularised: ClassVar[Mapping[str, Any]] = {}  # settings without dropout and the like: to learn lines by heart
    auto_model: ClassVar[type]  # the Auto class of the network with its head
    tokenizer_class: ClassVar[type[PreTrainedTokenizerBase]]

    @abstractmethod
    def register(self) -> None:
        """Makes the Auto classes know the classes of this family."""

    @abstractmethod
    def new_model(
        self, tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]
    ) -> tuple[PreTrainedModel, ProcessorMixin]:
        """
        A new network and its processor.

        Args:
            settings: Those of `ModelArguments` that were given.

        Raises:
            InputError: names the setting that the family has not, or its value.
        """

    @abstractmethod
    def changes_for_training(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a saved configuration to replace before its model is trained on."""

    @abstractmethod
    def changes_for_sharing(self) -> dict[str, Any]:
        """The values of a saved configuration to replace so that its model has only what reading needs."""

    @abstractmethod
    def reading_settings(self, config: PreTrainedConfig) -> dict[str, Any]:
        """The values of a configuration on which it depends what a model with given weights reads."""

    @abstractmethod
    def change_processor(self, processor: ProcessorMixin, settings: Mapping[str, Any]) -> None:
        """
        Applies what `settings` say of the images to the processor of a saved model.

        Raises:
            InputError: names the value that cannot be used.
        """

    @abstractmethod
    def add_characters(self, model: PreTrainedModel, processor: ProcessorMixin, characters: str) -> None:
        """Grows a saved model by the characters that it does not know; what it learned stays."""

    @abstractmethod
    def replace_charset(
        self, model: PreTrainedModel, processor: ProcessorMixin, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """Gives a saved model another tokenizer; the weights of shared characters stay."""

    @abstractmethod
    def settings_of(self, model: PreTrainedModel, processor: ProcessorMixin) -> dict[str, Any]:
        """What all settings of the family are in a model that is there."""

    @abstractmethod
    def reason_against(self, labels: Sequence, width: int, config: PreTrainedConfig) -> str | None:
        """
        Why a line cannot be trained on, or `None`.

        Args:
            labels: Its characters, or their ids.
            width: Of its resized image in pixels (`visible_width`).
        """

    @abstractmethod
    def is_narrow(self, text: str, height: int, width: int) -> bool:
        """Whether a line, in pixels as stored, is too narrow for its text with the default image size and network."""

    @property
    @abstractmethod
    def default_frames(self) -> str:
        """What is meant there by the default, in words."""

    # --- reading ---

    def open_image(self, processor: ProcessorMixin, image: Any) -> Image.Image:
        """
        An image as the processor takes it, upright: of a file name, URL, Pillow image, array, or what `datasets` did
        not decode.

        Raises:
            InputError: if it cannot be opened.
        """
        return processor.image_processor.process_image(processor.image_processor.fetch_images(image))

    def recognize(
        self, model: PreTrainedModel, processor: ProcessorMixin, images: Sequence[Image.Image], decoder: Any
    ) -> list[dict[str, Any]]:
        """Of each image `text`, `score` and `characters`: of each `char`, `score`, `start` and `end`, its columns."""
        return processor.recognize(model, images, decoder)

    def reads_frames(self, config: PreTrainedConfig) -> bool:
        """Whether `recognize` takes a `Decoder`, which makes text of the probabilities of frames (CTC)."""
        return True

    def decoder(
        self, name: str | None, language: str | None, config: PreTrainedConfig, processor: ProcessorMixin
    ) -> tuple[str, Any]:
        """
        What `recognize` takes to decode greedily (`"greedy"`), by a beam search (`"beam"`) or with a language model
        (`"lm"`), by default the best that a saved model has, and its name.

        Args:
            language: Of the language models of the processor the one to use.

        Raises:
            InputError: if there is none of this name, or it is not installed.
        """
        decoder = processor.decoder(name, language)
        return name or ("greedy" if decoder is decode_greedily else "lm"), decoder

    def charset(self, processor: ProcessorMixin) -> str | None:
        """The characters that a model can write, or `None` if that cannot be told."""
        return processor.tokenizer.charset

    # --- saving ---

    def write_model_card(
        self, folder: str | os.PathLike, model: PreTrainedModel, processor: ProcessorMixin, facts: ModelFacts | None
    ) -> None:
        """Writes the card of a model to a folder, before it is saved there; see `processing/model_card.py`."""
        processor.write_model_card(folder, model, facts)

    # --- published checkpoints ---

    def recognizes(self, checkpoint: Mapping[str, Any]) -> bool:
        """Whether a checkpoint that other programs saved is one of this family."""
        return False

    def convert(
        self, checkpoint: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[PreTrainedModel, ProcessorMixin]:
        """
        The model of a published checkpoint, and the processor of the published system.

        Args:
            settings: Those of `htr convert` that were given: `charset`, `weights`, `keep_tcm`.

        Raises:
            CheckpointError: if it is none of this family, or of another charset.
            InputError: names the setting that is missing or has no meaning for the family.
        """
        raise NotImplementedError

    def training_sets(self, name: str) -> tuple[str, ...]:
        """What a published checkpoint was trained on, where its file name tells."""
        return ()

    def refuse_unknown(self, settings: Mapping[str, Any], known: Sequence[str]) -> None:
        """Raises an `InputError` that names the settings that are not among `known`."""
        unknown = [name for name in settings if name not in known]
        if unknown:
            raise InputError(f"A {self.model_type} model has no setting {', '.join(unknown)}; leave it out.")


def choose_search(searches: Mapping[str, Any], name: str | None, language: str | None) -> tuple[str, Any]:
    """
    For `Family.decoder` of networks that write one character after the other: `"greedy"` or another search.

    Raises:
        InputError: if there is none of this name, or a language is asked for.
    """
    name = name or "greedy"
    if name not in searches or language is not None:
        asked = f"decoder {name!r}" if language is None else f"language model {language!r}"
        raise InputError(f"There is no {asked} for a network that is not read by CTC; choose {' or '.join(searches)}.")
    return name, searches[name]
