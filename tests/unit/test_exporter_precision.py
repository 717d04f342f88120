"""Eight bits: how they are made, when they may ship, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_agent.grades import GRADES, Grade
from exporter import gate, graph, precision
from exporter.errors import ExportError
from exporter.golden import golden
from exporter.graph import export
from exporter.parity import by_torch, compare, run
from exporter.precision import choose, insist, judge
from exporter.quantization import quantize
from training.classifiers.simple_dcnn import SimpleDCNN
from training.data.dataset import ImageSet
from training.data.manifest import Row, Split
from training.level import LevelCard, WithLevel
from training.model import ModelCard, Said, TrainedModel

SIZE = 32
COLOURS = [(90, 150, 60), (170, 170, 90), (40, 36, 34), (120, 60, 30), (200, 200, 220)]


def images(split: Split, seed: int, count: int = 40) -> ImageSet:
    """Noise in a colour for each grade."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 5
    colours = np.array(
        [[90, 150, 60], [170, 170, 90], [40, 36, 34], [120, 60, 30], [200, 200, 220]]
    )
    noise = rng.normal(0, 15, (count, SIZE, SIZE, 3))
    pixels = (colours[labels][:, None, None] + noise).clip(0, 255).astype(np.uint8)
    rows = tuple(Row(image=f"{split}/{i}.png", truck=f"T{i}", split=split) for i in range(count))
    return ImageSet(pixels, labels, rows, ())


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Trained in seconds to tell the colours apart."""
    torch.manual_seed(1)
    network = SimpleDCNN(5)
    train = images("train", 1)
    pixels = torch.from_numpy(train.images).permute(0, 3, 1, 2).float() / 255
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(pixels), torch.from_numpy(train.labels))
        loss.backward()
        optimiser.step()
    card = ModelCard(
        classifier="simple_dcnn", size=SIZE, temperature=1.2, confidence_threshold=0.5, training={}
    )
    return TrainedModel(network.eval(), card)


def test_eight_bits_decide_the_same_and_are_said_to(model: TrainedModel) -> None:
    said: list[str] = []
    val = images("val", 2)
    form = choose(model, "auto", val, lambda: images("train", 1), say=said.append)
    assert form.precision == "int8", said
    assert form.gate is not None
    assert form.gate.passed
    assert (form.gate.images, form.gate.split) == (40, "val")
    assert form.gate.agreement >= 0.98
    assert form.gate.macro_f1_trained - form.gate.macro_f1 <= 0.005
    assert form.int8 is not None
    assert form.int8.calibration_images == 40
    assert "passed" in said[-1]
    fp32 = export(model, half_weights=False).model
    assert len(form.model) < 0.35 * len(fp32)
    both = (run(graph, val.images).probabilities for graph in (form.model, fp32))
    assert np.abs(np.subtract(*both)).max() < 0.1


@pytest.mark.parametrize("wanted", ["fp32", "fp16-weights", "int8"])
def test_a_fault_of_folding_cannot_ship(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, wanted: precision.Wanted
) -> None:
    """The folded network agrees with itself; only the trained one tells that it is wrong."""

    def forgetful(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        fused: nn.Conv2d = fuse_conv_bn_eval(convolution, norm)
        with torch.no_grad():
            assert fused.bias is not None
            fused.bias.mul_(0.97)
        return fused

    monkeypatch.setattr(graph, "fuse_conv_bn_eval", forgetful)
    val = images("val", 2)
    exported = export(model, half_weights=False)
    compare(exported.model, by_torch(exported.reference, val.images), val)
    with pytest.raises(ExportError, match="off torch in probability"):
        choose(model, wanted, val, lambda: images("train", 1))


def test_weights_have_a_scale_a_channel_and_relu_is_quantised(model: TrainedModel) -> None:
    fp32 = export(model, half_weights=False).model
    quantised, record = quantize(fp32, images("train", 1), float_convolutions=2)
    proto = onnx.load_model_from_string(quantised)
    shapes = {t.name: list(t.dims) for t in proto.graph.initializer}
    types = {t.name: t.data_type for t in proto.graph.initializer}
    dequantised = {
        node.output[0]: node for node in proto.graph.node if node.op_type == "DequantizeLinear"
    }
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    in_float = [node for node in convolutions if node.input[1] not in dequantised]
    assert [node.name for node in in_float] == list(record.float_operators[:2])
    for node in convolutions[2:]:
        weights, scale = dequantised[node.input[1]].input[:2]
        assert types[weights] == onnx.TensorProto.INT8
        assert shapes[scale] == shapes[weights][:1]
    # A ReLU behind a convolution in 8 bits is the range of that convolution's output.
    assert sum(node.op_type == "Relu" for node in proto.graph.node) == 2
    assert {node.domain for node in proto.graph.node} == {""}
    assert {opset.domain for opset in proto.opset_import} == {""}


def test_a_norm_before_its_convolution_has_a_scale_a_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in ResNet50V2, whose norms are not folded: their weights have one axis."""
    rng, helper = np.random.default_rng(1), onnx.helper
    stored = {
        "first": rng.normal(0, 0.01, (8, 3, 3, 3)),
        "scale": np.geomspace(0.1, 10.0, 8),
        "shift": np.zeros(8),
        "mean": np.zeros(8),
        "variance": np.ones(8),
        "second": rng.normal(0, 0.3, (8, 8, 3, 3)),
        "last": rng.normal(0, 0.3, (8, 5)),
    }
    shape = ["n", SIZE, SIZE, 3]
    nodes = [
        helper.make_node("Cast", [graph.INPUT_NAME], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "first"], ["raw"]),
        helper.make_node(
            "BatchNormalization", ["raw", "scale", "shift", "mean", "variance"], ["x"]
        ),
        helper.make_node("Conv", ["x", "second"], ["seen"]),
        helper.make_node("GlobalAveragePool", ["seen"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [graph.OUTPUT_NAME]),
    ]
    for number, node in enumerate(nodes):
        node.name = f"node_{number}"
    made = helper.make_graph(
        nodes,
        "norm first",
        [helper.make_tensor_value_info(graph.INPUT_NAME, onnx.TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(graph.OUTPUT_NAME, onnx.TensorProto.FLOAT, ["n", 5])],
        [onnx.numpy_helper.from_array(v.astype(np.float32), n) for n, v in stored.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    quantised, _ = quantize(model.SerializeToString(), images("train", 1), float_convolutions=0)
    proto = onnx.load_model_from_string(quantised)
    shapes = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
    (norm,) = (node for node in proto.graph.node if node.op_type == "BatchNormalization")
    (source,) = (node for node in proto.graph.node if norm.input[1] in node.output)
    assert source.op_type == "DequantizeLinear"
    assert shapes[source.input[1]] == [8]
    assert not [r for r in caplog.records if "out-of-range" in r.getMessage()]
    assert np.isfinite(run(quantised, images("val", 2, 5).images).probabilities).all()


@pytest.mark.parametrize("split", ["val", "test"])
def test_only_training_images_calibrate(model: TrainedModel, split: Split) -> None:
    fp32 = export(model, half_weights=False).model
    mixed = images("train", 1)
    rows = (*mixed.rows[:-1], mixed.rows[-1].model_copy(update={"split": split}))
    with pytest.raises(ExportError, match=f"split {split}; calibrate on the training split"):
        quantize(fp32, replace(mixed, rows=rows), float_convolutions=0)
    with pytest.raises(ExportError, match="unknown"):
        quantize(fp32, replace(mixed, rows=()), float_convolutions=0)


def test_golden_images_are_validation_images(model: TrainedModel) -> None:
    exported = export(model).model
    samples = golden(exported, images("val", 2))
    assert [image.split for image in samples.images] == ["val"] * 10
    with pytest.raises(ExportError, match="split test"):
        golden(exported, images("test", 2))


def test_where_eight_bits_decide_otherwise_32_ship_with_the_reason(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibrated on black pictures, all that is brighter is cut off."""
    dark = replace(images("train", 1), images=np.zeros((40, SIZE, SIZE, 3), np.uint8))
    monkeypatch.setattr(precision, "FLOAT_CONVOLUTIONS", (0,))
    val = images("val", 2)
    form = choose(model, "auto", val, lambda: dark)
    assert form.precision == "fp32"
    assert form.int8 is None
    assert form.gate is not None
    assert not form.gate.passed
    assert "refused, too many other decisions and macro F1 too low" in form.gate.reason
    with pytest.raises(ExportError, match="export with --precision auto or fp32"):
        choose(model, "int8", val, lambda: dark)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_the_gate_passes_exactly_what_its_limits_allow(data: st.DataObject) -> None:
    val = images("val", 3, count=100)
    sure = np.eye(5, dtype=np.float32)
    trained = Said(sure[val.labels], None)
    changed = data.draw(st.lists(st.integers(0, 99), max_size=5, unique=True))
    guesses = val.labels.copy()
    guesses[changed] = (guesses[changed] + 1) % 5
    other = Said(sure[guesses], None)
    gate = judge("int8", trained, other, val)
    assert gate.agreement == pytest.approx(1 - len(changed) / 100)
    assert gate.macro_f1_trained == 1.0
    # A wrong decision in a hundred costs a whole point of macro F1.
    assert gate.passed == (not changed)
    # The other way round the F1 only gains, and two decisions in a hundred may differ.
    assert judge("int8", other, trained, val).passed == (len(changed) <= 2)


def shared(val: ImageSet, true: npt.NDArray[np.float64]) -> ImageSet:
    """The same images with known shares of trash."""
    rows = tuple(
        row.model_copy(update={"trash_share": float(share)})
        for row, share in zip(val.rows, true, strict=True)
    )
    return replace(val, rows=rows)


def level_of(middle: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    return np.stack([middle - width, middle, middle + width], axis=1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
def test_the_gate_bounds_what_the_level_loses(error: float, wider: float) -> None:
    true = np.linspace(20, 80, 100)
    val = shared(images("val", 3, count=100), true)
    known = val.labels != GRADES.index(Grade.UNDEFINED)
    sure = np.eye(5, dtype=np.float32)[val.labels]
    trained = Said(sure, level_of(true + 2, 8.0))
    gate = judge("int8", trained, Said(sure, level_of(true + 2 + error, 8.0 + wider)), val)
    assert gate.level is not None
    assert gate.level.loads == known.sum()
    assert gate.level.mean_absolute_error_trained == pytest.approx(2.0)
    assert gate.level.mean_absolute_error == pytest.approx(2.0 + error)
    moved = (abs(error - wider) + abs(error + wider)) / 2
    assert gate.level.bounds_moved == pytest.approx(moved)
    if min(abs(error - 0.25), abs(moved - 1.0)) > 1e-6:
        assert gate.passed == (error < 0.25 and moved < 1.0)
    assert ("the level's error too large" in gate.reason) == (error > 0.25 + 1e-9)


def test_where_eight_bits_spoil_the_level_32_ship_with_the_reason(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a limit so narrow that rounding alone is beyond it; the grades would let them pass."""
    network = WithLevel(model.network, "classifier").eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.level.weight, std=0.002)
        network.level.bias.copy_(torch.tensor([0.4, 0.5, 0.6]))
    card = LevelCard(margin=2.0, grade_medians=(0.0,) * 5)
    two = TrainedModel(network, model.card.model_copy(update={"level": card}))
    monkeypatch.setattr(gate, "MAX_BOUNDS_MOVED", 1e-6)
    monkeypatch.setattr(precision, "FLOAT_CONVOLUTIONS", (3,))
    val = shared(images("val", 2), np.linspace(0, 100, 40))
    form = choose(two, "auto", val, lambda: images("train", 1))
    assert form.precision == "fp32"
    assert form.gate is not None
    assert form.gate.level is not None
    assert form.gate.agreement >= 0.98
    assert form.gate.reason.endswith("refused, the level's interval moved too far")
    with pytest.raises(ExportError, match="export with --precision auto or fp32"):
        insist(form.gate)
