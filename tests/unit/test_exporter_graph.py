"""The ONNX graph: what goes in, what comes out, how the weights lie in it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.errors import ExportError
from exporter.form import margin, temperature, weight_kinds
from exporter.graph import OUTPUT_NAME, Graph, ServingLevel, export
from exporter.metadata import stored_values
from exporter.parity import by_torch, compare, run
from training.classifiers.registry import CLASSIFIERS
from training.data.dataset import ImageSet
from training.level import LevelCard, WithLevel, estimates
from training.model import ModelCard, TrainedModel, to_input

SIZE = 32


def as_trained(classifier: str, seed: int = 1) -> TrainedModel:
    """An untrained network whose batch norms and outputs are as unlike as a trained one's."""
    torch.manual_seed(seed)
    chosen = CLASSIFIERS[classifier]
    network = chosen.build(5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, std=0.1)
            module.momentum = 1.0
    pixels = to_input(torch.from_numpy(colours()), torch.device("cpu"))
    with torch.no_grad():
        network.train()(pixels)
        # Answers neither all the same nor all certain.
        answers = network.eval()(pixels)
        head = network.get_submodule(chosen.head)
        assert isinstance(head, torch.nn.Linear | torch.nn.Conv2d)
        assert head.bias is not None
        spread = (answers - answers.mean(dim=0)).std()
        head.weight /= spread
        head.bias.copy_((head.bias - answers.mean(dim=0)) / spread)
    card = ModelCard(
        classifier=classifier,
        size=SIZE,
        temperature=1.7,
        confidence_threshold=0.5,
        training={},
    )
    return TrainedModel(network, card)


def with_level(model: TrainedModel, margin: float) -> TrainedModel:
    """The same network with a second head, whose quantiles differ, cross and leave the range."""
    network = WithLevel(model.network, CLASSIFIERS[model.card.classifier].head).eval()
    with torch.no_grad():
        features = model.network.features(  # type: ignore[operator]
            to_input(torch.from_numpy(colours()), torch.device("cpu"))
        )
        spread = (features - features.mean(dim=0)).norm(dim=1).mean()
        torch.nn.init.normal_(network.level.weight)
        network.level.weight *= 0.3 / spread
        network.level.bias.copy_(torch.tensor([0.4, 0.5, 0.5]))
        network.level.bias -= network.level.weight @ features.mean(dim=0)
    card = LevelCard(margin=margin, grade_medians=(0.0,) * 5)
    return TrainedModel(network, model.card.model_copy(update={"level": card}))


def colours() -> npt.NDArray[np.uint8]:
    """Twenty pictures, each noise around a colour of its own."""
    rng = np.random.default_rng(1)
    plain = rng.uniform(0, 255, (20, 1, 1, 3))
    noise = rng.normal(0, 30, (20, SIZE, SIZE, 3))
    return np.asarray((plain + noise).clip(0, 255), np.uint8)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return as_trained("mobilenetv2")


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return ImageSet(colours(), np.arange(20, dtype=np.int64) % 5, (), ())


@pytest.fixture(scope="module")
def graph(model: TrainedModel) -> Graph:
    return export(model)


@pytest.mark.parametrize("classifier", sorted(CLASSIFIERS))
def test_every_classifier_is_served_as_torch_computes_it(classifier: str, images: ImageSet) -> None:
    model = as_trained(classifier)
    trained = model.says(images.images)
    assert trained.probabilities.max(axis=1).std() > 0.01  # not the same answer to everything
    exported = export(model, half_weights=False)
    assert compare(exported.model, trained, images).max_difference <= 1e-4
    proto = onnx.load_model_from_string(exported.model)
    assert {kind for _, kind in weight_kinds(proto)} == {"fp32"}
    assert temperature(proto, OUTPUT_NAME) == pytest.approx(1.7)
    operators = {node.op_type for node in proto.graph.node}
    assert not operators & {"Gather", "Range"}  # strides that torch's exporter could not follow


@pytest.mark.parametrize("classifier", ["simple_dcnn", "resnet50v2"])
def test_the_level_is_served_as_torch_computes_it(classifier: str, images: ImageSet) -> None:
    model = with_level(as_trained(classifier), 4.5)
    trained = model.says(images.images)
    assert trained.levels is not None
    assert trained.levels[:, 1].std() > 5  # not the same answer to everything
    exported = export(model, half_weights=False)
    parity = compare(exported.model, trained, images)
    assert parity.max_level_difference is not None
    assert parity.max_level_difference <= 0.01
    proto = onnx.load_model_from_string(exported.model)
    assert [value.name for value in proto.graph.output] == ["probabilities", "level"]
    assert margin(proto, "level") == pytest.approx(4.5)
    assert temperature(proto, OUTPUT_NAME) == pytest.approx(1.7)


