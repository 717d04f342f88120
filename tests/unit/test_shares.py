"""Which share of synthetic images a grade takes, from what trials said of validation images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.experiments import config
from training.experiments.config import PRESETS, Run
from training.experiments.shares import FEWEST, choose, losses_of, summary, weights_of

ONE_EACH = [f"T{number}" for number in range(200)]
LABELS = np.arange(200) % 5


def means(said: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    """Of each grade's loss, as trials are compared by it."""
    return losses_of(said, labels, weights_of(labels)).mean(0)


def told(seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Logits of a network that tells grades a little apart, and what they are of."""
    labels = np.arange(400) % 5
    right = torch.nn.functional.one_hot(torch.from_numpy(labels), 5)
    random = torch.Generator().manual_seed(seed)
    return 2.0 * right + torch.randn(400, 5, generator=random), labels


def validation(trucks: list[str]) -> ImageSet:
    """An image for each, of all grades alike."""
    rows = [Row(image=f"{n}.png", truck=truck) for n, truck in enumerate(trucks)]
    labels = np.arange(len(trucks)) % 5
    return ImageSet(np.zeros((len(trucks), 1, 1, 3), np.uint8), labels, tuple(rows), ())


def test_a_grade_is_told_apart_by_how_far_it_is_from_the_rest_not_by_loudness() -> None:
    said, labels = told(1)
    plain = means(said, labels)
    assert means(said * 0.5, labels) == pytest.approx(plain, rel=1e-3)
    # Grades 0 and 1 moved towards each other: they suffer, the others do not.
    near = said.clone()
    near[labels == 0, 1] += 1.5
    near[labels == 1, 0] += 1.5
    blurred = means(near, labels)
    assert min(blurred[:2] / plain[:2]) > 1.3
    assert max(blurred[2:] / plain[2:]) < 1.3


def test_how_common_grades_are_among_the_validation_images_does_not_matter() -> None:
    said, labels = told(1)
    # All but those of grade 2 twenty times.
    rows = np.repeat(np.arange(400), np.where(labels == 2, 1, 20))
    assert means(said[rows], labels[rows]) == pytest.approx(means(said, labels), rel=1e-3)


def test_a_single_image_does_not_outweigh_all_others() -> None:
    few = np.repeat(np.arange(5), [100, 100, 1, 100, 100])
    weights = weights_of(few)
    assert float(weights.mean()) == pytest.approx(1)
    sums = np.bincount(few, weights.numpy())
    assert sums[2] == pytest.approx(sums[0] / FEWEST)
    assert sums[1] == pytest.approx(sums[0])


def losses(better: float) -> dict[float, np.ndarray]:
    """Without synthetic images, and with half of them: by how much that is better, about."""
    random = np.random.default_rng(1)
    without = random.exponential(0.3, (200, 5))
    return {0.0: without, 0.5: without - better + random.normal(0, 0.2, (200, 5))}


def test_each_grade_takes_the_share_that_is_best_for_it() -> None:
    assert choose(losses(0.1), LABELS) == (0.5,) * 5
    assert choose(losses(-0.1), LABELS) == (0.0,) * 5
    found = losses(0.1)
    found[0.5][:, 1] += 0.3
    assert choose(found, LABELS) == (0.5, 0.0, 0.5, 0.5, 0.5)
    same = {share: np.full((200, 5), 0.25) for share in (0.0, 0.5)}
    assert choose(same, LABELS) == (0.0,) * 5


def test_among_more_shares_the_best_is_taken() -> None:
    found = losses(0.1)
    found[0.25] = found[0.5].copy()
    found[0.25][:, 3] -= 0.05
    found[0.25][:, 2] += 0.05
    assert choose(found, LABELS) == (0.25, 0.25, 0.5, 0.25, 0.25)


def test_a_grade_without_validation_images_takes_none() -> None:
    assert choose(losses(0.1), LABELS % 4) == (0.5, 0.5, 0.5, 0.5, 0.0)


def test_a_summary_says_how_sure_a_gain_is() -> None:
    found = summary(losses(0.1), validation(ONE_EACH))
    assert found["grades"][3] == "burn_trash"
    assert found["validation_images"] == [40] * 5
    assert found["shares"]["0.0"]["gain"] == [0.0] * 5
    assert found["shares"]["0.5"]["gain"] == pytest.approx([0.1] * 5, abs=0.05)
    error = 0.2 / len(ONE_EACH) ** 0.5
    assert found["shares"]["0.5"]["standard_error"] == pytest.approx([error] * 5, rel=0.2)


def test_many_images_of_few_trucks_say_less() -> None:
    """Four trucks, 50 images of each, which all say the same."""
    of = np.repeat(np.arange(4), 50)
    gain = np.array([0.01, -0.01, 0.0, 0.1])[of][:, None].repeat(5, 1)
    tried = {0.0: np.full((200, 5), 0.5), 0.5: 0.5 - gain}

    def error(trucks: list[str]) -> float:
        return float(summary(tried, validation(trucks))["shares"]["0.5"]["standard_error"][0])

    assert error([f"T{truck}" for truck in of]) > 5 * error(ONE_EACH)
    assert summary(tried, validation(["T0"] * 200))["shares"]["0.5"]["standard_error"] is None


def test_the_first_seed_chooses_unless_another_run_judges() -> None:
    assert Run("mobilenetv2", "synthesized", 3).chooser((1, 2, 3)).seed == 1
    assert Run("mobilenetv2", "rendered", 1).chooser((1, 2, 3)).seed == 1
    assert Run("mobilenetv2", "judged", 3).chooser((1, 2, 3)).seed == 3


def test_images_that_come_first_are_those_of_the_arm_that_has_them_throughout() -> None:
    cpu = PRESETS["cpu"]
    for arm in ("synthesized", "blended", "matched-single"):
        first, throughout = (cpu.fit(Run("mobilenetv2", a, 1)) for a in (f"{arm}-first", arm))
        assert first.synthetic_recipe == throughout.synthetic_recipe
        assert (first.synthetic_until, throughout.synthetic_until) == (0.5, None)


def test_arms_with_norms_of_their_own_have_the_images_of_those_without() -> None:
    cpu = PRESETS["cpu"]
    for arm in ("synthesized", "matched-single"):
        own, shared = (cpu.fit(Run("mobilenetv2", a, 1)) for a in (f"{arm}-norms", arm))
        assert own.synthetic_recipe == shared.synthetic_recipe
        assert (own.synthetic_norms, shared.synthetic_norms) == ("auxiliary", None)
        assert "synthetic_norms" not in shared.model_dump()


@pytest.mark.parametrize(
    ("constant", "drawn_otherwise"),
    [
        ("DIFFUSION", ["synthesized", "image-to-image-30"]),
        ("DISTRIBUTION", ["matched", "matched-single"]),
    ],
)
def test_what_draws_otherwise_makes_other_runs_of_those_alone_that_it_draws_for(
    monkeypatch: pytest.MonkeyPatch, constant: str, drawn_otherwise: list[str]
) -> None:
    arms = ("synthesized", "image-to-image-30", "blended", "recoloured", "matched")
    arms += ("matched-single", "baseline")

    def recipes() -> list[str | None]:
        return [PRESETS["cpu"].fit(Run("mobilenetv2", arm, 1)).synthetic_recipe for arm in arms]

    before = recipes()
    monkeypatch.setattr(config, constant, "another")
    after = recipes()
    changed = [arm for arm, a, b in zip(arms, before, after, strict=True) if a != b]
    assert changed == drawn_otherwise
