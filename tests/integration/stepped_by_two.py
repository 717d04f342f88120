"""One of two processes that take a few steps together: `stepped_by_two.py FOLDER`. Its weights go
to FOLDER/RANK.weights."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training import parallel
from training.console import RichReport
from training.synthesis.steps import Steps

BATCH = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 1.0], [5.0, -1.0]])


def network() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(2, 1, bias=False)


def trained(accelerator: Accelerator, file: Path, share: Tensor) -> nn.Linear:
    """Towards a sum of 1, on a process's share of the batch."""
    made = network()
    steps = Steps(
        accelerator,
        made,
        lambda model, _: ((model(share) - 1) ** 2).mean(),
        file,
        total=5,
        seed=1,
        learning_rate=0.05,
        config={},
    )
    with RichReport(quiet=True) as report:
        assert steps.run(report)
    return made


def main(folder: Path) -> None:
    assert parallel.processes() == 2
    backend = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))
    assert backend.options._timeout == parallel.PATIENCE
    with parallel.accelerator("fp32") as accelerator:
        rank = accelerator.process_index
        found = trained(accelerator, folder / "last.pt", BATCH[rank::2])
        torch.save(found.weight.detach(), folder / f"{rank}.weights")
    parallel.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
