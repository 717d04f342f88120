"""Stage 4: a diffusion model of cane loads, steered by edges and conditioned on region.

Training follows Ho et al. 2020 (arXiv:2006.11239) with v-prediction (Salimans and Ho 2022,
arXiv:2202.00512) on a cosine schedule, whose signal-to-noise ratio at its last step is so small
(2.4e-9) that rescaling it to zero (Lin et al. 2023, arXiv:2305.08891) changes nothing.

The study adds to the diffusion loss how far the edges drawn are from the edges asked for:

    L = L_diffusion + lambda * || F(E) - F(e(x0^)) ||^2

It does not say what F and e are, nor at which noise. Our reading: E is the Canny map asked for; x0^
is the one-step estimate of the clean image, sqrt(abar) x_t - sqrt(1 - abar) v; e is a soft edge
map that can be differentiated, the strength of Sobel gradients of the smoothed grey image as Canny
computes it; F are means of a map over squares of 2, 4 and 8 pixels, divided by the map's overall
mean, so that it compares where edges lie and not how strong they are. It counts where abar > 1/2
only: of heavier noise x0^ is a blur, whose edges say nothing (as ControlNet++, arXiv:2404.07987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, mse_loss, pad

from training.synthesis.conditions import Conditions
from training.synthesis.denoiser import HINTS, Denoiser
from training.synthesis.edges import canny, shapes
from training.synthesis.space import Space, to_images, to_signal

UNSAID: Final = 0.1
"""Share of training images of which nothing is said."""
UNSTEERED: Final = 0.2
"""Share of training images without edges: where there are edges, little of the rest is needed."""
_CLEAR: Final = 0.5
"""Least abar at which the estimate of the clean image has edges worth comparing."""
_SCALES: Final = (2, 4, 8)
_FAINT: Final = 0.02
"""Added to the mean of an edge map: of a picture without edges noise must not be blown up."""


def hints(images: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What steers: (n, HINTS, h, w), 0 or 255; Canny's edges and the three shapes.

    images: uint8 RGB (n, h, w, 3). classes: (n, h, w), as the U-Net predicts them.
    """
    planes = np.empty((len(images), HINTS, *images.shape[1:3]), np.uint8)
    for plane, image, predicted in zip(planes, images, classes, strict=True):
        plane[0] = canny(image)
        plane[1:] = shapes(plane[0], predicted)
    return planes


@dataclass(frozen=True)
class Examples:
    """Training images with what they are.

    images: uint8 RGB (n, size, size, 3). hints: see `hints`. conditions: of all n.
    weights: float (n,), how often each is drawn: rare grades more often than they occur.
    """

    images: npt.NDArray[np.uint8]
    hints: npt.NDArray[np.uint8]
    conditions: Conditions
    weights: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> Examples:
        return Examples(
            self.images[chosen],
            self.hints[chosen],
            self.conditions[torch.from_numpy(chosen)],
            self.weights[chosen],
        )


class DiffusionLoss:
    """The loss above on a random batch, mirrored at random; see `steps.Steps`.

    weight: lambda. Uses of the hints only what the network has a ControlNet for.
    """

    def __init__(
        self,
        examples: Examples,
        batch: int,
        device: torch.device,
        *,
        weight: float,
        space: Space,
    ) -> None:
        self._images = torch.from_numpy(examples.images)
        self._hints = torch.from_numpy(examples.hints)
        self._conditions = examples.conditions
        self._weights = torch.from_numpy(examples.weights)
        self._batch, self._device, self._weight = batch, device, weight
        self._space, self._schedule = space, space.schedule
        self._kept = self._schedule.alphas_cumprod.to(device)

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        chosen = torch.multinomial(self._weights, self._batch, replacement=True)
        images = self._images[chosen].to(self._device)
        asked = self._hints[chosen].to(self._device).float() / 255.0
        for axis in (1, 2):
            flipped = (torch.rand(self._batch, device=self._device) < 0.5)[:, None, None, None]
            images = torch.where(flipped, images.flip(axis), images)
            asked = torch.where(flipped, asked.flip(axis + 1), asked)
        signal = self._space.encode(images)
        unsaid, unsteered = torch.rand(2, self._batch)
        conditions = self._conditions[chosen].without(unsaid < UNSAID).to(self._device)
        steering = asked * (unsteered >= UNSTEERED).to(self._device)[:, None, None, None]
        noise = torch.randn_like(signal)
        t = torch.randint(len(self._kept), (self._batch,), device=self._device)
        noisy = self._schedule.add_noise(signal, noise, t)
        found = network(noisy, t, conditions, steering).float()
        of_noise = self._schedule.config["prediction_type"] == "epsilon"
        loss = mse_loss(found, noise if of_noise else self._schedule.get_velocity(signal, noise, t))
        if self._weight > 0:
            loss = loss + self._weight * self._astray(noisy, found, t, steering[:, :1], of_noise)
        return loss

    def _astray(
        self, noisy: Tensor, found: Tensor, t: Tensor, asked: Tensor, of_noise: bool
    ) -> Tensor:
        kept = self._kept[t]
        # Counts where noise is light and edges were asked for.
        counts = (kept > _CLEAR) & (asked.amax((1, 2, 3)) > 0)
        if not counts.any():
            return found.new_zeros(())
        alpha = kept[counts].sqrt()[:, None, None, None]
        sigma = (1 - kept[counts]).sqrt()[:, None, None, None]
        noisy, found = noisy[counts], found[counts]
        clean = (noisy - sigma * found) / alpha if of_noise else alpha * noisy - sigma * found
        drawn = soft_edges(self._space.pixels(clean))
        pairs = zip(features(asked[counts]), features(drawn), strict=True)
        gaps = torch.stack([((a - b) ** 2).mean((1, 2, 3)) for a, b in pairs]).sum(0)
        return gaps.sum() / len(counts)


