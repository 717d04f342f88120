"""The ONNX graph: what goes in, what comes out, how the weights lie in it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from exporter.errors import ExportError
from exporter.graph import Graph, export
from exporter.parity import compare, run
from training.classifiers.mobilenetv2 import MobileNetV2
from training.data.dataset import ImageSet
from training.model import ModelCard, TrainedModel

SIZE = 32


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """An untrained network whose batch norms and outputs are as unlike as a trained one's."""
    torch.manual_seed(1)
    network = MobileNetV2(5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, std=0.1)
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.nn.init.normal_(network.classifier.weight, std=0.5)
    card = ModelCard(
        classifier="mobilenetv2",
        size=SIZE,
        temperature=1.7,
        confidence_threshold=0.5,
        training={},
    )
    return TrainedModel(network.eval(), card)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (20, SIZE, SIZE, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(20, dtype=np.int64) % 5, (), ())


@pytest.fixture(scope="module")
def graph(model: TrainedModel) -> Graph:
    return export(model)


def test_half_weights_are_half_the_size_and_computed_in_32_bits(
    model: TrainedModel, images: ImageSet, graph: Graph
) -> None:
    full = export(model, half_weights=False)
    assert len(graph.model) < 0.55 * len(full.model)
    assert np.abs(run(full.model, images.images) - model.probabilities(images.images)).max() < 1e-5
    parity = compare(model, graph, images)
    assert parity.graph_difference < 1e-5
    assert 0 < parity.weights_difference < 1e-2
    assert "20 images" in str(parity)


def test_batch_norm_is_folded_and_only_plain_operators_are_used(graph: Graph) -> None:
    proto = onnx.load_model_from_string(graph.model)
    operators = {node.op_type for node in proto.graph.node}
    assert "BatchNormalization" not in operators
    assert {opset.domain for opset in proto.opset_import} == {""}
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["probabilities"]


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_gives_probabilities(graph: Graph, images: ImageSet, batch: int) -> None:
    rows = run(graph.model, images.images[:batch])
    assert rows.shape == (batch, 5)
    assert rows.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows == pytest.approx(run(graph.model, images.images)[:batch], abs=1e-5)


def test_another_networks_graph_is_refused(
    model: TrainedModel, graph: Graph, images: ImageSet
) -> None:
    torch.manual_seed(9)
    other = TrainedModel(MobileNetV2(5).eval(), model.card)
    with pytest.raises(ExportError, match="off torch"):
        compare(model, Graph(export(other).model, graph.reference), images)
    with pytest.raises(ExportError, match="decide too differently"):
        compare(other, graph, images)
