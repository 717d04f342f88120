"""A latent diffusion model to start from: a tiny one with random weights, saved by diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from image_to_image import gaps
from scenes import scene_folder
from typer.testing import CliRunner

from training.cli import app
from training.console import RichReport
from training.errors import WeightsError
from training.synthesis import backbone, train_diffusion
from training.synthesis.conditions import Conditions, Vocabulary
from training.synthesis.denoiser import Architecture, Denoiser
from training.synthesis.diffuse import DiffusionLoss, Examples, sample
from training.synthesis.space import to_images
from training.synthesis.steps import Steps

SIZE = 32
VOCABULARY = Vocabulary(regions=("east", "north"), lights=(80.0, 110.0, 140.0))


@pytest.fixture(autouse=True)
def _seeded(one_thread: None) -> None:
    torch.manual_seed(1)


def tiny(folder: Path, *, prediction: str = "epsilon", **unet: Any) -> Path:
    """Four pixels across are one latent; the layout is Stable Diffusion's."""
    UNet2DConditionModel(
        **{
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": (32, 32),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": 16,
            "attention_head_dim": 8,
            "norm_num_groups": 8,
            **unet,
        }
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        scaling_factor=0.5,
    ).save_pretrained(folder / "vae")
    DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
    ).save_pretrained(folder / "scheduler")
    return folder


def begun(folder: Path, control: str = "joint") -> Denoiser:
    found = backbone.read(str(folder))
    architecture = Architecture.model_validate(
        {"size": SIZE, "control": control, "vocabulary": VOCABULARY, "backbone": found.parts}
    )
    return train_diffusion.begun(architecture, found, examples(1))


def examples(count: int) -> Examples:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (count, SIZE, SIZE, 3), np.uint8)
    hints = (rng.random((count, 4, SIZE, SIZE)) < 0.1).astype(np.uint8) * 255
    soft = np.eye(5, dtype=np.float32)[rng.integers(0, 5, count)]
    said = Conditions.of(soft, [50.0] * count, [1] * count, [2] * count)
    return Examples(images, hints, said, np.ones(count))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_it_learns_and_is_saved_whole(
    accelerator: Accelerator, tmp_path: Path, prediction: str
) -> None:
    network = begun(tiny(tmp_path / "tiny", prediction=prediction))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    data = examples(8)
    loss = DiffusionLoss(data, 4, accelerator.device, weight=0.02, space=network.space)
    (tmp_path / "run").mkdir()
    steps = Steps(
        accelerator,
        network,
        loss,
        tmp_path / "run" / "last.pt",
        total=24,
        seed=1,
        learning_rate=6e-3,
        config={},
        ema=0.9,
    )

    assert steps.run(RichReport(quiet=True))
    assert np.mean(steps.losses[-5:]) < 0.8 * np.mean(steps.losses[:3])
    parts = {
        n.split(".")[0] for n, t in network.state_dict().items() if not torch.equal(t, before[n])
    }
    assert parts == {"unet", "controlnet", "regions", "lights", "vector"}  # never the vae

    file = tmp_path / "model"
    network.save(file, network.state_dict())
    assert str(tmp_path).encode() not in file.read_bytes()[:20_000]
    loaded = Denoiser.load(file)
    assert loaded.space.schedule.config["prediction_type"] == prediction
    asked = data.conditions[:2], data.hints[:2], np.arange(2)
    ours, theirs = (sample(n.eval(), *asked, steps=3) for n in (network, loaded))
    assert ours.shape == (2, SIZE, SIZE, 3)
    assert np.array_equal(ours, theirs)


def test_strength_says_how_much_of_what_the_autoencoder_keeps_is_left(tmp_path: Path) -> None:
    network = begun(tiny(tmp_path / "tiny")).eval()
    data = examples(3)
    with torch.no_grad():
        kept = network.space.encode(torch.from_numpy(data.images))
        whole = to_images(network.space.pixels(kept))
    little, half, all_of_it = gaps(network, data, whole, (0.02, 0.5, 1.0))
    assert little < half < all_of_it


