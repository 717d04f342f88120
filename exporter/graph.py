"""A trained network as an ONNX graph that takes a camera's pixels and gives probabilities, and the
level where the network has a second head."""

from __future__ import annotations

import logging
import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from exporter.limits import SMALL_TENSOR
from training.level import WithLevel
from training.model import TrainedModel

INPUT_NAME: Final = "image"
OUTPUT_NAME: Final = "probabilities"
LEVEL_NAME: Final = "level"
OPSET: Final = 20


class Serving(nn.Module):
    """uint8 RGB (batch, height, width, 3) -> calibrated probabilities, float32 (batch, 5).

    The division by 255 and softmax(logits / T) are part of the graph, so that no station can get
    them wrong.
    """

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, image: Tensor) -> Tensor:
        return _calibrated(self.network(_pixels(image)), self.temperature)


class ServingLevel(nn.Module):
    """The same of a network with a second head, and low, middle and high of the share of trash.

    uint8 RGB (batch, height, width, 3) -> probabilities, float32 (batch, 5), and the level in
    points, float32 (batch, 3), in order and within 0 and 100.
    """

    def __init__(self, network: WithLevel, temperature: float, margin: float) -> None:
        """margin: points by which calibration widens the interval."""
        super().__init__()
        self.network = network.network
        self.temperature = temperature
        self.level = _Level(network.level, margin)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(_pixels(image))  # type: ignore[operator]
        logits = self.network.last(features)  # type: ignore[operator]
        return _calibrated(logits, self.temperature), self.level(features)


class _Level(nn.Module):
    """Features -> training.level.estimates of the head's quantiles, in operators of ONNX.

    Three numbers are sorted by minima and maxima: ONNX has no sort but TopK, which says nothing of
    numbers that are none.
    """

    widen: Tensor

    def __init__(self, head: nn.Linear, margin: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("widen", torch.tensor([-margin, 0.0, margin]))

    def forward(self, features: Tensor) -> Tensor:
        one, two, three = torch.split(self.head(features) * 100.0, 1, dim=1)
        less, more = torch.minimum(one, two), torch.maximum(one, two)
        middle = torch.maximum(less, torch.minimum(more, three))
        sorted_ = [torch.minimum(less, three), middle, torch.maximum(more, three)]
        low, middle, high = torch.split(torch.cat(sorted_, dim=1) + self.widen, 1, dim=1)
        bounds = [torch.minimum(low, middle), middle, torch.maximum(high, middle)]
        return torch.cat(bounds, dim=1).clamp(0.0, 100.0)


def _pixels(image: Tensor) -> Tensor:
    # Without contiguous(), torch's exporter writes the pooling as a gather over strides.
    return image.permute(0, 3, 1, 2).contiguous().float() / 255.0


def _calibrated(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(dim=1)


@dataclass(frozen=True)
class Graph:
    """model: the ONNX file's bytes. reference: the torch module that computes the same."""

    model: bytes
    reference: Serving | ServingLevel


def export(model: TrainedModel, *, half_weights: bool = True) -> Graph:
    """Folds batch norm into the convolutions, rounds the weights to 16 bits, exports and checks.

    With `half_weights` the file holds 16-bit weights and casts them back as it is loaded: half the
    size, and all arithmetic in 32 bits. The reference has the rounded weights too.
    """
    serving = reference(model, half_weights=half_weights)
    proto = _to_onnx(serving, model.card.size)
    if half_weights:
        _store_half(proto)
    del proto.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    return Graph(proto.SerializeToString(deterministic=True), serving)


def reference(model: TrainedModel, *, half_weights: bool) -> Serving | ServingLevel:
    """The torch module that the graph is made of: batch norm folded, weights rounded or not."""
    network = _folded(model.network)
    if half_weights:
        _round(network)
    card = model.card
    if card.level is None:
        return Serving(network, card.temperature).eval()
    return ServingLevel(cast("WithLevel", network), card.temperature, card.level.margin).eval()


def _folded(network: nn.Module) -> nn.Module:
    """A copy in which each batch norm that follows a convolution is part of that convolution.

    Relies on timm's order of definition: a module's batch norm is defined right after its
    convolution, on the same parent.
    """
    folded = deepcopy(network).cpu().eval()
    for parent in list(folded.modules()):
        previous: tuple[str, nn.Module] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                convolution = cast("nn.Conv2d", previous[1])
                setattr(parent, previous[0], fuse_conv_bn_eval(convolution, child))
                setattr(parent, name, nn.Identity())
            previous = (name, child) if isinstance(child, nn.Conv2d) else None
    return folded


@torch.no_grad()
def _round(network: nn.Module) -> None:
    """Rounds every large parameter to what 16 bits can hold, as `_store_half` does."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.numel() >= SMALL_TENSOR:
                parameter.copy_(parameter.half().float())


def _to_onnx(serving: Serving | ServingLevel, size: int) -> onnx.ModelProto:
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter's own deprecations inside torch and onnxscript are not ours to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            serving,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME, LEVEL_NAME][: 1 if isinstance(serving, Serving) else 2],
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            optimize=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - only without dynamo
    return program.model_proto


def _store_half(proto: onnx.ModelProto) -> None:
    """Stores each large 32-bit weight in 16 bits with a Cast behind it, in place.

    ONNX Runtime folds the Cast when it loads the file: the session computes in 32 bits. Batch norms
    that are not part of a convolution stay as they are: they are small, and their variances may be
    more than 16 bits can hold.
    """
    norms = (node for node in proto.graph.node if node.op_type == "BatchNormalization")
    of_norms = {name for node in norms for name in node.input[1:]}
    casts = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL_TENSOR:
            continue
        if tensor.name in of_norms:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])
    # The initialisers' former types would contradict their new ones.
    kept = [v for v in proto.graph.value_info if v.name not in {c.output[0] for c in casts}]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
