"""The devices and processes a run is computed on, by Hugging Face's accelerate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeVar

import cv2
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import (  # type: ignore[import-untyped]
    AcceleratorState,
    PartialState,
)
from accelerate.utils import (  # type: ignore[import-untyped]
    broadcast,
    broadcast_object_list,
    parse_flag_from_env,
)

from training.config import Precision
from training.errors import ElsewhereError, RunError

T = TypeVar("T")

PATIENCE: Final = timedelta(hours=24)
"""How long processes wait for one of them. By default ten minutes with NCCL, in which the main
process alone may not be done judging a large synthetic set. Where one has died, the launcher ends
the others."""


def use_threads(threads: int | None) -> None:
    """So many for this process's networks and images from now on; None leaves it at all there are.

    Changes torch and OpenCV for the whole process.
    """
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


def is_main() -> bool:
    """Is this the process that writes the run's files and talks?"""
    return bool(_state().is_main_process)


def processes() -> int:
    """How many processes compute together."""
    return int(_state().num_processes)


def leave() -> None:
    """Ends what the processes have in common. Nothing can be trained in this process after it."""
    _state().destroy_process_group()


def chosen(precision: Precision | Literal["auto"]) -> Precision:
    """The one that was asked for, or this machine's best."""
    return best_precision() if precision == "auto" else precision


def best_precision() -> Precision:
    """16 bits on GPUs, and on CPUs that multiply matrices of them (AMX).

    With avx512_bf16 alone it is fp32: what 16 bits are worth there differs from processor to
    processor and from network to network (`benchmarks/train_speed.py`).
    """
    if _state().device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.cpu.get_capabilities().get("amx_bf16") else "fp32"


@contextmanager
def accelerator(precision: Precision, tensorboard: Path | None = None) -> Iterator[Accelerator]:
    """The Accelerator of one run; scalars go to `tensorboard`, where it is given.

    Raises RunError when this machine has no such precision, or no TensorBoard.
    """
    if precision == "fp16" and _state().device.type != "cuda":
        raise RunError("precision fp16 needs a GPU, and none is used; choose bf16 or fp32")
    if tensorboard is not None and find_spec("tensorboard") is None:
        raise RunError("--tensorboard needs the package tensorboard; install it or leave it out")
    made = Accelerator(
        cpu=_on_cpu(),
        mixed_precision="no" if precision == "fp32" else precision,
        log_with=None if tensorboard is None else "tensorboard",
        project_dir=tensorboard,
    )
    try:
        yield made
    finally:
        for tracker in made.trackers:
            tracker.finish()
        # accelerate keeps one state a process; the next run may have another precision.
        AcceleratorState._reset_state()


def main_first(work: Callable[[], T]) -> T:
    """What `work` returns, done by the main process before the others: it may write files.

    What it raises in the main process is an ElsewhereError in the others.
    """
    failed = [False]
    results: list[T] = []
    try:
        if is_main():
            results.append(work())
    except BaseException:
        failed = [True]
        raise
    finally:
        broadcast_object_list(failed)
    if failed[0]:
        raise ElsewhereError("the main process has failed")
    return results[0] if results else work()


def is_past(accelerator: Accelerator, deadline: float) -> bool:
    """Is time up? The main process's clock decides for all, so every one of them has to ask.

    deadline: of time.monotonic(), infinite in all processes or in none.
    """
    past = time.monotonic() > deadline
    if accelerator.num_processes == 1 or deadline == math.inf:
        return past
    return bool(broadcast(torch.tensor(past, device=accelerator.device)))


def _state() -> PartialState:
    """What accelerate knows of the processes. Its first call in a process joins them."""
    return PartialState(cpu=_on_cpu(), timeout=PATIENCE)


def _on_cpu() -> bool:
    """No GPU, or `accelerate launch --cpu`. Said to accelerate, which else joins GPUs only."""
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()


def share_of(batch: int, accelerator: Accelerator) -> int:
    """How many images of a batch each process takes, one at least."""
    return max(1, batch // int(accelerator.num_processes))
