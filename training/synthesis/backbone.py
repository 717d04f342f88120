"""A published latent diffusion model (Rombach et al. 2022, arXiv:2112.10752) to start from.

From a folder or the hub, as diffusers lays it out: `unet`, `vae` and `scheduler`. Its text encoder
is not used: tokens for grade and level, region and light stand where a prompt's would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from huggingface_hub import hf_hub_download
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from training.digest import sha256
from training.errors import WeightsError

_PARTS: Final = ("unet", "vae", "scheduler")
_PREDICTIONS: Final = ("epsilon", "v_prediction")


class Backbone(BaseModel):
    """Its parts, as diffusers describes them in their config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unet: dict[str, Any]
    vae: dict[str, Any]
    schedule: dict[str, Any]

    @property
    def step(self) -> int:
        """Of what sizes of images must be multiples: 64 pixels for Stable Diffusion 1.5 and 2.1."""
        halvings = len(self.vae["block_out_channels"]) + len(self.unet["block_out_channels"]) - 2
        return int(2**halvings)

    def check_size(self, size: int) -> None:
        """Raises WeightsError for images that it cannot halve as often as it must."""
        if size % self.step:
            raise WeightsError(
                f"images of {size} pixels are no multiple of {self.step}, as the backbone needs; "
                "give another --size"
            )


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its weights."""

    parts: Backbone
    unet: Mapping[str, Tensor]
    vae: Mapping[str, Tensor]


def read(source: str) -> Pretrained:
    """source: a folder, or a name on the hub. Raises WeightsError in one line."""
    parts = describe(source)
    with _told(source):
        unet = UNet2DConditionModel.from_pretrained(source, subfolder="unet")
        vae = AutoencoderKL.from_pretrained(source, subfolder="vae")
    return Pretrained(parts, unet.state_dict(), vae.state_dict())


def describe(source: str) -> Backbone:
    """Its parts, of which no weight is read. Raises WeightsError in one line."""
    # Without memory for weights: networks fill in what older descriptions leave out.
    with _told(source), torch.device("meta"):
        unet = UNet2DConditionModel.from_config(
            UNet2DConditionModel.load_config(source, subfolder="unet")
        ).config
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(source, subfolder="vae")).config
    with _told(source):
        schedule = DDPMScheduler.from_pretrained(source, subfolder="scheduler").config
    fault = _fault(unet, vae, schedule)
    if fault:
        raise WeightsError(
            f"--backbone {source}: {fault}; take a model such as Stable Diffusion 1.5 or 2.1"
        )
    return Backbone(unet=_described(unet), vae=_described(vae), schedule=_described(schedule))


def digest(source: str) -> str:
    """What changes when its content does: SHA-256 over the files of a folder's parts, or the commit
    that the hub's name stands for. Raises WeightsError in one line."""
    folder = Path(source)
    with _told(source):
        if not folder.is_dir():
            # In the hub's cache: snapshots, COMMIT, unet, config.json.
            return Path(hf_hub_download(source, "config.json", subfolder="unet")).parts[-3]
        files = sorted(f for part in _PARTS for f in (folder / part).rglob("*") if f.is_file())
        lines = [f"{file.relative_to(folder).as_posix()} {sha256(file)}" for file in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Says in one line that diffusers cannot read it."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise WeightsError(
            f"--backbone {source}: cannot be read ({first}); give a folder with unet, vae and "
            "scheduler as diffusers saves them, or a name on the hub"
        ) from error


def _fault(unet: Mapping[str, Any], vae: Mapping[str, Any], schedule: Mapping[str, Any]) -> str:
    """Why it will not do; "" where it will."""
    if unet["in_channels"] != vae["latent_channels"]:
        return (
            f"its UNet takes {unet['in_channels']} channels, its latents have "
            f"{vae['latent_channels']}"
        )
    for key in ("addition_embed_type", "encoder_hid_dim_type", "class_embed_type"):
        if unet.get(key) is not None:
            return f"its UNet wants more than a prompt ({key} is {unet[key]})"
    if not isinstance(unet["cross_attention_dim"], int):
        return "its UNet's tokens have several sizes"
    if schedule["prediction_type"] not in _PREDICTIONS:
        return f"it predicts {schedule['prediction_type']}, not {' or '.join(_PREDICTIONS)}"
    return ""


def _described(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the place it was read from."""
    return {name: value for name, value in config.items() if name != "_name_or_path"}
