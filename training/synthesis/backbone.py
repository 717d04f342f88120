"""A published latent diffusion model (Rombach et al. 2022, arXiv:2112.10752) to start from.

From a folder or the hub, as diffusers lays it out: `unet`, `vae` and `scheduler`. Its text encoder
is not used: tokens for grade and level, region and light stand where a prompt's would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from training.errors import WeightsError

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


@dataclass(frozen=True)
class Pretrained:
    """A backbone with its weights."""

    parts: Backbone
    unet: Mapping[str, Tensor]
    vae: Mapping[str, Tensor]

    def check_size(self, size: int) -> None:
        """Raises WeightsError for images that it cannot halve as often as it must."""
        if size % self.parts.step:
            raise WeightsError(
                f"images of {size} pixels are no multiple of {self.parts.step}, as the backbone "
                "needs; give another --size"
            )


def read(source: str) -> Pretrained:
    """source: a folder, or a name on the hub. Raises WeightsError in one line."""
    try:
        unet = UNet2DConditionModel.from_pretrained(source, subfolder="unet")
        vae = AutoencoderKL.from_pretrained(source, subfolder="vae")
        schedule = DDPMScheduler.from_pretrained(source, subfolder="scheduler")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise WeightsError(
            f"--backbone {source}: cannot be read ({first}); give a folder with unet, vae and "
            "scheduler as diffusers saves them, or a name on the hub"
        ) from error
    fault = _fault(unet.config, vae.config, schedule.config)
    if fault:
        raise WeightsError(
            f"--backbone {source}: {fault}; take a model such as Stable Diffusion 1.5 or 2.1"
        )
    parts = Backbone(
        unet=_described(unet.config),
        vae=_described(vae.config),
        schedule=_described(schedule.config),
    )
    return Pretrained(parts, unet.state_dict(), vae.state_dict())


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
