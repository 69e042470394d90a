"""transformers' own common tests, pointed at an out-of-tree model (see README.md)."""

import importlib
import os
import sys
import tempfile
import unittest

import numpy as np
import torch
from PIL import Image


os.environ.setdefault("HF_HUB_OFFLINE", "1")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "vendor")]
from transformers.models.auto import modeling_auto  # noqa: E402

import htr_convtext.families  # noqa: E402, F401  registers the classes with the Auto classes
from processing.processing_lines import LineProcessorKwargs  # noqa: E402


T = importlib.import_module(os.environ["PEER_TARGET"])  # the module that describes the model

# The common tests look classes up by config class, and by model type and class *name*.
MODEL_TYPE = T.CONFIG_CLASS.model_type
modeling_auto.MODEL_MAPPING_NAMES[MODEL_TYPE] = T.MODEL_CLASS.__name__
getattr(modeling_auto, T.HEAD_MAPPING_NAMES)[MODEL_TYPE] = T.HEAD_CLASS.__name__

# `register_for_auto_class` makes `save_pretrained` write `auto_map` into the live objects, which the common
# "save then compare to_dict()" tests do not expect. Remote-code saving has its own test elsewhere.
for cls in (
    T.CONFIG_CLASS,
    T.MODEL_CLASS,
    T.HEAD_CLASS,
    T.IMAGE_PROCESSOR_CLASS,
    T.TOKENIZER_CLASS,
    T.PROCESSOR_CLASS,
):
    cls._auto_class = None

from transformers_tests.test_configuration_common import ConfigTester  # noqa: E402
from transformers_tests.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin  # noqa: E402
from transformers_tests.test_modeling_common import ModelTesterMixin  # noqa: E402
from transformers_tests.test_processing_common import ProcessorTesterMixin  # noqa: E402
from transformers_tests.test_tokenization_common import TokenizerTesterMixin  # noqa: E402


class PeerModelTester:
    def __init__(self, parent):
        self.parent = parent
        self.batch_size, self.seq_length, self.encoder_seq_length = T.BATCH_SIZE, T.SEQ_LENGTH, T.SEQ_LENGTH
        self.image_size, self.num_channels, self.is_training = T.HEIGHT, T.NUM_CHANNELS, True
        for key, value in {**T.TINY_CONFIG, **T.TESTER}.items():
            setattr(self, key, value)

    def get_config(self):
        return T.CONFIG_CLASS(**T.TINY_CONFIG)

    def prepare_config_and_inputs_for_common(self):
        config = self.get_config()
        return config, T.inputs(config)


