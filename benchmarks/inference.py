"""One image on one thread: torch, ONNX Runtime and OpenVINO, in 32 and in 8 bits. Prints JSON.

The time does not depend on what a network has learnt: its weights are random, and the ranges for
8 bits come from noise. All take turns in every round, so that other work on the machine meets all
alike; compare the ratios rather than the times.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from virtual import machine, percentile

from exporter.graph import INPUT_NAME, OUTPUT_NAME, Serving, export
from exporter.precision import FLOAT_CONVOLUTIONS
from exporter.quantization import quantize
from training import provenance
from training.classifiers.registry import CLASSIFIERS
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.model import ModelCard, TrainedModel, to_input

try:
    import openvino
except ImportError:  # it comes with the extra "benchmarks"
    openvino = None

Pixels = npt.NDArray[np.uint8]
WARM_UP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", choices=sorted(CLASSIFIERS), default="mobilenetv2")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    about = machine()
    if openvino is None:
        print("OpenVINO is not installed and left out: pip install .[benchmarks]", file=sys.stderr)
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (20, options.size, options.size, 3), dtype=np.uint8)
    ways = runners(options.classifier, options.size, pixels)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(WARM_UP + options.rounds):
        image = pixels[turn % len(pixels)][None]
        for name, run in ways.items():
            began = time.perf_counter()
            run(image)
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - began) * 1000)
    base = percentile(times["onnxruntime fp32"], 50)
    result = {
        "command": provenance.command_line(),
        "classifier": options.classifier,
        "size": options.size,
        "rounds": options.rounds,
        "threads": 1,
        "ways": {
            name: {
                "p50_ms": percentile(values, 50),
                "p95_ms": percentile(values, 95),
                "of_onnxruntime_fp32": round(percentile(values, 50) / base, 3),
            }
            for name, values in times.items()
        },
        "versions": {
            name: version(name)
            for name in ("torch", "onnxruntime", "openvino")
            if name != "openvino" or openvino is not None
        },
        "machine": about,
    }
    print(json.dumps(result, indent=2))


def runners(classifier: str, size: int, pixels: Pixels) -> dict[str, Callable[[Pixels], Any]]:
    """Everything that takes an image (1, size, size, 3), by name."""
    torch.manual_seed(1)
    card = ModelCard(
        classifier=classifier, size=size, temperature=1.0, confidence_threshold=0.5, training={}
    )
    network = CLASSIFIERS[classifier].build(5).eval()
    graph = export(TrainedModel(network, card), half_weights=False)
    rows = tuple(
        Row(image=f"{i}.png", truck=f"T{i}", captured_at=None, split="train")
        for i in range(len(pixels))
    )
    noise = ImageSet(pixels, np.zeros(len(pixels), np.int64), rows, ())
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in network.modules())
    forms = {"fp32": graph.model}
    for count in (count for count in FLOAT_CONVOLUTIONS if count < convolutions):
        name = "int8" if count == 0 else f"int8, first {count} convolutions fp32"
        forms[name] = quantize(graph.model, noise, float_convolutions=count)[0]
    ways: dict[str, Callable[[Pixels], Any]] = {
        "torch fp32": lambda image: _torch(graph.reference, image),
        "torch int8": _torch_int8(network, pixels),
    }
    for name, model in forms.items():
        ways[f"onnxruntime {name}"] = _onnxruntime(model)
        if openvino is not None:
            ways[f"openvino {name}"] = _openvino(model)
    return ways


@torch.inference_mode()
def _torch(module: torch.nn.Module, image: Pixels) -> Any:
    return module(torch.from_numpy(image))


def _torch_int8(network: torch.nn.Module, pixels: Pixels) -> Callable[[Pixels], Any]:
    """All layers in 8 bits by torch's FX graph mode, the way torch itself has for CPUs.

    It is deprecated in favour of another package, torchao.
    """
    kinds = get_default_qconfig_mapping(torch.backends.quantized.engine)
    images = to_input(torch.from_numpy(pixels), torch.device("cpu"))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        prepared = prepare_fx(network, kinds, (images[:1],))
        for image in images:
            prepared(image[None])
        module = Serving(convert_fx(prepared), 1.0)
    return lambda image: _torch(module, image)


def _onnxruntime(model: bytes) -> Callable[[Pixels], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run([OUTPUT_NAME], {INPUT_NAME: image})


def _openvino(model: bytes) -> Callable[[Pixels], Any]:
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        # By itself it would compute in bfloat16 where the processor can.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    return lambda image: compiled(image)


if __name__ == "__main__":
    main()
