"""The network of stage 4: a conditional UNet with a ControlNet, both from diffusers.

Ho et al. 2020 (arXiv:2006.11239) for diffusion, Zhang et al. 2023 (arXiv:2302.05543) for
ControlNet. It works in pixels, which are folded into channels first (pixel_unshuffle by `patch`),
so that larger images are affordable without an autoencoder; or in the latents of a backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from training.errors import WeightsError
from training.synthesis.backbone import Backbone
from training.synthesis.conditions import LIGHTS, VECTOR, Conditions, Vocabulary
from training.synthesis.linear import LinearDenoiser
from training.synthesis.space import LatentSpace, PixelSpace, Space, halvings
from training.synthesis.stages import save_weights

HINTS: Final = 4
"""Planes that steer: Canny's edges, and the edges of stalk, of leaf and trash, and of the rest."""
GROUPS: Final = 8
"""Of each group norm. With diffusers' 32, narrow layers would have each channel on its own, and
lose how strong it is beside the others."""
_HINT_WIDTHS: Final = (16, 32, 96, 256, 256)
"""Of the layers that bring hints to the size of latents, as published for three halvings."""
METADATA_KEY: Final = "canegrade.denoiser"

Control = Literal["joint", "frozen", "none"]


class Architecture(BaseModel):
    """What the network looks like.

    size: of images, in pixels. patch: pixels folded into channels, in each direction.
    widths: channels of each resolution, multiples of GROUPS. The first must be twice those of a
        folded pixel at least: noise has as many dimensions, and what the network cannot let
        through it cannot take away.
    attention: at so many of the lowest resolutions the UNet attends to region and light.
    control: joint: UNet and ControlNet are trained together; frozen: the ControlNet is a trainable
        copy of a finished UNet that stays as it is, as published; none: there is no ControlNet.
    vocabulary: of regions and lights.
    backbone: a latent diffusion model in the stead of a UNet in pixels. patch, widths, layers,
        attention and token then count for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=16, le=1024)
    patch: int = Field(default=1, ge=1, le=16)
    widths: tuple[int, ...] = Field(default=(32, 64, 96, 128), min_length=2)
    layers: int = Field(default=1, ge=1)
    attention: int = Field(default=2, ge=1)
    token: int = Field(default=64, ge=8)
    control: Control = "joint"
    vocabulary: Vocabulary
    backbone: Backbone | None = None

    @model_validator(mode="after")
    def _fits(self) -> Architecture:
        if self.backbone is not None:
            return self
        step = self.patch * 2 ** (len(self.widths) - 1)
        if self.size % step:
            raise ValueError(f"{self.size} pixels are no multiple of {step} (patch x halvings)")
        if any(width % GROUPS for width in self.widths):
            raise ValueError(f"widths {self.widths} are not all multiples of {GROUPS}")
        least = 2 * 3 * self.patch**2
        if self.widths[0] < least:
            raise ValueError(
                f"width {self.widths[0]} is too small for patches of {self.patch} pixels, which "
                f"have {least // 2} values each; {least} is the least, or take smaller patches"
            )
        return self


class Denoiser(nn.Module):
    """Predicts the velocity v (Salimans and Ho 2022, arXiv:2202.00512) of noisy images.

    The network adds to what a linear denoiser, fitted to the training images, expects. With a
    backbone it predicts what that does, of its latents.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.space: Space
        if architecture.backbone is None:
            self.space = PixelSpace(architecture.size)
            self.linear = LinearDenoiser(architecture.size, len(architecture.vocabulary.regions))
            self.unet = _unet(architecture)
            # Before it has learned anything the network is the linear denoiser.
            nn.init.zeros_(self.unet.conv_out.weight)
            nn.init.zeros_(self.unet.conv_out.bias)
            token = architecture.token
        else:
            backbone = architecture.backbone
            self.unet = UNet2DConditionModel.from_config(backbone.unet)
            self.vae = AutoencoderKL.from_config(backbone.vae)
            self.vae.requires_grad_(False)
            schedule = DDPMScheduler.from_config(backbone.schedule)
            self.space = LatentSpace(self.vae, schedule, architecture.size)
            token = self.unet.config["cross_attention_dim"]
            self.vector = nn.Linear(VECTOR, token)
        self.regions = nn.Embedding(1 + len(architecture.vocabulary.regions), token)
        self.lights = nn.Embedding(1 + LIGHTS, token)
        self.controlnet: ControlNetModel | None = None
        if architecture.control != "none":
            self.add_control()

    def add_control(self) -> None:
        """Makes the ControlNet anew: a copy of the UNet's first half with zero outputs."""
        if self.architecture.backbone is None:
            # One entry: the default is made for latents and halves the resolution three times.
            widths: tuple[int, ...] = (32,)
            channels = HINTS * self.architecture.patch**2
        else:
            widths, channels = _HINT_WIDTHS[: halvings(self.vae) + 1], HINTS
        self.controlnet = ControlNetModel.from_unet(
            self.unet,
            conditioning_embedding_out_channels=widths,
            conditioning_channels=channels,
        )
        if self.architecture.control == "frozen":
            for name, part in self.named_children():
                part.requires_grad_(name == "controlnet")

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        conditions: Conditions,
        hints: Tensor | None,
        *,
        expected: Conditions | None = None,
    ) -> Tensor:
        """What the space's schedule has predicted, of the shape of `noisy`, float (n, *shape).

        t: whole numbers (n,). hints: float (n, HINTS, size, size) in [0, 1]; None is as empty ones,
        which is how it has learned to draw without.
        expected: what the linear part is told, where it is not the same.
        """
        tokens = [self.regions(conditions.region), self.lights(conditions.light)]
        said: dict[str, Any] = {"return_dict": False}
        if hints is None and self.controlnet is not None:
            size = self.architecture.size
            hints = noisy.new_zeros((len(noisy), HINTS, size, size))
        x, asked, patch = noisy, hints, self.architecture.patch
        in_pixels = self.architecture.backbone is None
        if in_pixels:
            # Beside the time step everything global reaches every layer. Attention, at the lowest
            # resolutions alone, left regions all but unlearned.
            scale = self.architecture.token**-0.5  # a token as long as a grade's own entry
            said["class_labels"] = torch.cat(
                [conditions.vector, *(token * scale for token in tokens)], dim=1
            )
            x = pixel_unshuffle(noisy, patch)
            asked = None if hints is None else pixel_unshuffle(hints, patch)
        else:
            tokens.append(self.vector(conditions.vector))
        said["encoder_hidden_states"] = torch.stack(tokens, dim=1)
        steering: dict[str, Any] = {}
        if self.controlnet is not None and asked is not None:
            down, mid = self.controlnet(x, t, controlnet_cond=asked, **said)
            steering = {
                "down_block_additional_residuals": down,
                "mid_block_additional_residual": mid,
            }
        (predicted,) = self.unet(x, t, **said, **steering)
        if not in_pixels:
            return cast("Tensor", predicted)
        learned = pixel_shuffle(cast("Tensor", predicted), patch)
        told = conditions if expected is None else expected
        return learned + cast("Tensor", self.linear(noisy, t, told))

    def save(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        """Writes `weights` (as of state_dict) under the name only when complete."""
        save_weights(path, weights, {METADATA_KEY: self.architecture.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> Denoiser:
        """Reads what `save` wrote, in evaluation mode, on the CPU. Raises WeightsError."""
        try:
            with safe_open(path, framework="pt") as tensors:
                metadata = tensors.metadata() or {}
                state = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            network = cls(Architecture.model_validate_json(metadata[METADATA_KEY]))
            network.load_state_dict(state)
        except OSError as error:
            raise WeightsError(
                f"diffusion model {path}: {error.strerror or error}; delete {path.parent} and run "
                "again"
            ) from error
        except (KeyError, RuntimeError, SafetensorError, ValidationError) as error:
            raise WeightsError(
                f"diffusion model {path}: broken or another network's; delete {path.parent} and "
                "run again"
            ) from error
        return network.eval()


def _unet(architecture: Architecture) -> UNet2DConditionModel:
    levels = len(architecture.widths)
    attends = [level >= levels - architecture.attention for level in range(levels)]
    channels = 3 * architecture.patch**2
    return UNet2DConditionModel(
        sample_size=architecture.size // architecture.patch,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=architecture.widths,
        layers_per_block=architecture.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        cross_attention_dim=architecture.token,
        attention_head_dim=8,
        norm_num_groups=GROUPS,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=VECTOR + 2 * architecture.token,
    )
