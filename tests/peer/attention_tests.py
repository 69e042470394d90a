"""What the common tests are blind to in models with attention layers."""

import torch


class AttentionTests:
    def test_eager_matches_sdpa_with_random_parameters(self):
        for model_class in self.all_model_classes:
            model = self.random_model(model_class, attn_implementation="eager")
            _, inputs = self.model_tester.prepare_config_and_inputs_for_common()
            for keys in (["pixel_values"], list(inputs)):
                feed = {k: inputs[k] for k in keys}
                with torch.no_grad():
                    model.set_attn_implementation("eager")
                    eager = model(**feed)[0]
                    model.set_attn_implementation("sdpa")
                    torch.testing.assert_close(model(**feed)[0], eager, atol=1e-4, rtol=1e-4)

    def test_attention_implementation_is_switchable(self):
        """`set_attn_implementation` greps the source for `ALL_ATTENTION_FUNCTIONS.get_interface(`."""
        self.assertTrue(self.all_model_classes[-1]._can_set_attn_implementation())