def soft_edges(images: Tensor) -> Tensor:
    """Edge strength, float (n, 1, h, w), of images (n, 3, h, w) in [-1, 1]; differentiable."""
    grey = (images * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    smooth = images.new_tensor([0.25, 0.5, 0.25])
    step = images.new_tensor([-0.5, 0.0, 0.5])
    gauss = smooth[:, None] * smooth
    across = conv2d(pad(grey, (1, 1, 1, 1), mode="replicate"), gauss[None, None])
    padded = pad(across, (1, 1, 1, 1), mode="replicate")
    gx = conv2d(padded, (smooth[:, None] * step)[None, None])
    gy = conv2d(padded, (step[:, None] * smooth)[None, None])
    return gx.abs() + gy.abs()


def features(edges: Tensor) -> list[Tensor]:
    """F of the loss: where the edges of a map (n, 1, h, w) lie, at several scales."""
    level = edges / (edges.mean((1, 2, 3), keepdim=True) + _FAINT)
    return [avg_pool2d(level, scale) for scale in _SCALES]


@torch.inference_mode()
def sample(
    network: Denoiser,
    conditions: Conditions,
    steering: npt.NDArray[np.uint8] | None,
    seeds: npt.NDArray[np.int64],
    *,
    steps: int = 20,
    guidance: float = 2.0,
    start: npt.NDArray[np.uint8] | None = None,
    strength: float = 1.0,
) -> npt.NDArray[np.uint8]:
    """Images, uint8 RGB (n, size, size, 3), by DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095).

    steering: see `hints`; None for none. seeds: (n,), of each image's noise, whatever batch or
    process it is drawn in. guidance: 1 is none; v = v0 + guidance * (v1 - v0), where the network is
    told nothing but the edges in v0. The linear part is told the same in both: the colours that it
    expects are to be met, and not to be exceeded. start, strength: begin with these images, noised
    as far as `strength`, from 0 (nothing changes) to 1 (nothing of them is left), instead of with
    noise.
    """
    device = next(network.parameters()).device
    space = network.space
    schedule = DPMSolverMultistepScheduler.from_config(
        space.schedule.config,
        algorithm_type="dpmsolver++",
        thresholding=space.bounded,
        # From the noisiest step on, whatever a saved schedule says: samples begin as pure noise.
        timestep_spacing="linspace",
    )
    schedule.set_timesteps(steps)
    x = torch.stack([_noise(int(seed), space.shape) for seed in seeds]).to(device)
    first = 0
    if start is not None and strength < 1:
        first = min(steps - 1, round(steps * (1 - strength)))
        clean = space.encode(torch.from_numpy(start).to(device))
        x = schedule.add_noise(clean, x, schedule.timesteps[first : first + 1].repeat(len(x)))
        schedule.set_begin_index(first)
    said = conditions.to(device)
    unsaid = said.without(torch.ones(len(said), dtype=torch.bool, device=device))
    asked = None if steering is None else torch.from_numpy(steering).to(device).float() / 255.0
    for t in schedule.timesteps[first:]:
        at = t.to(device).repeat(len(x))
        v = network(x, at, said, asked).float()
        if guidance != 1:
            v0 = network(x, at, unsaid, asked, expected=said).float()
            v = v0 + guidance * (v - v0)
        x = schedule.step(v, t, x, return_dict=False)[0]
    return to_images(space.pixels(x))


def _noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def edge_agreement(
    images: npt.NDArray[np.uint8], asked: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """How well images follow edges: the correlation, (n,), of edge strengths over pixels.

    Both are edge strengths smoothed alike: of uint8 RGB images (n, h, w, 3), and either of other
    such images or of a Canny map (n, h, w). 0 where one of them is flat.
    """
    ours = soft_edges(to_signal(torch.from_numpy(images)))
    if asked.ndim == 4:
        theirs = soft_edges(to_signal(torch.from_numpy(asked)))
    else:
        theirs = torch.from_numpy(asked).float()[:, None] / 255.0
    a, b = (avg_pool2d(map_, 3, stride=1, padding=1).flatten(1).double() for map_ in (ours, theirs))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    norm = (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-9)
    return np.asarray(((a * b).sum(1) / norm).numpy())


def obedience(
    drawn: npt.NDArray[np.uint8], real: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """See `edge_agreement`, of n images with those that their edges came from, and with others.

    Both uint8 RGB (n, h, w, 3), image by image. Where the second is as high as the first, edges
    say nothing.
    """
    others = np.roll(real, max(1, len(real) // 2), axis=0)
    return edge_agreement(drawn, real), edge_agreement(drawn, others)
