"""Stage 3: a U-Net that tells stalk, leaf and trash, and everything else apart, pixel by pixel.

Ronneberger et al. 2015 (arXiv:1505.04597), with padding, so that sizes stay, and batch norm. It
sees the image and its Canny edges, and its classes split the edges into the three shapes that
steer the diffusion (`training.synthesis.edges.shapes`). Masks come from the simulator or from a
person who drew them; steered is by what it *predicts*, since what is drawn has no true masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from training.data import images
from training.data.dataset import ImageSet
from training.data.description import Area
from training.data.manifest import Row
from training.errors import DataError, WeightsError
from training.model import to_input
from training.synthesis.edges import canny
from training.synthesis.stages import load_weights

CLASSES: Final = ("other", "stalk", "leaf and trash")
"""By the value that masks have for them."""
WIDTHS: Final = (24, 48, 96, 192)
_BATCH: Final = 64
_FLAT: Final = 0.02
"""Added to the spread of colours, in [0, 1]: what is flat is not blown up to noise."""


class UNet(nn.Module):
    """Images with edges, float (batch, 4, h, w), to logits (batch, 3, h, w).

    The four planes are red, green, blue and edges, all in [0, 1]. Each colour is standardised over
    its image first: lamps, night and dust say nothing of what a pixel is, and what is brighter or
    greener than the rest of a load is what tells leaves from stalks.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, classes: int = len(CLASSES)) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = _double(4, widths[0])
        self.down = nn.ModuleList(_double(before, after) for before, after in pairs)
        self.pool = nn.MaxPool2d(2)
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(after, before, 2, stride=2) for before, after in reversed(pairs)
        )
        self.up = nn.ModuleList(_double(2 * before, before) for before, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], classes, 1)

    @classmethod
    def load(cls, path: Path, widths: Sequence[int]) -> UNet:
        """Reads a finished one's weights, on the CPU. Raises WeightsError."""
        network = cls(widths)
        try:
            network.load_state_dict(load_weights(path))
        except RuntimeError as error:
            raise WeightsError(
                f"weights {path}: of another network; delete {path.parent} and run again"
            ) from error
        return network

    def forward(self, x: Tensor) -> Tensor:
        colours = x[:, :3]
        spread, mean = torch.std_mean(colours, dim=(2, 3), keepdim=True)
        x = torch.cat([(colours - mean) / (spread + _FLAT), x[:, 3:]], dim=1)
        height, width = x.shape[2:]
        step = 2 ** len(self.down)
        if height % step or width % step:
            x = pad(x, (0, -width % step, 0, -height % step), mode="replicate")
        kept = [self.first(x)]
        for block in self.down:
            kept.append(block(self.pool(kept[-1])))
        x = kept.pop()
        for widen, block in zip(self.widen, self.up, strict=True):
            x = block(torch.cat([kept.pop(), widen(x)], dim=1))
        return cast("Tensor", self.head(x)[..., :height, :width])


