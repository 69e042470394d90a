"""The network as a graph for other back ends."""

import pytest
import torch
from transformers.exporters.configs import DynamoConfig
from transformers.exporters.exporter_dynamo import DynamoExporter

from tests.helpers import build_htr_vt, build_model


def padded_batch(widths: list[int], padded_width: int) -> dict[str, torch.Tensor]:
    mask = (torch.arange(padded_width)[None] < torch.tensor(widths)[:, None]).long()
    pixels = torch.rand(len(widths), 1, 32, padded_width, generator=torch.Generator().manual_seed(padded_width))
    return {"pixel_values": pixels, "pixel_mask": mask}


@pytest.fixture(scope="module", params=[build_model, build_htr_vt])
def network_and_graph(request):
    model = request.param()
    auto = torch.export.Dim.AUTO
    shapes = {"pixel_values": {0: auto, 3: auto}, "pixel_mask": {0: auto, 1: auto}}
    exported = DynamoExporter().export(model, padded_batch([64, 40], 64), DynamoConfig(dynamic_shapes=shapes))
    return model, exported.program.module()


@pytest.mark.parametrize(
    ("widths", "padded_width"),
    # Odd and even numbers of columns, of frames and of halved frames: a traced branch is wrong for one of them.
    [
        ([64], 64),
        ([68, 3], 68),
        ([1, 72, 71], 72),
        ([76, 75, 74, 73], 76),
        ([65], 65),
        ([66, 5], 66),
        ([120, 119], 121),
    ],
)
def test_a_graph_with_a_pixel_mask_computes_what_the_network_does(network_and_graph, widths, padded_width):
    model, graph = network_and_graph
    batch = padded_batch(widths, padded_width)
    with torch.no_grad():
        expected, found = model(**batch), graph(**batch)
    torch.testing.assert_close(found["logits"], expected["logits"], atol=1e-5, rtol=1e-5)
    assert torch.equal(found["attention_mask"], expected["attention_mask"])