class PeerModelTest(T.ModelTests, ModelTesterMixin, unittest.TestCase):
    all_model_classes = (T.MODEL_CLASS, T.HEAD_CLASS)
    all_generative_model_classes = ()  # GenerationTesterMixin is not in the source distribution
    test_resize_embeddings = False
    test_can_init_all_missing_weights_before_2023 = True  # never skip on the copyright year

    def setUp(self):
        self.model_tester = PeerModelTester(self)
        self.config_tester = ConfigTester(
            self,
            config_class=T.CONFIG_CLASS,
            has_text_modality=False,
            common_properties=T.CONFIG_PROPERTIES,
            **T.TINY_CONFIG,
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs_dict = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        if "labels" in inputs_dict:  # the common default is all zeros, i.e. all blank
            inputs_dict["labels"] = T.labels(self.model_tester.get_config())
        return inputs_dict

    # --- vision model: no input embedding table ---
    def test_inputs_embeds(self):
        self.skipTest("image input, no inputs_embeds")

    def test_model_get_set_embeddings(self):
        self.skipTest("image input, no token embeddings")

    # --- ours: the common tests run at initialisation, where zero-initialised parts (a relative position bias, a
    # layer scale) hide mistakes; these run with random parameters ---
    def random_model(self, model_class, **kwargs):
        torch.manual_seed(0)
        model = model_class._from_config(self.model_tester.get_config(), **kwargs).eval()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
        return model

    def test_torch_export_dynamic(self):
        from transformers.exporters.configs import DynamoConfig
        from transformers.exporters.exporter_dynamo import DynamoExporter

        auto = torch.export.Dim.AUTO
        for model_class in self.all_model_classes:
            model = self.random_model(model_class)
            sample = {"pixel_values": T.inputs(model.config)["pixel_values"]}
            config = DynamoConfig(dynamic_shapes={"pixel_values": dict.fromkeys(T.EXPORT_DYNAMIC_AXES, auto)})
            program = DynamoExporter().export(model, sample, config).program.module()
            for batch, width in T.EXPORT_SIZES:
                x = torch.rand(batch, T.NUM_CHANNELS, T.HEIGHT, width)
                with torch.no_grad():
                    torch.testing.assert_close(
                        program(pixel_values=x)[0], model(pixel_values=x)[0], atol=1e-4, rtol=1e-4
                    )

    def test_gradient_accumulation_scaling(self):
        """forward(**kwargs) makes Trainer believe the loss is already divided by num_items_in_batch."""
        self.assertFalse(getattr(T.HEAD_CLASS, "accepts_loss_kwargs", True))


class PeerImageProcessingTester(ImageProcessingTester):
    def __init__(self, parent, **kwargs):
        super().__init__(parent, **{**T.image_processor_kwargs(), **kwargs})

    def _get_image_processing_classes(self):  # the original derives the model name from the test's folder
        return {"pil": T.IMAGE_PROCESSOR_CLASS}

    def expected_output_image_shape(self, images):
        return T.NUM_CHANNELS, self.size["height"], self.size["width"]


class PeerImageProcessingTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = PeerImageProcessingTester

    def test_call_kwargs_override_attributes(self):
        processor = T.IMAGE_PROCESSOR_CLASS(**T.image_processor_kwargs())
        image = Image.fromarray(np.zeros((20, 40, 3), dtype="uint8"))
        size = {k: 2 * v for k, v in T.image_processor_kwargs()["size"].items()}
        out = processor(image, size=size, return_tensors="pt")["pixel_values"]
        self.assertEqual(tuple(out.shape[-2:]), (size["height"], size["width"]))

    def test_call_numpy_4_channels(self):  # in-tree grey-level processors (SuperPoint, ...) skip it too
        self.skipTest("converts to one channel; a 4-element mean/std makes no sense")

    def test_new_models_require_torchvision_backend(self):
        self.skipTest("in-tree policy for new models; torchvision is optional for us")


class PeerTokenizerTest(TokenizerTesterMixin, unittest.TestCase):
    tokenizer_class = T.TOKENIZER_CLASS
    test_tokenizer_from_extractor = False
    test_seq2seq = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        T.tokenizer().save_pretrained(cls.tmpdirname)

    def test_labels_round_trip_exactly(self):
        tok = self.get_tokenizer()
        for text in ("hello", " aa  bb ", "", "[a] <b>"):
            self.assertEqual(tok.decode(tok(text).input_ids, group_tokens=False), text)
        a, b = tok("ab").input_ids[:2]
        if tok.eos_token_id is None:  # CTC
            self.assertEqual(tok.decode([0, a, a, 0, a, b, b, 0, 0]), "aab")
            self.assertEqual(tok.batch_decode([[0, 0], [b] * 3]), ["", "b"])
        else:
            self.assertEqual(tok.decode([0, a, a, b, tok.eos_token_id, b, 0]), "aab")
            self.assertEqual(tok.batch_decode([[tok.eos_token_id, 0], [b] * 2]), ["", "bb"])

    def test_tokenize_special_tokens(self):
        self.skipTest("every string is text: special tokens are never split off")

    def test_pretokenized_inputs(self):
        self.skipTest("character tokenizer: words have no boundaries to restore")

    # A CTC decode collapses runs, so round trips need text without doubled characters.
    def get_clean_sequence(self, tokenizer, with_prefix_space=False, max_length=20, min_length=5):
        text = ("abcdefghijklmnop" * 2)[: max_length or 20]
        text = (" " if with_prefix_space else "") + text
        return text, tokenizer.encode(text, add_special_tokens=False)


class PeerProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = T.PROCESSOR_CLASS
    text_input_name = "labels"  # as Parakeet / Lasr: text becomes labels

    @classmethod
    def _setup_tokenizer(cls):
        return T.tokenizer()

    def test_valid_processor_kwargs_set(self):  # the original looks for a class of its own in each processor's file
        self.assertIs(self.processor_class.valid_processor_kwargs, LineProcessorKwargs)

    @classmethod
    def _setup_image_processor(cls):
        return T.IMAGE_PROCESSOR_CLASS(**T.image_processor_kwargs())


class PeerPipelineTest(unittest.TestCase):
    """PipelineTesterMixin needs Hub checkpoints listed in tiny_model_summary.json; this is the offline equivalent."""

    def test_pipeline(self):
        tok = T.tokenizer()
        model = T.HEAD_CLASS(T.CONFIG_CLASS(**{**T.TINY_CONFIG, "vocab_size": len(tok)})).eval()
        proc = T.PROCESSOR_CLASS(T.IMAGE_PROCESSOR_CLASS(**T.image_processor_kwargs()), tok)
        pipe = T.PIPELINE_CLASS(model=model, processor=proc, task=T.TASK)
        images = [
            Image.fromarray((np.random.RandomState(i).rand(20, 40 + 30 * i, 3) * 255).astype("uint8")) for i in range(3)
        ]
        single = [pipe(im) for im in images]
        self.assertEqual([s["text"] for s in single], [s["text"] for s in pipe(images)])
        self.assertEqual([s["text"] for s in single], [s["text"] for s in pipe(images, batch_size=2)])
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "x.png")
            images[0].save(path)
            self.assertEqual(pipe(path)["text"], single[0]["text"])


if __name__ == "__main__":
    unittest.main()
