"""Batch norms of their own for synthetic images, while a network learns from both."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

_FEWEST: Final = 2
"""Batch norm cannot learn from a single image whose features are one pixel in size."""


class AuxiliaryNorms(nn.Module):
    """A network that normalises synthetic images by norms of their own.

    What making leaves behind in images then does not shift the statistics by which real ones are
    told, and need not be learned by the weights that both share: all others (AdvProp, Xie et al.
    2020, arXiv:1911.09665, section 4; for images of a diffusion model arXiv:2312.02253). The
    network itself has the norms of real images, and is what remains after training.

    norms: begin as copies of the network's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        norms = {n: m for n, m in network.named_modules() if isinstance(m, _BatchNorm)}
        self.norms = nn.ModuleDict({_key(name): deepcopy(norm) for name, norm in norms.items()})
        self._names = tuple(norms)

    def forward(self, images: Tensor, is_synthetic: Tensor) -> Tensor:
        """(n, 3, height, width) and bool (n,) -> (n, k), each image's as the network says it.

        A lone image of its kind goes with the others of its batch.
        """
        synthetic = int(is_synthetic.sum())
        if synthetic < _FEWEST:
            return self._real(images) + _nothing_of(self.norms)
        if len(images) - synthetic < _FEWEST:
            return self._synthetic(images) + _nothing_of(self.network)
        order = torch.argsort(is_synthetic.int(), stable=True)
        ordered, real = images[order], len(images) - synthetic
        said = torch.cat([self._real(ordered[:real]), self._synthetic(ordered[real:])])
        return said[torch.argsort(order)]

    def _real(self, images: Tensor) -> Tensor:
        said: Tensor = self.network(images)
        return said

    def _synthetic(self, images: Tensor) -> Tensor:
        tensors = {
            f"{name}.{part}": tensor
            for name in self._names
            for part, tensor in self.norms[_key(name)].state_dict(keep_vars=True).items()
        }
        said: Tensor = functional_call(self.network, tensors, (images,))
        return said


def _nothing_of(module: nn.Module) -> Tensor:
    """0, as a function of all weights: several processes wait for a gradient of each at every step,
    also of those that a batch has no use for."""
    return torch.stack([weight.sum() for weight in module.parameters()]).sum() * 0


def _key(name: str) -> str:
    """A module's name as one in a ModuleDict, which has no dots."""
    return name.replace(".", "/")
