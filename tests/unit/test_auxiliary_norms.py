"""Batch norms of their own for synthetic images: what they see, and what stays of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.auxiliary_norms import AuxiliaryNorms

REAL, MADE = 0.25, 4.0


class Small(nn.Module):
    """One norm, and a layer that both kinds of images share."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, momentum=1.0)
        self.last = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.last(self.norm(x).mean((2, 3)))
        return said


def batch(kinds: list[bool]) -> torch.Tensor:
    torch.manual_seed(1)
    level = torch.tensor([MADE if kind else REAL for kind in kinds])
    return level.view(-1, 1, 1, 1) + 0.01 * torch.randn(len(kinds), 3, 4, 4)


def test_each_kind_is_normalised_by_its_own_statistics() -> None:
    network = Small()
    both = AuxiliaryNorms(network)
    kinds = [False, True, True, False, False, True]
    images = batch(kinds)
    said = both(images, torch.tensor(kinds))
    assert network.norm.running_mean == pytest.approx([REAL] * 3, abs=0.02)
    (own,) = both.norms.values()
    assert own.running_mean == pytest.approx([MADE] * 3, abs=0.02)
    # Each as if its kind had come alone, in the order they came in.
    alone = network(images[[0, 3, 4]])
    assert torch.allclose(said[[0, 3, 4]], alone, atol=1e-5)
    said.sum().backward()
    assert own.weight.grad is not None
    assert network.norm.weight.grad is not None


@pytest.mark.parametrize(
    ("kinds", "real", "made"),
    [
        ([False] * 4, REAL, 0.0),
        ([True] * 4, 0.0, MADE),
        # One alone could not be normalised where features are one pixel in size.
        ([False, False, False, True], (3 * REAL + MADE) / 4, 0.0),
        ([False, True, True, True], 0.0, (REAL + 3 * MADE) / 4),
    ],
)
def test_batches_of_one_kind_or_nearly_so(kinds: list[bool], real: float, made: float) -> None:
    network = Small()
    both = AuxiliaryNorms(network)
    assert both(batch(kinds), torch.tensor(kinds)).shape == (4, 5)
    (own,) = both.norms.values()
    assert network.norm.running_mean == pytest.approx([real] * 3, abs=0.02)
    assert own.running_mean == pytest.approx([made] * 3, abs=0.02)
