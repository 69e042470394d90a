"""What `common_suites.py` needs to know about AttentionHTR, with prediction by attention."""

import string

import torch

from modeling_attention_htr import AttentionHTRConfig, AttentionHTRForTextRecognition, AttentionHTRModel
from processing import AttentionHTRImageProcessor, AttentionHTRProcessor, AttentionHTRTokenizer, LinePipeline


CONFIG_CLASS, MODEL_CLASS, HEAD_CLASS = AttentionHTRConfig, AttentionHTRModel, AttentionHTRForTextRecognition
IMAGE_PROCESSOR_CLASS, TOKENIZER_CLASS = AttentionHTRImageProcessor, AttentionHTRTokenizer
PROCESSOR_CLASS, PIPELINE_CLASS, TASK = AttentionHTRProcessor, LinePipeline, "image-to-text"
HEAD_MAPPING_NAMES = "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"

BATCH_SIZE, HEIGHT, WIDTH, NUM_CHANNELS = 3, 32, 40, 1
SEQ_LENGTH = 11  # frames
TINY_CONFIG = {
    "vocab_size": 24,
    "image_size": [HEIGHT, WIDTH],
    "feature_size": 32,
    "hidden_size": 16,
    "num_control_points": 6,
    "max_text_length": 4,
}
TESTER = {"hidden_size": 32, "num_hidden_layers": 2}  # of the frames that the first LSTM layer sees; LSTM layers
CONFIG_PROPERTIES = ["hidden_size", "feature_size", "vocab_size"]
EXPORT_DYNAMIC_AXES = (0,)  # not the width: `torch.export` unrolls an LSTM over the frames
EXPORT_SIZES = [(1, WIDTH), (2, WIDTH), (5, WIDTH)]


def inputs(config: AttentionHTRConfig) -> dict[str, torch.Tensor]:
    """Inputs without labels, batch first."""
    generator = torch.Generator().manual_seed(0)
    return {"pixel_values": torch.rand(BATCH_SIZE, NUM_CHANNELS, HEIGHT, WIDTH, generator=generator) * 2 - 1}


def labels(config: AttentionHTRConfig) -> torch.Tensor:
    return torch.randint(2, config.vocab_size, (BATCH_SIZE, 5), generator=torch.Generator().manual_seed(1))


def tokenizer() -> AttentionHTRTokenizer:
    return AttentionHTRTokenizer.from_charset(string.printable[:95], unknown="drop")


def image_processor_kwargs() -> dict:
    return {"size": {"height": HEIGHT, "width": WIDTH}}


class ModelTests:
    """Replaces the tests that want as many decoder layers as encoder layers, and the base model to have both."""

    has_attentions = False

    def test_hidden_states_output(self):
        for model_class in self.all_model_classes:
            config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
            by_argument = model_class(config).eval()(**inputs, output_hidden_states=True)
            config.output_hidden_states = True
            by_config = model_class(config).eval()(**inputs)
            for outputs in (by_argument, by_config):
                frames = outputs.get("hidden_states") or outputs.encoder_hidden_states
                sizes = [config.feature_size, config.hidden_size, config.hidden_size]
                self.assertEqual([tuple(each.shape) for each in frames], [(BATCH_SIZE, SEQ_LENGTH, n) for n in sizes])
                if model_class is HEAD_CLASS:
                    (states,) = outputs.decoder_hidden_states
                    self.assertEqual(states.shape, (*outputs.logits.shape[:2], config.hidden_size))

    def test_retain_grad_hidden_states_attentions(self):
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        outputs = HEAD_CLASS(config)(**inputs, output_hidden_states=True)
        for frames in outputs.encoder_hidden_states:
            frames.retain_grad()
        outputs.logits.flatten()[0].backward(retain_graph=True)
        for frames in outputs.encoder_hidden_states:
            self.assertGreater(frames.grad.abs().max(), 0)
            frames.grad = None
        outputs.decoder_hidden_states[0].sum().backward()  # a copy, which the logits do not come from
        for frames in outputs.encoder_hidden_states:
            self.assertGreater(frames.grad.abs().max(), 0)