def test_the_decoder_is_kept_of_no_image_and_has_the_same_gradients(tmp_path: Path) -> None:
    network = begun(tiny(tmp_path / "tiny")).eval()
    signal = torch.randn(3, *network.space.shape, requires_grad=True)
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        pixels = network.space.pixels(signal)
    assert sum(kept) < pixels.numel()
    (ours,) = torch.autograd.grad((pixels**2).sum(), signal)

    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        whole = network.vae.decode(signal / network.vae.config["scaling_factor"]).sample
    assert sum(kept) > 50 * pixels.numel()
    (theirs,) = torch.autograd.grad((whole**2).sum(), signal)
    assert torch.allclose(pixels, whole, atol=1e-5)
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_a_frozen_base_and_a_new_controlnet_leave_it_as_it_was(tmp_path: Path) -> None:
    network = begun(tiny(tmp_path / "tiny"), "frozen").eval()
    trained = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert trained == {"controlnet"}
    data = examples(2)
    signal = network.space.encode(torch.from_numpy(data.images))
    assert signal.shape == (2, *network.space.shape) == (2, 4, 8, 8)
    t, hints = torch.tensor([10, 500]), torch.from_numpy(data.hints).float() / 255
    with torch.no_grad():
        steered = network(signal, t, data.conditions, hints)
        assert torch.equal(steered, network(signal, t, data.conditions, None))


@pytest.mark.parametrize(
    ("unet", "prediction", "says"),
    [
        ({"in_channels": 9}, "epsilon", "its UNet takes 9 channels, its latents have 4"),
        (
            {"class_embed_type": "timestep"},
            "epsilon",
            "its UNet wants more than a prompt (class_embed_type is timestep)",
        ),
        ({}, "sample", "it predicts sample, not epsilon or v_prediction"),
    ],
)
def test_another_kind_of_model_is_refused(
    tmp_path: Path, unet: dict[str, Any], prediction: str, says: str
) -> None:
    folder = tiny(tmp_path / "tiny", prediction=prediction, **unet)
    with pytest.raises(WeightsError, match=r"--backbone .*tiny: ") as caught:
        backbone.read(str(folder))
    assert says in str(caught.value)


def test_what_is_no_model_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = tiny(tmp_path / "broken")
    (broken / "vae" / "config.json").write_text("{")
    for folder in (tmp_path / "empty", tmp_path / "none", broken):
        with pytest.raises(WeightsError, match="cannot be read") as caught:
            backbone.read(str(folder))
        assert "\n" not in str(caught.value)
    found = backbone.read(str(tiny(tmp_path / "tiny")))
    with pytest.raises(WeightsError, match="44 pixels are no multiple of 8"):
        found.parts.check_size(44)


@pytest.mark.usefixtures("quick_judge")
def test_a_synthesis_starts_from_it_and_knows_another_one(tmp_path: Path) -> None:
    data, out, folder = scene_folder(tmp_path / "data"), tmp_path / "run", tiny(tmp_path / "tiny")

    def synthesize(*further: str) -> str:
        options = ("--preset", "fast", "--diffusion-steps", "2", "--overlap", "0", "--threads", "1")
        arguments = ["synthesize", "--data", data, "--out", out, *options, *further]
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    made = synthesize("--backbone", str(folder))
    (model,) = out.glob("diffuse-*/model.safetensors")
    assert Denoiser.load(model).architecture.backbone is not None
    assert (Path(made.strip()) / "manifest.csv").exists()
    # What decides is what lies in the folder, and not where it lies.
    moved = folder.rename(tmp_path / "moved")
    assert synthesize("--backbone", str(moved), "--max-time", "0s") == made
    other = tiny(tmp_path / "other")
    assert synthesize("--backbone", str(other), "--max-time", "0s") == ""
    assert len(list(out.glob("diffuse-*"))) == 2


def test_a_name_on_the_hub_stands_for_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "models--owner--tiny"
    for commit in ("0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"):
        tiny(cached / "snapshots" / commit)
        (cached / "refs").mkdir(exist_ok=True)
        (cached / "refs" / "main").write_text(commit)
        assert backbone.digest("owner/tiny") == commit
    with pytest.raises(WeightsError, match="--backbone owner/none: cannot be read"):
        backbone.digest("owner/none")
