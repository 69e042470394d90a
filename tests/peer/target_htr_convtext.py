"""What `common_suites.py` needs to know about this package."""

import torch
from attention_tests import AttentionTests

from modeling_htr_convtext import HTRConvTextConfig, HTRConvTextForCTC, HTRConvTextModel
from processing import HTRConvTextImageProcessor, HTRConvTextProcessor, HTRConvTextTokenizer, LinePipeline


CONFIG_CLASS, MODEL_CLASS, HEAD_CLASS = HTRConvTextConfig, HTRConvTextModel, HTRConvTextForCTC
IMAGE_PROCESSOR_CLASS, TOKENIZER_CLASS = HTRConvTextImageProcessor, HTRConvTextTokenizer
PROCESSOR_CLASS, PIPELINE_CLASS, TASK = HTRConvTextProcessor, LinePipeline, "image-to-text"
HEAD_MAPPING_NAMES = "MODEL_FOR_CTC_MAPPING_NAMES"

BATCH_SIZE, HEIGHT, WIDTH, NUM_CHANNELS = 3, 16, 64, 1
SEQ_LENGTH = 16  # frames that the first ConvText block sees
TINY_CONFIG = {
    "vocab_size": 24,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "downsample_after": 1,
    "upsample_after": 2,
    "mobilevit_head_dim": 4,
    "layer_scale_init_value": 1.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "drop_path_rate": 0.0,
}
TESTER = {}  # what the tests believe of the configuration besides
CONFIG_PROPERTIES = ["hidden_size", "num_attention_heads", "num_hidden_layers"]
EXPORT_DYNAMIC_AXES = (0, 3)
# Widths that give even and odd frame counts: a traced parity branch is wrong for one of them.
EXPORT_SIZES = [(1, WIDTH), (2, WIDTH + 4), (2, WIDTH + 8), (3, WIDTH + 12), (1, WIDTH + 1)]


def inputs(config: HTRConvTextConfig) -> dict[str, torch.Tensor]:
    """Inputs without labels, batch first; row 0, which a common test replays alone, is half padding."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(BATCH_SIZE, WIDTH, dtype=torch.long)
    mask[0, WIDTH // 2 :] = 0
    return {
        "pixel_values": torch.rand(BATCH_SIZE, NUM_CHANNELS, HEIGHT, WIDTH, generator=generator),
        "pixel_mask": mask,
    }


def labels(config: HTRConvTextConfig) -> torch.Tensor:
    return torch.randint(1, config.vocab_size, (BATCH_SIZE, 5), generator=torch.Generator().manual_seed(1))


def tokenizer() -> HTRConvTextTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return HTRConvTextTokenizer.from_charset(f" {letters}{letters.upper()}0123456789.,!?'-[]()<>/_:;", unknown="drop")


def image_processor_kwargs() -> dict:
    return {"size": {"height": 16, "width": 64}, "pad_to_max_width": True, "do_normalize": True, "image_mean": [0.5],
            "image_std": [0.5]}  # fmt: skip


class ModelTests(AttentionTests):
    def test_attention_uses_position(self):
        """Without any position information the frame order would not matter to attention."""
        model = self.random_model(MODEL_CLASS)
        tables = [m for n, m in model.named_modules() if "relative_position" in n and hasattr(m, "weight")]
        x = {"pixel_values": inputs(model.config)["pixel_values"]}
        with torch.no_grad():
            before = model(**x)[0]
            for table in tables:
                table.weight.mul_(-3)
            self.assertFalse(torch.allclose(before, model(**x)[0], atol=1e-3))
