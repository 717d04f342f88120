"""What model.onnx says of itself, for tools that see it without its bundle."""

from __future__ import annotations

from collections import Counter

import onnx

from edge_agent.inference.manifest import Manifest


def expected(manifest: Manifest) -> dict[str, str]:
    """The metadata_props of the ONNX file that this manifest describes."""
    area, level = manifest.input.graded_area, manifest.level
    of_level = {} if level is None else {"level_margin": repr(level.margin)}
    return {
        "name": manifest.name,
        "version": manifest.version,
        "labels": ",".join(manifest.labels),
        "resize": manifest.input.resize,
        "graded_area": f"{area.left},{area.top},{area.right},{area.bottom}",
        "precision": manifest.precision,
        "temperature": repr(manifest.temperature),
        "confidence_threshold": repr(manifest.confidence_threshold),
        "data_digest": manifest.training.data_digest,
        **of_level,
    }


def stamped(model: bytes, manifest: Manifest) -> bytes:
    """The ONNX file with its metadata_props."""
    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, expected(manifest))
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def stored_values(proto: onnx.ModelProto) -> dict[str, int]:
    """How many values the graph's initialisers hold, by ONNX's name of their type."""
    counts: Counter[str] = Counter()
    for tensor in proto.graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        counts[name] += len(onnx.numpy_helper.to_array(tensor).ravel())
    return dict(sorted(counts.items()))
