"""The console's logic without a browser: filters in the address, the cookie secret."""

from __future__ import annotations

import re
import stat
from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_agent.api.schemas import State, TrashOut
from edge_agent.console.app import session_secret
from edge_agent.console.filters import Filters
from edge_agent.console.formats import Formats
from edge_agent.console.trash import in_short
from edge_agent.errors import ConfigError
from edge_agent.grades import Grade

some_filters = st.builds(
    Filters,
    grade=st.none() | st.sampled_from([grade.value for grade in Grade]),
    outcome=st.none() | st.sampled_from([state.value for state in State]),
    text=st.none() | st.text(min_size=1, max_size=64).map(str.strip).filter(bool),
    first=st.none() | st.dates(),
    last=st.none() | st.dates(),
    page=st.integers(1, 999_999),
)


@given(some_filters)
def test_filters_survive_the_address(filters: Filters) -> None:
    query = dict(parse_qsl(urlsplit(filters.url(filters.page)).query))
    assert Filters.parse(query) == filters


@given(
    st.dictionaries(
        st.sampled_from(["grade", "outcome", "text", "first", "last", "page"]),
        st.text(),
        max_size=6,
    )
)
def test_any_query_gives_usable_filters(query: dict[str, str]) -> None:
    filters = Filters.parse(query)
    assert filters.page >= 1
    filters.query(Formats("th", "Asia/Bangkok"))


def test_empty_fields_of_the_form_mean_any() -> None:
    query = dict.fromkeys(("grade", "outcome", "text", "first", "last"), "")
    assert Filters.parse(query) == Filters()
    assert not Filters().narrows
    assert Filters(first=date(2026, 1, 15)).url(2) == "/trucks?first=2026-01-15&page=2"


@pytest.mark.parametrize("text", ["15/1/2569", "15/01/2026", "15.1.2569", "2026-01-15"])
def test_days_may_be_typed_in_either_year(text: str) -> None:
    assert Filters.parse({"first": text}).first == date(2026, 1, 15)


@pytest.mark.parametrize("text", ["1/15/2026", "31/2/2569", "15/1/69", "29/2/2569", "yesterday"])
def test_mistyped_days_are_kept_for_the_reader(text: str) -> None:
    filters = Filters.parse({"last": f" {text} "})
    assert filters.last is None
    assert filters.mistakes == (("last", text),)


@given(st.dates(date(1000, 1, 1), date(2399, 12, 31)), st.sampled_from(["th", "en"]))
def test_days_survive_the_form(day: date, language: str) -> None:
    typed = Formats(language, "Asia/Bangkok").date_field(day)
    assume(language == "en" or day.year + 543 >= 2400)
    assert Filters.parse({"first": typed}).first == day


def test_secret_is_made_once_for_the_agent_only(tmp_path: Path) -> None:
    file = tmp_path / "data" / "console.secret"
    secret = session_secret(file)
    assert len(secret) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert session_secret(file) == secret


def test_secret_cut_short_by_a_crash_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "console.secret"
    file.write_text("")
    assert len(session_secret(file)) >= 32


def test_secret_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="make data_dir writable"):
        session_secret(tmp_path / "file" / "console.secret")


@given(st.lists(st.floats(0, 100), min_size=3, max_size=3), st.sampled_from(["th", "en"]))
def test_the_interval_of_an_estimate_is_never_shown_narrower_than_it_is(
    values: list[float], language: str
) -> None:
    low, middle, high = sorted(values)
    trash = TrashOut(low=low, middle=middle, high=high, coverage=0.9)
    shown = in_short(Formats(language, "Asia/Bangkok"), trash)
    found = re.fullmatch(r"≈ (\d+)\N{NO-BREAK SPACE}% \((\d+)–(\d+)\)", shown)
    assert found is not None, shown
    about, least, most = map(int, found.groups())
    assert 0 <= least <= low
    assert high <= most <= 100
    assert least <= about <= most
    assert abs(about - middle) <= 0.5
