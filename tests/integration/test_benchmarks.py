"""Benchmarks of networks run and time all that they name, in their smallest form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.classifiers.registry import CLASSIFIERS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


def measured(script: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, BENCHMARKS / script, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_inference_is_timed_in_every_form() -> None:
    found = measured("inference.py", "--size", "32", "--rounds", "2")
    for runtime in ("torch", "onnxruntime", "openvino"):
        for form in ("fp32", "int8"):
            timed = found["ways"][f"{runtime} {form}"]
            assert 0 < timed["p50_ms"] <= timed["p95_ms"]
    assert found["ways"]["onnxruntime fp32"]["of_onnxruntime_fp32"] == 1


def test_training_of_every_classifier_is_timed() -> None:
    options = ("--size", "32", "--batch", "4", "--steps", "1", "--rounds", "1")
    found = measured("train_speed.py", *options, "--precision", "fp32")
    for name in CLASSIFIERS:
        assert found["classifiers"][name]["fp32"]["ours_images_s"] > 0


def test_synthesis_is_timed_beside_diffusers_own_loop() -> None:
    options = ("--sizes", "32", "--batch", "2", "--rounds", "1", "--steps", "2", "--images", "1")
    found = measured("synthesis.py", *options, "--threads", "1")
    assert found["sizes"]["32"]["step_s"].keys() == {"ours", "diffusers"}
    assert found["sizes"]["32"]["drawn_image_s"] > 0
