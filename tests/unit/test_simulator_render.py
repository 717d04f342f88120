"""Rendered frames: the same every time, true to the truck, and the same small as large."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_agent.grades import Grade
from simulator.plate import draw_plate_image
from simulator.render import render_empty, render_graded, render_view
from simulator.tarpaulin import covers_front
from simulator.truth import Truck, draw_truck
from simulator.viewpoints import CAMERAS, TOP_CAMERAS, graded_rows, viewpoint

SMALL = (320, 240)


def a_truck(grade: Grade = Grade.FRESH_CLEAN, seed: int = 3, **changes: object) -> Truck:
    truck = draw_truck(np.random.default_rng(seed), 0.3, grade, hour=11.0, form="whole")
    return replace(truck, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_frame_is_the_same_every_time(camera: str) -> None:
    one, two = (render_view(a_truck(), camera, SMALL) for _ in range(2))
    assert one.image.shape == (240, 320, 3)
    assert one.image.dtype == one.mask.dtype == np.uint8
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.mask, two.mask)
    assert set(np.unique(one.mask)) <= {0, 1, 2}


@pytest.mark.parametrize("grade", list(Grade))
@pytest.mark.parametrize("look", ["house", "other"])
def test_every_grade_renders_in_every_look(grade: Grade, look: str) -> None:
    truck = draw_truck(np.random.default_rng(8), 1.0, grade, look)
    image = render_view(truck, "C301", (160, 120)).image
    assert image.shape == (120, 160, 3)


def test_a_load_is_mostly_stalk_and_an_empty_scale_has_none() -> None:
    truck = a_truck(trash_share=3.0)
    assert (render_view(truck, "C301", SMALL).mask == 1).mean() > 0.8
    assert not render_empty(truck, "C301", SMALL).mask.any()


@pytest.mark.parametrize("form", ["whole", "billets"])
def test_the_mask_shows_about_the_trash_share(form: str) -> None:
    seen = [
        np.mean(
            [
                (
                    render_view(a_truck(seed=s, form=form, trash_share=t), "C301", SMALL).mask == 2
                ).mean()
                for s in (3, 4, 5)
            ]
        )
        * 100
        for t in (5.0, 30.0, 60.0)
    ]
    assert seen[0] < 12
    assert 15 < seen[1] < 45
    assert 38 < seen[2] < 80


def test_burnt_cane_is_darker_than_fresh() -> None:
    fresh = render_view(a_truck(burnt_share=0.0), "C301", SMALL).image
    burnt = render_view(a_truck(burnt_share=1.0), "C301", SMALL).image
    # The camera's exposure hides part of it: compare the share of black.
    assert np.quantile(burnt, 0.3) < np.quantile(fresh, 0.3)


def test_the_cameras_of_one_station_see_one_truck_in_like_colours() -> None:
    worst = []
    for seed in range(4):
        truck = draw_truck(np.random.default_rng(seed), 1.0, Grade.FRESH_CLEAN)
        means = [render_view(truck, c, SMALL).image.mean((0, 1)) for c in TOP_CAMERAS]
        tints = np.array([m / m.sum() for m in means])
        worst.append(np.ptp(tints, axis=0).max())
    assert np.median(worst) < 0.02


def test_a_tarpaulin_hides_the_load_from_every_camera_it_reaches() -> None:
    truck = a_truck(Grade.UNDEFINED, cause="tarpaulin", difficulty=0.0)
    seen = {c: (render_view(truck, c, SMALL).mask > 0).mean() for c in CAMERAS}
    bare = render_view(replace(truck, cause=None), "C101", SMALL).mask
    assert min(seen[c] for c in TOP_CAMERAS) < 0.05
    assert covers_front(truck) == (seen["C101"] < 0.1 * (bare > 0).mean())


def test_the_truck_throws_a_shadow_on_the_yard() -> None:
    truck = a_truck(station="SK1", hour=10.0)
    loaded = render_view(truck, "C101", SMALL).image[200:].astype(int)
    empty = render_empty(truck, "C101", SMALL).image[200:].astype(int)
    assert np.quantile(loaded, 0.02) < 0.7 * np.quantile(empty, 0.02)


def test_the_views_lie_side_by_side() -> None:
    edges = [
        viewpoint(camera).project(np.array([x, 0, 2.0], np.float32))[0][0]
        for camera, x in zip(TOP_CAMERAS, (2.5, 5.0, 7.5), strict=True)
    ]
    assert np.allclose(edges, 1.0, atol=1e-5)


def test_a_small_frame_is_a_full_frame_resized_by_area() -> None:
    truck = a_truck(Grade.FRESH_TRASH)
    direct = render_graded(truck, "C301", 128).image.astype(np.float32)
    full = render_view(truck, "C301").image
    top, bottom = graded_rows(full.shape[0])
    reduced = cv2.resize(full[top:bottom], (128, 128), interpolation=cv2.INTER_AREA)
    reduced = reduced.astype(np.float32)
    assert np.abs(direct - reduced).mean() < 0.28 * reduced.std()
    assert np.abs(direct.mean((0, 1)) - reduced.mean((0, 1))).max() < 5
    energies = [float(np.abs(np.diff(image, axis=0)).mean()) for image in (direct, reduced)]
    assert energies[0] == pytest.approx(energies[1], rel=0.15)


@pytest.mark.parametrize("size", [(31, 23), (320, 8)])
def test_tiny_frames_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size must be"):
        render_view(a_truck(), "C301", size)


def test_unknown_cameras_are_refused() -> None:
    with pytest.raises(ValueError, match="camera must be"):
        render_view(a_truck(), "C999", SMALL)


def test_other_shapes_are_stretched() -> None:
    assert render_view(a_truck(), "C301", (320, 180)).image.shape == (180, 320, 3)


def test_plates_differ_and_have_dark_ink_on_light_ground() -> None:
    one, two = draw_plate_image("82-1234", "ขอนแก่น"), draw_plate_image("82-1235", "ขอนแก่น")
    assert one.shape == (440, 880, 3)
    assert not np.array_equal(one, two)
    assert one.max() > 200
    assert one.min() < 40