def _double(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (channels_in, channels_out):
        layers += [
            nn.Conv2d(before, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Masks:
    """Images with a mask each.

    images: uint8 RGB (n, size, size, 3). masks: uint8 (n, size, size), values as in CLASSES.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, loads: ImageSet, folder: Path, cut: Area | None = None) -> Masks:
        """Those loads whose manifest row names a mask; its path is relative to `folder`.

        Masks are cut and resized as their images are, but by the nearest pixel. Raises DataError
        for a mask that cannot be read, has another size than its image, or other values than
        CLASSES has. cut: see `training.data.images.load`.
        """
        chosen, masks = _drawn(loads, folder, cut)
        return cls(loads.images[chosen], masks)

    def __len__(self) -> int:
        return len(self.masks)


def as_drawn(
    loads: ImageSet, predicted: npt.NDArray[np.uint8], folder: Path, cut: Area | None = None
) -> npt.NDArray[np.uint8]:
    """The masks of all these loads, uint8 (n, size, size): as the manifest has them, and where it
    has none, as `predicted`. See `Masks.of`. Raises DataError."""
    found = predicted.copy()
    chosen, masks = _drawn(loads, folder, cut)
    found[chosen] = masks
    return found


def _drawn(
    loads: ImageSet, folder: Path, cut: Area | None
) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """Which loads have a mask, and the masks. See `Masks.of`."""
    size = loads.images.shape[1]
    chosen = [i for i, row in enumerate(loads.rows) if row.mask]
    masks = np.empty((len(chosen), size, size), np.uint8)
    for n, i in enumerate(chosen):
        row = loads.rows[i]
        masks[n] = read_mask(folder / str(row.mask), size, folder / row.image, cut)
    return chosen, masks


def masks_digest(rows: Sequence[Row], folder: Path) -> str:
    """SHA-256 over the mask files of these rows, by image; a missing one counts as empty."""
    digest = hashlib.sha256()
    for row in rows:
        file = folder / str(row.mask) if row.mask else None
        content = file.read_bytes() if file is not None and file.is_file() else b""
        digest.update(f"{row.image} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def read_mask(path: Path, size: int, image: Path, cut: Area | None = None) -> npt.NDArray[np.uint8]:
    """The mask file of an image as uint8 (size, size); see `Masks.of`. Raises DataError."""
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None:
        raise DataError(f"mask {path}: missing or no image; draw it again or clear the cell")
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(f"mask {path}: not a grey image of 8 bits; export classes as grey levels")
    if mask.max() >= len(CLASSES):
        values = ", ".join(f"{k} {name}" for k, name in enumerate(CLASSES))
        raise DataError(f"mask {path}: has the value {mask.max()}; there are {values}")
    found = images.size_of(image)
    if isinstance(found, images.Skip):
        raise DataError(f"mask {path}: its image {image} cannot be read: {found.reason}")
    width, height = found
    if mask.shape != (height, width):
        raise DataError(
            f"mask {path}: is {mask.shape[1]} x {mask.shape[0]}, its image {image.name} "
            f"{width} x {height}; export masks in the size of their images"
        )
    if cut is not None:
        mask = images.cut_out(np.asarray(mask, np.uint8), cut)
    resized = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


class SegmentationLoss:
    """Cross-entropy per pixel on a random batch, mirrored at random; see `steps.Steps`."""

    def __init__(self, data: Masks, batch: int, device: torch.device) -> None:
        if len(data) < 2:
            raise DataError(f"{len(data)} training images have a mask, the U-Net needs 2 at least")
        self._inputs = torch.from_numpy(with_edges(data.images))
        self._masks = torch.from_numpy(data.masks)
        self._batch, self._device = batch, device

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        chosen = torch.randint(len(self._masks), (self._batch,))
        images, masks = self._inputs[chosen], self._masks[chosen]
        for axis in (1, 2):
            if torch.rand(()) < 0.5:
                images, masks = images.flip(axis), masks.flip(axis)
        logits = network(to_input(images, self._device))
        return cross_entropy(logits.float(), masks.to(self._device).long())


def with_edges(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, h, w, 3) to (n, h, w, 4): the image and its Canny edges."""
    edges = np.stack([canny(image) for image in images])
    return np.concatenate([images, edges[..., None]], axis=3)


@torch.inference_mode()
def predict(network: nn.Module, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The class of every pixel, uint8 (n, h, w), of uint8 RGB images (n, h, w, 3)."""
    network.eval()
    device = next(network.parameters()).device
    parts = [
        network(to_input(torch.from_numpy(with_edges(images[i : i + _BATCH])), device))
        .argmax(1)
        .to("cpu", torch.uint8)
        for i in range(0, len(images), _BATCH)
    ]
    return torch.cat(parts).numpy()


def iou(predicted: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> dict[str, float | None]:
    """Intersection over union of each class over all pixels; None where there is none of it."""
    found: dict[str, float | None] = {}
    for value, name in enumerate(CLASSES):
        ours, theirs = predicted == value, masks == value
        union = int((ours | theirs).sum())
        found[name] = int((ours & theirs).sum()) / union if union else None
    return found
