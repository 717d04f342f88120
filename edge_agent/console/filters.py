"""The filters of the list of trucks; they live in the address, so a view can be shared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final
from urllib.parse import urlencode

from edge_agent.api.schemas import State
from edge_agent.console.formats import BUDDHIST_YEARS, Formats
from edge_agent.grades import Grade
from edge_agent.records.store import Query

PAGE_SIZE: Final = 25

_TYPED_DAY: Final = re.compile(r"([0-9]{1,2})[/.]([0-9]{1,2})[/.]([0-9]{4})")
_FIRST_BUDDHIST_YEAR: Final = 2400
"""Typed years from here on are Buddhist: Gregorian ones are centuries away."""

_MAX_TEXT: Final = 64
_MAX_PAGE: Final = 1_000_000


@dataclass(frozen=True)
class Filters:
    """What to list. `first` and `last` are local days, both included; pages count from 1."""

    grade: str | None = None
    outcome: str | None = None
    text: str | None = None
    first: date | None = None
    last: date | None = None
    page: int = 1
    mistakes: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Names and texts of the fields `first` and `last` that are no day."""

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Filters:
        """From an address's query. What the form cannot have sent and makes no sense is left out;
        a day that was mistyped is kept in `mistakes`.
        """
        days = {name: query.get(name, "").strip()[:_MAX_TEXT] for name in ("first", "last")}
        grade, outcome = query.get("grade"), query.get("outcome")
        return cls(
            grade=grade if grade in set(Grade) else None,
            outcome=outcome if outcome in set(State) else None,
            text=query.get("text", "").strip()[:_MAX_TEXT] or None,
            first=_day(days["first"]),
            last=_day(days["last"]),
            page=_page(query.get("page", "")),
            mistakes=tuple((n, text) for n, text in days.items() if text and _day(text) is None),
        )

    @property
    def narrows(self) -> bool:
        """Whether anything but the page is set."""
        return replace(self, page=1) != Filters()

    def url(self, page: int) -> str:
        """The address of a page of this list."""
        values = {
            "grade": self.grade,
            "outcome": self.outcome,
            "text": self.text,
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "page": str(page) if page > 1 else None,
        }
        query = urlencode({key: value for key, value in values.items() if value})
        return "/trucks" + (f"?{query}" if query else "")

    def query(self, formats: Formats) -> Query:
        """The store's query, with the days in the station's time zone."""
        since, until = formats.day_bounds(self.first, self.last)
        return Query(
            grade=self.grade, outcome=self.outcome, text=self.text, since=since, until=until
        )


def _day(text: str) -> date | None:
    """A day as typed, day/month/year with the Gregorian or the Buddhist year, or in ISO 8601."""
    try:
        typed = _TYPED_DAY.fullmatch(text)
        if typed is None:
            return date.fromisoformat(text) if text else None
        day, month, year = map(int, typed.groups())
        return date(year - BUDDHIST_YEARS if year >= _FIRST_BUDDHIST_YEAR else year, month, day)
    except ValueError:
        return None


def _page(text: str) -> int:
    # isdigit alone lets through digits that int() refuses; the length keeps the number small.
    digits = text if text.isascii() and text.isdigit() and len(text) < 8 else "1"
    return max(1, min(int(digits), _MAX_PAGE))
