"""Starting from published weights: other names, other pixel ranges, folded batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_agent.grades import GRADES
from training.classifiers.pixels import Pixels
from training.classifiers.registry import CLASSIFIERS, Classifier
from training.classifiers.stem import MEAN, Stem
from training.errors import WeightsError


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or a torch file (a state dict, plain or under a key).

    Raises WeightsError. Torch files are read with `weights_only`: they cannot run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}; check the path") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(f"weights {path}: not readable ({_line(error)})") from error
    except Exception as error:  # torch raises pickle's own error type for anything unsafe
        raise WeightsError(
            f"weights {path}: holds more than tensors ({_line(error)}); save a plain state dict"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"weights {path}: holds no state dict; save model.state_dict()")
    return cast("dict[str, Tensor]", content)


def load(model: nn.Module, kind: Classifier, path: Path, pixels: Pixels) -> None:
    """Loads weights under timm's or torchvision's names into `model`, in place.

    Strict, except that a last layer for another number of classes is left as initialised.
    The publisher's pixel normalisation goes into the first layer, so that the network still takes
    values in [0, 1] and computes what the publisher's does. Raises WeightsError.
    """
    own = model.state_dict()
    tensors = read(path)
    found = _renamed(tensors, kind)
    if faults := _faults(own, found, kind):
        made_for = next((name for name, k in CLASSIFIERS.items() if _fits(tensors, k)), None)
        raise WeightsError(
            f"weights {path}: made for {made_for or 'another network'}: {faults[0]} "
            f"({len(faults)} such faults); choose the weights of this --classifier"
            + (f", or --classifier {made_for}" if made_for else "")
        )
    for name in (f"{kind.head}.weight", f"{kind.head}.bias"):
        if found[name].shape != own[name].shape:
            found[name] = own[name]
    # Older checkpoints do not count batches; the count has no effect on the network.
    found |= {name: own[name] for name in own.keys() - found.keys()}
    model.load_state_dict(found)
    mean, deviation = (torch.tensor(values) for values in pixels.mean_std)
    cast("Stem", model.get_submodule(kind.stem)).normalise(mean, deviation)


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, images: Tensor) -> None:
    """Gives folded batch norms statistics again, without changing what the network computes.

    Weights that come from an int8 or a fused model have batch norms with mean 0 and variance 1:
    in training mode they would rescale every channel. This measures each channel on `images`,
    float (n, 3, height, width), and sets gamma and beta so that the output stays the same.
    """

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        norm = cast("nn.BatchNorm2d", module)
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        old_mean, old_variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        gain = norm.weight / (old_variance + norm.eps).sqrt()
        norm.bias.add_(gain * (mean - old_mean))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        old_mean.copy_(mean)
        old_variance.copy_(variance)

    was_training = model.training
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)


def has_folded_batch_norm(model: nn.Module) -> bool:
    """Do all batch norms have mean 0 and variance 1, as after folding?"""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    return bool(norms) and all(
        bool((cast("Tensor", norm.running_mean).abs() < 1e-6).all())
        and bool(((cast("Tensor", norm.running_var) - 1).abs() < 2e-2).all())
        for norm in norms
    )


def _faults(own: Mapping[str, Tensor], found: Mapping[str, Tensor], kind: Classifier) -> list[str]:
    """What keeps `found` from being loaded; the last layer may have any number of classes."""
    unneeded = ("num_batches_tracked", f"{kind.stem}.{MEAN}")
    needed = {name for name in own if not name.endswith(unneeded)}
    faults = [f"{name} is missing" for name in sorted(needed - found.keys())]
    faults += [f"{name} is unknown" for name in sorted(found.keys() - own.keys())]
    head = (f"{kind.head}.weight", f"{kind.head}.bias")
    for name in sorted(needed & found.keys()):
        given, wanted = tuple(found[name].shape), tuple(own[name].shape)
        if given != wanted and not (name in head and given[1:] == wanted[1:]):
            faults.append(f"{name} is {given}, here {wanted}")
    return faults


def _fits(tensors: dict[str, Tensor], kind: Classifier) -> bool:
    with torch.device("meta"):  # shapes without memory
        own = kind.build(len(GRADES)).state_dict()
    return not _faults(own, _renamed(tensors, kind), kind)


def _renamed(tensors: dict[str, Tensor], kind: Classifier) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        key = str(name)  # a torch file may hold anything
        if key.startswith("level."):
            continue  # a second head of our own: the new network gets its own
        bare = key.removeprefix("module.").removeprefix("network.")
        module, _, parameter = bare.rpartition(".")
        renamed[f"{kind.torchvision_names.get(module, module)}.{parameter}"] = tensor
    return renamed


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
