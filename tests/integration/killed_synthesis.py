"""A synthesis in a process of its own, which kills itself where a file is being written."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import cv2
import thumbnails
import torch

from training import baselines, outputs
from training.console import RichReport
from training.synthesis import pipeline
from training.synthesis.config import SynthesisConfig
from training.synthesis.pipeline import synthesize
from training.synthesis.steps import Steps


def unharmed(data: Path, out: Path, config: SynthesisConfig, told: Path | None = None) -> None:
    """Runs to its end, on one thread and with thumbnails for features. told: gets a line for each
    U-Net that is trained."""
    if told is not None:
        train_as_ever = pipeline.train_segment

        def train_segment(*arguments: Any) -> bool:
            with told.open("a", encoding="utf-8") as stream:
                stream.write("a U-Net\n")
            return train_as_ever(*arguments)

        pipeline.train_segment = train_segment
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    baselines.frozen_features = thumbnails.features
    with RichReport(quiet=True) as report:
        assert synthesize(data, out, config, report, threads=1)


def main(data: Path, out: Path, config: SynthesisConfig, survived: Path) -> None:
    """Runs on to the first file of a kind that `survived` does not name, once written in part and
    once when it has its name, and dies there. A checkpoint is written after each step."""
    assert Steps.__init__.__kwdefaults__ is not None
    Steps.__init__.__kwdefaults__["save_every"] = 0.0
    known = set(survived.read_text("utf-8").splitlines())
    sync = outputs._sync
    writing: list[str] = []

    def mortal(path: Path) -> None:
        sync(path)
        if not path.is_dir():
            inner = path.relative_to(out)
            # Files that are not whole yet are named after the process.
            name = path.name.replace(f".{os.getpid()}.", ".")
            kind = "an image" if ".png" in path.suffixes else name
            writing[:] = [f"{inner.parent} {kind}"]
        when = f"{writing[0]} {'named' if path.is_dir() else 'not yet named'}"
        if when in known:
            return
        with survived.open("a", encoding="utf-8") as stream:
            stream.write(f"{when}\n")
        if not path.is_dir():
            path.write_bytes(path.read_bytes()[:-1])
        os.kill(os.getpid(), signal.SIGKILL)

    outputs._sync = mortal
    unharmed(data, out, config)
