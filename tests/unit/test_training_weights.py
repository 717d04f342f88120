"""Published weights under both namings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.classifiers.mobilenetv2 import MobileNetV2, torchvision_names
from training.classifiers.pixels import Pixels
from training.classifiers.registry import CLASSIFIERS, classifier
from training.classifiers.resnet50v2 import ResNet50V2
from training.classifiers.weights import has_folded_batch_norm, load, recalibrate_batch_norm
from training.errors import TrainingError, WeightsError
from training.model import METADATA_KEY
from training.start import Weights

KIND = classifier("mobilenetv2")


def lively(classes: int) -> MobileNetV2:
    model = MobileNetV2(classes)
    enliven(model)
    return model


def enliven(model: torch.nn.Module) -> torch.nn.Module:
    """Gives a network unlike batch norms, as a trained one has."""
    torch.manual_seed(1)
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
@pytest.mark.parametrize("name", list(CLASSIFIERS))
@torch.inference_mode()
def test_a_network_computes_what_its_publishers_does(
    tmp_path: Path, name: str, pixels: Pixels
) -> None:
    kind = classifier(name)
    source = enliven(kind.build(5))
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = kind.build(5).eval()
    load(model, kind, tmp_path / "w.safetensors", pixels)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in pixels.mean_std)
    published = source((images() - mean) / std)
    assert torch.allclose(model(images()), published, atol=1e-4 * float(published.abs().max()))
    # And again, of weights that have a mean already.
    save_file(model.state_dict(), tmp_path / "again.safetensors")
    load(model, kind, tmp_path / "again.safetensors", pixels)
    again = source(((images() - mean) / std - mean) / std)
    assert torch.allclose(model(images()), again, atol=1e-4 * float(again.abs().max()))


@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_weights_without_a_mean_are_of_pixels_as_they_are(tmp_path: Path, name: str) -> None:
    kind = classifier(name)
    source = enliven(kind.build(5))
    file = tmp_path / "w.safetensors"
    save_file({k: v for k, v in source.state_dict().items() if k != f"{kind.stem}.mean"}, file)
    model = kind.build(5).eval()
    load(model, kind, file, Pixels.UNIT)
    assert torch.equal(model(images()), source(images()))


@pytest.mark.parametrize(
    ("source", "asked", "pixels"),
    [
        ("foreign", None, Pixels.IMAGENET),
        ("foreign", Pixels.IMAGENET, Pixels.IMAGENET),
        ("foreign", Pixels.UNIT, Pixels.UNIT),
        ("ours", None, Pixels.UNIT),
    ],
)
def test_pixels_are_assumed_only_of_foreign_files_and_never_silently(
    tmp_path: Path, source: str, asked: Pixels | None, pixels: Pixels
) -> None:
    file = tmp_path / f"{source}.safetensors"
    save_file(MobileNetV2(5).state_dict(), file, {METADATA_KEY: "{}"} if source == "ours" else {})
    found = Weights.find(str(file), "mobilenetv2", asked)
    assert found.pixels is pixels
    assumed = f"weights {file}: taken as trained on ImageNet-normalised pixels; --weights-pixels"
    assert found.assumed.startswith(assumed) == (source == "foreign" and asked is None)


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
    torch.save({0: torch.zeros(1)}, tmp_path / "numbers.pth")
    for name, says in {
        "more.safetensors": "extra.weight is unknown",
        "shape.safetensors": "conv_stem.weight is",
        "junk.safetensors": "not readable",
        "junk.pth": "junk.pth",
        "list.pth": "no state dict",
        "numbers.pth": "is missing",
        "none.pth": "No such file",
        "none.safetensors": "No such file",
    }.items():
        with pytest.raises(WeightsError) as caught:
            load(model, KIND, tmp_path / name, Pixels.UNIT)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_classifier_is_named(tmp_path: Path) -> None:
    save_file(ResNet50V2(1000).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        load(MobileNetV2(5), KIND, tmp_path / "w.safetensors", Pixels.UNIT)
    assert "made for resnet50v2" in str(caught.value)
    assert "or --classifier resnet50v2" in str(caught.value)


def test_unknown_classifier_lists_the_known() -> None:
    with pytest.raises(TrainingError, match="mobilenetv2"):
        classifier("resnet9000")
