"""Splits share neither a truck nor a station's day, whatever the trucks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.grades import GRADES, Grade
from training.data.description import GROUPINGS, Grouping
from training.data.manifest import Row
from training.data.splits import MAX_GROUP_SHARE, assign, check, day_of, groups, in_two
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


@settings(deadline=None)
@given(
    visits,
    st.integers(0, 5),
    st.sampled_from(GROUPINGS),
    st.lists(st.tuples(st.integers(0, 119), st.integers(0, 119)), max_size=5),
)
def test_what_a_grouping_keeps_together_is_never_in_two_splits(
    drawn: list[tuple[int, int, str, Grade | None]],
    seed: int,
    grouping: Grouping,
    pairs: list[tuple[int, int]],
) -> None:
    rows = [row(i, f"T{t}", hours, station) for i, (t, hours, station, _) in enumerate(drawn)]
    labels = [grade for *_, grade in drawn]
    alike = [(i % len(rows), j % len(rows)) for i, j in pairs]
    try:
        splits = assign(rows, labels, seed=seed, grouping=grouping, alike=alike)
    except DataError:
        return  # too few groups, or one too large: refused, not leaked
    if grouping != "station-day":
        assert not in_two([one.truck for one in rows], splits)
    if grouping != "truck":
        assert not in_two([day_of(one) for one in rows], splits)
    assert all(splits[i] == splits[j] for i, j in alike)
    assert set(splits) == {"train", "val", "test"}
    # The same whatever the order of the rows.
    back = assign(
        rows[::-1],
        labels[::-1],
        seed=seed,
        grouping=grouping,
        alike=[(len(rows) - 1 - i, len(rows) - 1 - j) for i, j in alike],
    )
    assert back[::-1] == splits


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
    with pytest.raises(DataError, match=r"need 5 groups .* found 1"):
        assign(rows, [GRADES[i % 5] for i in range(30)], seed=1)


def season() -> tuple[list[Row], list[Grade]]:
    """Thirty trucks that come every day of two months."""
    rows = [row(60 * t + d, f"T{t:02}", 24 * d) for t in range(30) for d in range(60)]
    return rows, [GRADES[i % 5] for i in range(len(rows))]


def test_a_season_of_the_same_trucks_is_refused_with_the_way_out() -> None:
    rows, labels = season()
    with pytest.raises(DataError, match="--grouping truck or --grouping station-day"):
        assign(rows, labels, seed=1)
    by_truck = assign(rows, labels, seed=1, grouping="truck")
    assert len(in_two([day_of(one) for one in rows], by_truck)) == 60
    by_day = assign(rows, labels, seed=1, grouping="station-day")
    assert len(in_two([one.truck for one in rows], by_day)) == 30


def test_a_group_over_the_stated_share_is_refused_and_one_under_it_is_trained_on() -> None:
    def with_large_group(share: float) -> tuple[list[Row], list[Grade]]:
        large = round(200 * share)
        rows = [row(i, "big" if i < large else f"T{i}", 24 * max(0, i - large)) for i in range(200)]
        return rows, [GRADES[i % 5] for i in range(200)]

    with pytest.raises(DataError, match=r"holds 4[0-9]% of the images, 40% at most"):
        assign(*with_large_group(MAX_GROUP_SHARE + 0.05), seed=1)
    rows, labels = with_large_group(MAX_GROUP_SHARE - 0.05)
    splits = assign(rows, labels, seed=1)
    assert splits[0] == "train"
    assert splits.count("test") / 200 == pytest.approx(0.2, abs=0.05)


def test_images_without_a_time_have_only_their_truck() -> None:
    rows = [
        one.model_copy(update={"captured_at": None}) for one in (row(0, "A", 0), row(1, "B", 0))
    ]
    assert len(set(groups(rows).tolist())) == 2
    assert len(set(groups(rows, alike=[(0, 1)]).tolist())) == 1
    with pytest.raises(DataError, match="2 images have no capture time"):
        groups(rows, "station-day")
