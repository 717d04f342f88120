"""A command whose packages are missing says so, and what needs none of them works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TRAINING_ALONE = (
    *("torch", "accelerate", "diffusers", "kornia", "peft", "sklearn", "onnxscript", "matplotlib"),
    *("safetensors", "huggingface_hub", "imagehash", "pycocotools", "tensorboard", "defusedxml"),
)
"""Modules that `make run` does not install."""


def without_torch(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    """That package's command where what only training needs is not installed."""
    gone = "".join(f"sys.modules[{name!r}] = None; " for name in TRAINING_ALONE)
    script = f"import sys; {gone}from {module}.entry import main; main()"
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("training", ()),
        ("exporter", ("bundle", "--checkpoint", "run", "--data", "set", "--out", "x.bundle")),
    ],
)
def test_missing_package_is_one_line(module: str, words: tuple[str, ...]) -> None:
    done = without_torch(module, *words)
    assert done.returncode == 2
    missing = re.search(r"the package (\S+) is not installed; run make test", done.stderr)
    assert missing is not None
    assert missing[1] in TRAINING_ALONE
    assert len(done.stderr.splitlines()) == 1


def test_who_checks_signs_and_pushes_needs_no_torch(tmp_path: Path) -> None:
    bundle = Path(__file__).parents[2] / "deploy" / "models" / "sim-mobilenetv2.bundle"
    key, repo = tmp_path / "key.pem", tmp_path / "models"
    for words in (
        ("check", bundle),
        ("repo", "key", key),
        ("repo", "key", tmp_path / "online.pem"),
        (
            *("repo", "init", repo, "--root-key", f"{key}.pub", "--root-threshold", 1),
            *("--targets-key", f"{key}.pub", "--online-key", tmp_path / "online.pem.pub"),
            *("--sign", key),
        ),
        ("repo", "add", repo, bundle, "--sign", key),
        ("repo", "publish", repo, "--online-key", tmp_path / "online.pem"),
        ("push", bundle, "--repo", repo, "--out", tmp_path / "stick.zip"),
    ):
        done = without_torch("exporter", *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "stick.zip").stat().st_size > bundle.stat().st_size
