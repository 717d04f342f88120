"""Static 8-bit quantisation of an exported graph (Jacob et al. 2018, arXiv:1712.05877).

ONNX Runtime's quantiser puts QuantizeLinear and DequantizeLinear (QDQ) around each operator;
weights get a scale a channel, activations the range they have on calibration images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_agent.inference.manifest import Int8Record
from exporter.errors import ExportError
from exporter.form import behind_the_weights
from exporter.graph import INPUT_NAME
from training.data.dataset import ImageSet, evenly

CALIBRATION_IMAGES: Final = 200
"""More did not help where it was tried."""


def quantize(
    model: bytes, calibration: ImageSet, *, float_convolutions: int
) -> tuple[bytes, Int8Record]:
    """The graph in 8 bits, and how it was made.

    The last layer of each output, all behind it and the first `float_convolutions` convolutions
    stay in 32 bits: on the first layers few channels share one range, and a depthwise convolution
    with its batch norm folded in spreads them far apart (Nagel et al. 2019, arXiv:1906.04721,
    section 3).

    Clip (ReLU6) and Relu are quantised with the operator before them, as its output range.
    Raises ExportError when an image for calibration is not of the training split.
    """
    _check_split(calibration)
    images = calibration.images[evenly(len(calibration), CALIBRATION_IMAGES)]
    excluded = _float_operators(onnx.load_model_from_string(model), float_convolutions)
    with tempfile.TemporaryDirectory() as folder:
        original, inferred, out = (Path(folder, f"{n}.onnx") for n in ("fp32", "shapes", "int8"))
        original.write_bytes(model)
        quant_pre_process(original, inferred, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            inferred,
            out,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=list(excluded),
            extra_options={
                # The usual extremes of an image instead of the rarest: finer steps for all others.
                "CalibMovingAverage": True,
                # Norms that stand before their convolution have weights of one axis.
                "QDQOpTypePerChannelSupportToAxis": {"BatchNormalization": 0},
            },
        )
        proto = onnx.load(out)
    del proto.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    record = Int8Record(calibration_images=len(images), float_operators=excluded)
    return proto.SerializeToString(deterministic=True), record


def _check_split(images: ImageSet) -> None:
    others = sorted({str(row.split) for row in images.rows} - {"train"})
    if others or len(images.rows) != len(images):
        raise ExportError(
            f"calibration images are of split {', '.join(others) or 'unknown'}; "
            "calibrate on the training split only"
        )


def _float_operators(proto: onnx.ModelProto, convolutions: int) -> tuple[str, ...]:
    """Names of the first convolutions, of each output's last layer and of all behind it."""
    nodes = list(proto.graph.node)
    first = [node.name for node in nodes if node.op_type == "Conv"][:convolutions]
    last = [
        node.name
        for output in proto.graph.output
        for node in behind_the_weights(proto, output.name)
    ]
    return (*first, *last)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands ONNX Runtime one image after the other."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._images: Iterator[npt.NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}