def test_another_level_or_none_is_no_stand_in(images: ImageSet) -> None:
    model = with_level(as_trained("simple_dcnn"), 4.5)
    trained = model.says(images.images)
    half = export(model, half_weights=True)
    rounded = by_torch(half.reference, images.images)
    assert compare(half.model, rounded, images).max_level_difference is not None
    assert trained.levels is not None
    with pytest.raises(ExportError, match="points off torch"):
        compare(half.model, replace(rounded, levels=trained.levels + 2), images)
    alone = export(model.without_level(), half_weights=False)
    with pytest.raises(ExportError, match="has a level"):
        compare(alone.model, trained, images)


class OnlyLevel(torch.nn.Module):
    """A head on three numbers that are its quantiles already, as fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Identity()
        self.level = torch.nn.Linear(3, 3)
        with torch.no_grad():
            self.level.weight.copy_(torch.eye(3))
            self.level.bias.zero_()


quantiles = arrays(np.float32, (6, 3), elements=st.floats(-2, 3, width=32))


@given(quantiles, st.floats(-60, 60, width=32))
def test_the_graphs_level_is_training_estimates(raw: npt.NDArray[np.float32], widen: float) -> None:
    level = ServingLevel(cast("WithLevel", OnlyLevel()), 1.0, widen).level
    with torch.no_grad():
        found = level(torch.from_numpy(raw)).numpy()
    card = LevelCard(margin=widen, grade_medians=(0.0,) * 5)
    assert found == pytest.approx(estimates(raw.astype(np.float64) * 100, card), abs=1e-3)
    low, middle, high = found.T
    assert ((low >= 0) & (low <= middle) & (middle <= high) & (high <= 100)).all()


def test_a_number_that_is_none_comes_out_as_one(images: ImageSet) -> None:
    """The agent must see it: limited to 0 and 100 it would be an estimate like any other."""
    model = with_level(as_trained("simple_dcnn"), 4.5)
    proto = onnx.load_model_from_string(export(model, half_weights=False).model)
    (bias,) = (t for t in proto.graph.initializer if t.name == "level.head.bias")
    values = np.array([0.4, np.nan, 0.5], np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    levels = run(proto.SerializeToString(), images.images).levels
    assert levels is not None
    assert np.isnan(levels).any(axis=1).all()


def test_half_weights_are_half_the_size_and_computed_in_32_bits(
    model: TrainedModel, images: ImageSet, graph: Graph
) -> None:
    full = export(model, half_weights=False)
    assert len(graph.model) < 0.55 * len(full.model)
    rounded = by_torch(graph.reference, images.images)
    assert compare(graph.model, rounded, images).max_difference <= 1e-4
    served = run(graph.model, images.images).probabilities
    change = np.abs(served - model.probabilities(images.images)).max()
    assert 0 < change < 0.1
    stored = stored_values(onnx.load_model_from_string(graph.model))
    assert stored["float16"] > 50 * stored["float"]


def test_norms_that_stand_alone_stay_in_32_bits(images: ImageSet) -> None:
    """As in ResNet50V2; a variance beyond what 16 bits can hold would be infinite."""
    model = as_trained("resnet50v2")
    norms = [m for m in model.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms[3:6]:
        norm.running_var.mul_(1e6)  # type: ignore[union-attr,operator]
    half = export(model, half_weights=True)
    rounded = by_torch(half.reference, images.images)
    assert np.isfinite(rounded.probabilities).all()
    assert compare(half.model, rounded, images).max_difference <= 5e-5


def test_batch_norm_is_folded_and_only_plain_operators_are_used(graph: Graph) -> None:
    proto = onnx.load_model_from_string(graph.model)
    operators = {node.op_type for node in proto.graph.node}
    assert "BatchNormalization" not in operators
    assert {opset.domain for opset in proto.opset_import} == {""}
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["probabilities"]


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_gives_probabilities(graph: Graph, images: ImageSet, batch: int) -> None:
    rows = run(graph.model, images.images[:batch]).probabilities
    assert rows.shape == (batch, 5)
    assert rows.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows == pytest.approx(run(graph.model, images.images).probabilities[:batch], abs=1e-4)


def test_another_networks_graph_is_refused(graph: Graph, images: ImageSet) -> None:
    other = as_trained("mobilenetv2", seed=9).says(images.images)
    with pytest.raises(ExportError, match="off torch in probability"):
        compare(graph.model, other, images)
