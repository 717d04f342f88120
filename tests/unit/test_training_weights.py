"""Published weights under both namings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.classifiers.mobilenetv2 import MobileNetV2, torchvision_names
from training.classifiers.registry import classifier
from training.classifiers.weights import Pixels, has_folded_batch_norm, load, recalibrate_batch_norm
from training.errors import TrainingError, WeightsError

KIND = classifier("mobilenetv2")


def lively(classes: int, seed: int = 1) -> MobileNetV2:
    """A network with unlike batch norms, as a trained one has."""
    torch.manual_seed(seed)
    model = MobileNetV2(classes)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def images(count: int = 4) -> torch.Tensor:
    return torch.rand((count, 3, 64, 64), generator=torch.Generator().manual_seed(2))


def test_shape_and_size_are_the_papers() -> None:
    model = MobileNetV2(1000)
    assert sum(p.numel() for p in model.parameters()) == 3_504_872
    assert model.eval()(images(2)).shape == (2, 1000)


def test_names_are_timms() -> None:
    names = set(MobileNetV2(5).state_dict())
    assert {
        "conv_stem.weight",
        "bn1.running_var",
        "blocks.0.0.conv_dw.weight",
        "blocks.0.0.bn2.bias",
        "blocks.1.0.conv_pw.weight",
        "blocks.6.0.conv_pwl.weight",
        "blocks.6.0.bn3.weight",
        "conv_head.weight",
        "bn2.weight",
        "classifier.bias",
    } <= names


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_torchvision_names_load_and_the_head_is_left_alone(tmp_path: Path, suffix: str) -> None:
    source = lively(1000)
    theirs = {ours: name for name, ours in torchvision_names().items()}
    renamed = {
        f"{theirs[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor
        for key, tensor in source.state_dict().items()
    }
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": renamed}, file)
    else:
        save_file(renamed, file)
    model = MobileNetV2(5).eval()
    head = model.classifier.weight.clone()
    load(model, KIND, file, Pixels.UNIT)
    assert torch.equal(model.features(images()), source.features(images()))
    assert torch.equal(model.classifier.weight, head)


@pytest.mark.parametrize("pixels", list(Pixels))
def test_the_publishers_pixels_are_folded_in(tmp_path: Path, pixels: Pixels) -> None:
    source = lively(5)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = MobileNetV2(5).eval()
    load(model, KIND, tmp_path / "w.safetensors", pixels)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in pixels.mean_std)
    # Away from the border, where zero padding means another colour, both agree.
    ours = model.bn1(model.conv_stem(images()))[:, :, 1:-1, 1:-1]
    published = source.bn1(source.conv_stem((images() - mean) / std))[:, :, 1:-1, 1:-1]
    assert torch.allclose(ours, published, atol=1e-4)


def test_recalibration_changes_the_statistics_and_not_the_output() -> None:
    torch.manual_seed(3)
    model = MobileNetV2(5, dropout=0.0).eval()
    assert has_folded_batch_norm(model)
    batch = images(16)
    before = model(batch)
    recalibrate_batch_norm(model, batch)
    assert not has_folded_batch_norm(model)
    assert torch.allclose(model(batch), before, atol=1e-4)
    assert torch.allclose(model.train()(batch), before, atol=1e-3)


def test_wrong_files_are_refused_in_one_line(tmp_path: Path) -> None:
    model = MobileNetV2(5)
    state = model.state_dict()
    save_file({**state, "extra.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    save_file(
        {**state, "conv_stem.weight": torch.zeros((8, 3, 3, 3))}, tmp_path / "shape.safetensors"
    )
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, says in {
        "more.safetensors": "extra.weight is unknown",
        "shape.safetensors": "conv_stem.weight is",
        "junk.safetensors": "not readable",
        "junk.pth": "junk.pth",
        "list.pth": "no state dict",
        "none.pth": "No such file",
        "none.safetensors": "No such file",
    }.items():
        with pytest.raises(WeightsError) as caught:
            load(model, KIND, tmp_path / name, Pixels.UNIT)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_unknown_classifier_lists_the_known() -> None:
    with pytest.raises(TrainingError, match="mobilenetv2"):
        classifier("resnet9000")
