"""Weights before the first step."""

from __future__ import annotations

from torch import nn


def initialise(network: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852) for convolutions, small normal numbers for the last layer.

    What has a bias is taken for a last layer: other convolutions have a batch norm behind them.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        else:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
