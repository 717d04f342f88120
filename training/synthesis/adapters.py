"""A model for each region, as the study's variant has it: low-rank adapters on one shared model.

Hu et al. 2021 (arXiv:2106.09685): beside each weight W of the projections of attention, and of the
two convolutions of each residual block, of the UNet stands B A of low rank, trained on the region's
images alone while all else stays as it is, but for the mean colour that the linear denoiser
expects, which is the region's (`LinearDenoiser.settle`). It is what a learned embedding of the
region is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor

from training.errors import WeightsError
from training.synthesis.denoiser import Denoiser
from training.synthesis.stages import save_weights

_NAME: Final = "region"
_MEAN: Final = "linear.mean"
_TARGETS: Final = r".*\.(to_q|to_k|to_v|to_out\.0|conv1|conv2)"
_REGION_KEY: Final = "canegrade.region"
_RANK_KEY: Final = "canegrade.rank"
_LOSS_KEY: Final = "canegrade.loss"


def add(network: Denoiser, rank: int) -> None:
    """Gives the UNet an adapter that changes nothing yet; only its weights are trained from now."""
    network.requires_grad_(False)
    network.unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=_TARGETS), adapter_name=_NAME
    )


def weights_of(network: Denoiser, averaged: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapter's part of weights, by names as of `Denoiser.state_dict`; without a backbone the
    region's mean too."""
    prefix = "unet."
    unet = {n[len(prefix) :]: t for n, t in averaged.items() if n.startswith(prefix)}
    weights = dict(get_peft_model_state_dict(network.unet, unet, adapter_name=_NAME))
    return weights if network.architecture.backbone else {**weights, _MEAN: network.linear.mean}


def file_of(folder: Path, number: int | str) -> Path:
    """The file of a region's adapter by the region's number; by "*" the pattern of all."""
    return folder / f"region-{number}.safetensors"


def save(path: Path, weights: Mapping[str, Tensor], region: str, rank: int, loss: float) -> None:
    """Writes one region's adapter, under its name only when complete. loss: at the end of its
    training."""
    save_weights(path, weights, {_REGION_KEY: region, _RANK_KEY: str(rank), _LOSS_KEY: repr(loss)})


def loss_of(path: Path) -> float:
    """The loss that `save` was told. Raises WeightsError."""
    with _told(path), safe_open(path, framework="pt") as tensors:
        return float(tensors.metadata()[_LOSS_KEY])


@dataclass(frozen=True)
class Adapters:
    """Those of all regions, on the network that they were trained beside. files: by region."""

    network: Denoiser
    files: Mapping[str, Path]
    _weights: Mapping[str, Mapping[str, Tensor]]
    """By region: see `weights_of`."""
    _mean: Tensor | None
    """Of the shared model's linear part; None where it has none."""

    @classmethod
    def load(cls, network: Denoiser, folder: Path) -> Self:
        """Reads a folder's adapters and gives the network a place for one. Raises WeightsError."""
        files, weights, ranks = {}, {}, set()
        mean = None if network.architecture.backbone else network.linear.mean.clone()
        for file in sorted(folder.glob(file_of(Path(), "*").name)):
            with _told(file), safe_open(file, framework="pt") as tensors:
                metadata = tensors.metadata()
                region, rank = metadata[_REGION_KEY], int(metadata[_RANK_KEY])
                found = {n: tensors.get_tensor(n) for n in tensors.keys()}  # noqa: SIM118
                if mean is not None and _MEAN not in found:  # of an earlier version
                    raise KeyError(_MEAN)
                weights[region] = found
            files[region] = file
            ranks.add(rank)
        if len(ranks) != 1:
            raise WeightsError(
                f"adapters in {folder}: none, or of several ranks; delete it and run again"
            )
        add(network, ranks.pop())
        return cls(network, files, weights, mean)

    def choose(self, region: str) -> None:
        """Has the network draw as that region's; as the shared model for one without an adapter."""
        found = dict(self._weights.get(region, {}))
        if self._mean is not None:
            self.network.linear.mean.copy_(found.pop(_MEAN, self._mean))
        if not found:
            self.network.unet.disable_adapters()
            return
        self.network.unet.enable_adapters()
        set_peft_model_state_dict(self.network.unet, found, adapter_name=_NAME)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Says in one line that it cannot be read."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"adapter {file}: broken or no adapter; delete {file.parent} and run again"
        ) from error
