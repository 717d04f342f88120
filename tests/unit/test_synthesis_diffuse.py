"""The diffusion model learns to obey grade and edges, and its parts compute what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from image_to_image import gaps
from pydantic import ValidationError
from torch import Tensor, nn

from edge_agent.grades import GRADES, Grade
from training.console import RichReport
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import DataError, WeightsError
from training.synthesis.bases import trash_of
from training.synthesis.conditions import LIGHTS, VECTOR, Conditions, Vocabulary
from training.synthesis.denoiser import HINTS, Architecture, Denoiser
from training.synthesis.diffuse import (
    UNSAID,
    UNSTEERED,
    DiffusionLoss,
    Examples,
    edge_agreement,
    hints,
    sample,
    soft_edges,
)
from training.synthesis.linear import LinearDenoiser
from training.synthesis.schedule import noise_schedule
from training.synthesis.space import to_images, to_signal
from training.synthesis.steps import Steps
from training.synthesis.train_diffusion import begun

SIZE = 32
REGIONS = Vocabulary(regions=("east", "north"), lights=(80.0, 110.0, 140.0))
BLUER = 100
COLOURS = {Grade.FRESH_CLEAN: (60, 150, 60), Grade.BURN_CLEAN: (90, 50, 30)}


@pytest.fixture(autouse=True)
def _seeded(one_thread: None) -> None:
    torch.manual_seed(1)


def loads(count: int, seed: int) -> tuple[ImageSet, np.ndarray]:
    """Bright and dark rectangles on a ground in the colour of the grade, bluer in the north, and
    their masks."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    labels = np.empty(count, np.int64)
    for i in range(count):
        grade = list(COLOURS)[i % 2]
        labels[i] = GRADES.index(grade)
        images[i] = COLOURS[grade]
        images[i, ..., 2] += BLUER * (i // 2 % 2)
        for value in (1, 2):
            left, top = rng.integers(0, SIZE - 14, 2)
            images[i, top : top + 14, left : left + 14] = 200 if value == 1 else 20
            masks[i, top : top + 14, left : left + 14] = value
    rows = tuple(
        Row(image=f"{i}.png", truck=f"T{i}", split="train", region=REGIONS.regions[i // 2 % 2])
        for i in range(count)
    )
    return ImageSet(images, labels, rows, ()), masks


def examples(count: int, seed: int) -> Examples:
    images, masks = loads(count, seed)
    conditions = Conditions.of_loads(images, trash_of(images.labels, masks), REGIONS)
    return Examples(images.images, hints(images.images, masks), conditions, np.ones(count))


def architecture(**changes: Any) -> Architecture:
    made = {"size": SIZE, "patch": 2, "widths": (32, 64), "attention": 1, "vocabulary": REGIONS}
    return Architecture.model_validate(made | changes)


def steps(
    accelerator: Accelerator, network: Denoiser, data: Examples, folder: Path, total: int
) -> Steps:
    folder.mkdir(exist_ok=True)
    return Steps(
        accelerator,
        network,
        DiffusionLoss(data, 8, accelerator.device, weight=0.02, space=network.space),
        folder / "last.pt",
        total=total,
        seed=1,
        learning_rate=6e-3,
        config={"total": total},
        ema=0.96,
    )


def test_samples_follow_their_edges_their_grade_and_their_region(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    network = Denoiser(architecture())
    run = steps(accelerator, network, examples(64, 1), tmp_path / "run", 60)
    assert run.run(RichReport(quiet=True))
    assert np.mean(run.losses[-10:]) < 0.7 * np.mean(run.losses[:3])
    assert run.ema is not None
    network.save(tmp_path / "model", run.ema.weights)
    loaded = Denoiser.load(tmp_path / "model")

    asked, seeds = examples(8, 2), np.arange(8)
    drawn = sample(loaded, asked.conditions, asked.hints, seeds, steps=8)
    own = edge_agreement(drawn, asked.images).mean()
    others = edge_agreement(drawn, np.roll(asked.images, 1, axis=0)).mean()
    assert own > 1.5 * others
    # The ground is green where fresh was asked for, and brown where burnt was.
    redder = np.median(drawn[..., 0].astype(int) - drawn[..., 1], axis=(1, 2))
    assert (redder[1::2] > redder[::2]).all()
    # Told the other region, and nothing else changed, the ground is as blue as that one's.
    swapped = replace(asked.conditions, region=3 - asked.conditions.region)
    other = sample(loaded, swapped, asked.hints, seeds, steps=8)
    bluer = np.median(drawn[..., 2].astype(int) - other[..., 2], axis=(1, 2))
    north = asked.conditions.region.numpy() == 2
    assert (bluer[north] > 20).all()
    assert (bluer[~north] < -20).all()


def test_region_and_light_reach_the_network_without_attention_too() -> None:
    network = loud()
    for name, weight in network.named_parameters():
        if "attn2.to_out" in name:  # attention to tokens says nothing any more
            torch.nn.init.zeros_(weight)
    asked = examples(4, 2)
    noisy, t = torch.randn(4, 3, SIZE, SIZE), torch.full((4,), 500)
    same, other = asked.conditions, 3 - asked.conditions.region
    dark = 1 + asked.conditions.light % 4
    steering = torch.from_numpy(asked.hints).float() / 255
    with torch.inference_mode():
        said = network(noisy, t, same, steering)
        assert torch.equal(network(noisy, t, same, steering), said)
        assert not torch.allclose(network(noisy, t, replace(same, region=other), steering), said)
        assert not torch.allclose(network(noisy, t, replace(same, light=dark), steering), said)


def test_some_examples_say_nothing_and_some_have_no_edges(accelerator: Accelerator) -> None:
    network = Denoiser(architecture())
    data = examples(32, 1)
    seen: list[tuple[Conditions, torch.Tensor]] = []

    class Listening(torch.nn.Module):
        def forward(self, noisy: Any, t: Any, said: Conditions, hints: torch.Tensor) -> Any:
            seen.append((said, hints))
            return network.space.schedule.get_velocity(noisy, noisy, t)

    loss = DiffusionLoss(data, 50, accelerator.device, weight=0.0, space=network.space)
    torch.manual_seed(1)
    for step in range(20):
        loss(Listening(), step)
    unsaid = np.mean([(said.vector.sum(1) == 0).float().mean() for said, _ in seen])
    bare = np.mean([(hints.amax((1, 2, 3)) == 0).float().mean() for _, hints in seen])
    assert pytest.approx(unsaid, abs=0.03) == UNSAID
    assert pytest.approx(bare, abs=0.04) == UNSTEERED


def loud(**changes: Any) -> Denoiser:
    """A network that says something: untrained ones add nothing to the linear denoiser."""
    network = Denoiser(architecture(**changes)).eval()
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.1)
    return network


def test_an_image_is_a_function_of_its_seed_in_any_batch() -> None:
    network = loud()
    asked = examples(4, 1)
    together = sample(network, asked.conditions, asked.hints, np.arange(4), steps=3)
    alone = sample(network, asked.conditions[2:3], asked.hints[2:3], np.array([2]), steps=3)
    assert np.abs(together[2].astype(int) - alone[0]).max() <= 1
    other = sample(network, asked.conditions[2:3], asked.hints[2:3], np.array([9]), steps=3)
    assert np.abs(other[0].astype(int) - alone[0]).max() > 1


def test_strength_says_how_much_of_an_image_is_left() -> None:
    asked = examples(4, 1)
    network = Denoiser(architecture()).eval()
    little, half, most = gaps(network, asked, asked.images, (0.1, 0.5, 0.9))
    assert little < half < most
    assert little < 0.4 * most


def test_a_network_begins_as_the_linear_denoiser_of_its_images() -> None:
    data = examples(8, 1)
    network = begun(architecture(), None, data)
    fitted = LinearDenoiser(SIZE, len(network.architecture.vocabulary.regions))
    fitted.fit(data.images, data.conditions)
    state = fitted.state_dict()
    assert all(torch.equal(t, state[n]) for n, t in network.linear.state_dict().items())
    asked = examples(2, 1)
    x, t = torch.randn(2, 3, SIZE, SIZE), torch.tensor([10, 500])
    with torch.no_grad():
        expected = fitted(x, t, asked.conditions)
        assert torch.equal(network.eval()(x, t, asked.conditions, None), expected)


def test_expected_colours_are_met_and_not_exceeded_by_guidance() -> None:
    data = examples(64, 1)
    network = begun(architecture(), None, data).eval()  # nothing but what the linear part says
    told = examples(8, 2).conditions
    plain, guided = (sample(network, told, None, np.arange(8), guidance=g) for g in (1.0, 4.0))
    assert np.array_equal(plain, guided)
    other = sample(network, replace(told, region=3 - told.region), None, np.arange(8))
    bluer = (plain[..., 2].astype(int) - other[..., 2]).mean((1, 2))
    north = told.region.numpy() == 2
    assert bluer[north].mean() > 0.4 * BLUER
    assert bluer[~north].mean() < -0.4 * BLUER


def test_a_frozen_base_stays_as_it_is_and_the_copy_learns(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    network = loud(control="frozen")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    steps(accelerator, network, examples(16, 1), tmp_path / "run", 2).run(RichReport(quiet=True))
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert all(name.startswith("controlnet.") for name in changed)
    # Its zero convolutions learn first; weight decay alone would not move them.
    assert any("controlnet_down_blocks" in name for name in changed)


@pytest.mark.parametrize("patch", [1, 2])
def test_a_new_controlnet_changes_nothing(patch: int) -> None:
    """Its outputs begin at zero (Zhang et al. 2023, section 3.1)."""
    network = loud(patch=patch)
    asked = examples(2, 1)
    steering = torch.from_numpy(asked.hints).float() / 255
    x, t = torch.randn(2, 3, SIZE, SIZE), torch.tensor([10, 500])
    with torch.no_grad():
        steered = network(x, t, asked.conditions, steering)
        assert torch.equal(steered, network(x, t, asked.conditions, None))


def test_without_edges_is_as_it_was_learnt() -> None:
    """In training a fifth of the images come with empty hints, and the ControlNet sees these."""
    network = loud()
    assert network.controlnet is not None
    for convolution in network.controlnet.controlnet_down_blocks:
        torch.nn.init.normal_(convolution.bias)  # which begins at zero
    asked = examples(2, 1)
    x, t = torch.randn(2, 3, SIZE, SIZE), torch.tensor([10, 500])
    with torch.no_grad():
        empty = network(x, t, asked.conditions, torch.zeros(2, HINTS, SIZE, SIZE))
        assert torch.equal(network(x, t, asked.conditions, None), empty)
        network.controlnet = None
        assert not torch.allclose(network(x, t, asked.conditions, None), empty)


def test_without_control_there_is_none() -> None:
    network = Denoiser(architecture(control="none"))
    assert not any(name.startswith("controlnet.") for name in network.state_dict())
    asked = examples(2, 1)
    drawn = sample(network.eval(), asked.conditions, None, np.arange(2), steps=2)
    assert drawn.shape == (2, SIZE, SIZE, 3)


def test_the_last_noise_is_all_noise() -> None:
    """What the docstring says of the schedule's signal-to-noise ratio."""
    kept = float(noise_schedule().alphas_cumprod[-1])
    assert kept / (1 - kept) == pytest.approx(2.4e-9, rel=0.05)


def test_edges_that_lie_elsewhere_cost_more() -> None:
    data = examples(64, 1)
    space = Denoiser(architecture(control="none")).space

    def loss(of: Examples, weight: float) -> float:
        """Of a network that draws each image of the batch exactly."""

        def exact(noisy: Tensor, t: Tensor, *_: object) -> Tensor:
            return space.schedule.get_velocity(signal, noise, t)

        made = DiffusionLoss(of, 16, torch.device("cpu"), weight=weight, space=space)
        signal = noise = torch.empty(0)
        encode, noised = space.encode, torch.randn_like

        def encoded(images: Tensor) -> Tensor:
            nonlocal signal
            signal = encode(images)
            return signal

        def drawn(like: Tensor) -> Tensor:
            nonlocal noise
            noise = noised(like)
            return noise

        torch.manual_seed(2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(space, "encode", encoded)
            patch.setattr(torch, "randn_like", drawn)
            return float(made(cast("nn.Module", exact), 0))

    elsewhere = replace(data, hints=np.roll(data.hints, 7, axis=0))
    nowhere = replace(data, hints=np.zeros_like(data.hints))
    assert loss(data, 0.0) == pytest.approx(0, abs=1e-9)
    assert loss(nowhere, 1.0) == pytest.approx(0, abs=1e-9)
    assert 0.01 < loss(data, 1.0) < 0.7 * loss(elsewhere, 1.0)
    assert loss(data, 2.0) == pytest.approx(2 * loss(data, 1.0), rel=1e-5)


def test_soft_edges_are_where_cannys_are() -> None:
    images, masks = loads(6, 3)
    edges = hints(images.images, masks)[:, 0]
    assert edge_agreement(images.images, edges).min() > 0.6
    assert edge_agreement(images.images, np.roll(edges, 1, axis=0)).max() < 0.5
    flat = np.full((1, SIZE, SIZE, 3), 90, np.uint8)
    assert float(soft_edges(to_signal(torch.from_numpy(flat))).max()) < 1e-6
    assert edge_agreement(flat, edges[:1]) == [0.0]


def test_the_shapes_share_the_edges_out() -> None:
    images, masks = loads(3, 1)
    planes = hints(images.images, masks)
    assert set(np.unique(planes)) == {0, 255}
    assert np.array_equal(planes[:, 1:].max(1), planes[:, 0])
    assert (planes[:, 1:].astype(int).sum(1) <= 255).all()


def test_pixels_survive_the_way_to_a_signal_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(to_images(to_signal(torch.from_numpy(every))), every)


def test_what_images_are_is_said_in_numbers() -> None:
    images, _ = loads(4, 1)
    found = Conditions.of_loads(images, np.array([0.0, 25.0, 50.0, 100.0]), REGIONS)
    assert found.vector.shape == (4, VECTOR)
    assert found.vector[1].tolist() == [0, 0, 1, 0, 0, 0.25]
    assert found.region.tolist() == [1, 1, 2, 2]
    unsaid = found.without(torch.tensor([True, False, False, False]))
    assert (unsaid.vector[0].sum(), unsaid.region[0], unsaid.light[0]) == (0, 0, 0)
    assert torch.equal(unsaid.vector[1:], found.vector[1:])


def test_light_has_four_classes_with_a_quarter_of_the_training_images_each() -> None:
    levels = np.arange(40, dtype=np.uint8) * 5
    grey = np.broadcast_to(levels[:, None, None, None], (40, 8, 8, 3)).copy()
    rows = tuple(Row(image=f"{i}.png", truck=f"T{i}", split="train") for i in range(40))
    vocabulary = Vocabulary.of(ImageSet(grey, np.zeros(40, np.int64), rows, ()))
    assert vocabulary.regions == ()
    assert np.bincount(vocabulary.light(grey)).tolist() == [0, *[10] * LIGHTS]


def test_a_region_never_seen_is_refused() -> None:
    assert REGIONS.region("") == 0
    with pytest.raises(DataError, match=r"region 'south' .* \(east, north\); choose one"):
        REGIONS.region("south")
    images, _ = loads(2, 1)
    abroad = Row(image="a.png", truck="T", split="train", region="south")
    with pytest.raises(DataError, match="south"):
        Conditions.of_loads(replace(images, rows=(abroad, images.rows[1])), np.zeros(2), REGIONS)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 36, "patch": 2, "widths": (32, 64, 64, 64)}, "36 pixels are no multiple of 16"),
        ({"widths": (32, 52)}, "not all multiples of 8"),
        ({"patch": 4}, "too small for patches of 4 pixels, which have 48 values each; 96 is"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        architecture(**changes)


def test_a_broken_or_missing_model_is_told_in_a_line(tmp_path: Path) -> None:
    cure = f"delete {tmp_path} and run again"
    with pytest.raises(WeightsError, match=f"No such file or directory.*; {cure}"):
        Denoiser.load(tmp_path / "none")
    file = tmp_path / "model"
    network = Denoiser(architecture(control="none"))
    network.save(file, network.state_dict())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=f"broken or another network's; {cure}"):
        Denoiser.load(file)
