"""What is true about virtual trucks, and what experts say of them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from simulator.regions import PROVINCES, REGIONS, STATIONS
from simulator.truth import (
    BURNT_LIMIT,
    TRASH_LIMIT,
    Truck,
    draw_truck,
    expert_votes,
    grade_of,
)

shares = st.floats(0, 1)
percentages = st.floats(0, 100)


@given(shares, percentages)
def test_the_rule_follows_the_limits(burnt: float, trash: float) -> None:
    grade = grade_of(burnt, trash)
    assert grade.is_burnt == (burnt >= BURNT_LIMIT)
    assert grade.has_trash == (trash >= TRASH_LIMIT)


@given(shares, percentages, st.sampled_from(["empty", "tarpaulin", "unreadable"]))
def test_any_cause_makes_a_load_undefined(burnt: float, trash: float, cause: str) -> None:
    assert grade_of(burnt, trash, cause) is Grade.UNDEFINED  # type: ignore[arg-type]


@pytest.mark.parametrize(("burnt", "trash"), [(-0.1, 5), (1.1, 5), (0.5, -1), (0.5, 101)])
def test_the_rule_refuses_impossible_shares(burnt: float, trash: float) -> None:
    with pytest.raises(ValueError, match="must be within"):
        grade_of(burnt, trash)


@given(st.integers(0, 2**32 - 1), shares, st.sampled_from(GRADES))
def test_a_drawn_truck_has_the_grade_asked_for(seed: int, difficulty: float, grade: Grade) -> None:
    truck = draw_truck(np.random.default_rng(seed), difficulty, grade)
    assert truck.grade is grade
    assert grade_of(truck.burnt_share, truck.trash_share, truck.cause) is grade
    assert STATIONS[truck.station] == truck.region
    assert truck.province in PROVINCES[truck.region]
    assert 0 <= truck.hour < 24
    assert re.fullmatch(r"[5-9]\d-\d{4}", truck.plate)


def test_equal_seeds_draw_equal_trucks() -> None:
    def draw() -> Truck:
        return draw_truck(np.random.default_rng(4), 0.5)

    assert draw() == draw()


def test_giving_the_station_changes_nothing_else() -> None:
    free = draw_truck(np.random.default_rng(5), 0.5)
    fixed = draw_truck(np.random.default_rng(5), 0.5, station="SB1")
    assert (fixed.seed, fixed.burnt_share, fixed.hour) == (free.seed, free.burnt_share, free.hour)


def test_there_are_at_least_four_regions_with_stations() -> None:
    assert len(REGIONS) >= 4
    assert set(STATIONS.values()) == set(REGIONS) == set(PROVINCES)


@pytest.mark.parametrize("wrong", [{"difficulty": 1.5}, {"look": "neon"}, {"station": "nowhere"}])
def test_drawing_refuses_what_does_not_exist(wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"difficulty": 0.5, **wrong}
    with pytest.raises(ValueError, match="must be"):
        draw_truck(np.random.default_rng(0), **arguments)  # type: ignore[arg-type]


def test_harder_trucks_lie_closer_to_the_limits() -> None:
    def margins(difficulty: float) -> float:
        rng = np.random.default_rng(1)
        trucks = [draw_truck(rng, difficulty, Grade.FRESH_CLEAN) for _ in range(200)]
        return float(np.mean([BURNT_LIMIT - t.burnt_share for t in trucks]))

    assert margins(1.0) < margins(0.0)


def votes_at(difficulty: float, trucks: int = 600) -> list[tuple[Truck, list[Grade]]]:
    rng = np.random.default_rng(2)
    fleet = [draw_truck(rng, difficulty) for _ in range(trucks)]
    return [(truck, expert_votes(truck, rng)) for truck in fleet]


def test_experts_agree_less_the_harder_the_set() -> None:
    unanimous = [
        np.mean([len(set(votes)) == 1 for _, votes in votes_at(difficulty)])
        for difficulty in (0.0, 0.3, 0.6, 1.0)
    ]
    assert unanimous == sorted(unanimous, reverse=True)
    assert 0.82 < unanimous[0] < 0.97  # even easy loads are disputed now and then
    assert 0.60 < unanimous[-1] < 0.82


def test_experts_err_near_the_limits() -> None:
    near, far = [], []
    for truck, votes in votes_at(1.0, 1200):
        if truck.cause is None:
            distance = min(
                abs(truck.burnt_share - BURNT_LIMIT), abs(truck.trash_share - TRASH_LIMIT) / 75
            )
            (near if distance < 0.1 else far).append(np.mean([v is truck.grade for v in votes]))
    assert np.mean(near) + 0.04 < np.mean(far)


def test_the_majority_of_experts_is_mostly_right() -> None:
    right = [Counter(votes).most_common(1)[0][0] is truck.grade for truck, votes in votes_at(1.0)]
    assert np.mean(right) >= 0.95
