"""Splits share neither a truck nor a station's day, whatever the trucks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from training.data.manifest import Row
from training.data.splits import assign, check, day_of, groups
from training.errors import DataError

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, truck: str, hours: int, station: str = "S1") -> Row:
    at = START + timedelta(hours=hours)
    return Row(image=f"{number}.png", truck=truck, captured_at=at, station=station)


visits = st.lists(
    st.tuples(
        st.integers(0, 60),  # truck
        st.integers(0, 40 * 24),  # hours into the season
        st.sampled_from(["S1", "S2"]),
        st.sampled_from([*GRADES, None]),
    ),
    min_size=1,
    max_size=120,
)


@given(visits, st.integers(0, 5))
def test_no_truck_and_no_day_is_in_two_splits(
    drawn: list[tuple[int, int, str, Grade | None]], seed: int
) -> None:
    rows = [row(i, f"T{t}", hours, station) for i, (t, hours, station, _) in enumerate(drawn)]
    labels = [grade for *_, grade in drawn]
    try:
        splits = assign(rows, labels, seed=seed)
    except DataError:
        return  # too few groups: refused, not leaked
    homes: dict[str, set[str]] = {}
    for one, split in zip(rows, splits, strict=True):
        homes.setdefault(f"truck {one.truck}", set()).add(split)
        homes.setdefault(f"day {day_of(one)}", set()).add(split)
    assert all(len(home) == 1 for home in homes.values())
    assert set(splits) == {"train", "val", "test"}
    assert splits == assign(rows, labels, seed=seed)


def test_shares_and_grades_are_even() -> None:
    rows = [row(i, f"T{i}", 24 * (i // 10)) for i in range(1000)]
    labels = [GRADES[i % 5] for i in range(1000)]
    splits = assign(rows, labels, seed=1)
    for name, share in {"train": 0.64, "val": 0.16, "test": 0.20}.items():
        assert splits.count(name) / 1000 == pytest.approx(share, abs=0.01)  # type: ignore[arg-type]
    assert splits != assign(rows, labels, seed=2)


def test_days_are_the_mills_own() -> None:
    # 16:59 UTC is still the same day in Thailand, 17:00 UTC is the next.
    before, after = row(0, "A", 16), row(1, "B", 17)
    assert day_of(before) == "S1/2026-01-01"
    assert day_of(after) == "S1/2026-01-02"


def test_what_hangs_together_is_one_group() -> None:
    # A and B share a day, B and C too: all three are one group; D is alone.
    rows = [row(0, "A", 0), row(1, "B", 1), row(2, "B", 48), row(3, "C", 49), row(4, "D", 200)]
    found = groups(rows)
    assert len(set(found[:4].tolist())) == 1
    assert found[4] != found[0]


def test_leaking_splits_are_refused_by_name() -> None:
    rows = [row(0, "A", 0), row(1, "A", 48)]
    with pytest.raises(DataError, match="truck A is in two splits, train and test"):
        check(rows, ["train", "test"])
    rows = [row(0, "A", 0), row(1, "B", 1)]
    with pytest.raises(DataError, match="station/day S1/2026-01-01"):
        check(rows, ["train", "val"])


def test_too_few_days_are_refused() -> None:
    rows = [row(i, f"T{i}", i % 3) for i in range(30)]
    with pytest.raises(DataError, match="need 5 groups .* found 1"):
        assign(rows, [GRADES[i % 5] for i in range(30)], seed=1)
