"""The filters of the list of trucks; they live in the address, so a view can be shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from urllib.parse import urlencode

from edge_agent.api.schemas import State
from edge_agent.console.formats import Formats
from edge_agent.grades import Grade
from edge_agent.records.store import Query

PAGE_SIZE: Final = 25

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

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Filters:
        """From an address's query; what makes no sense is left out."""
        grade, outcome = query.get("grade"), query.get("outcome")
        return cls(
            grade=grade if grade in set(Grade) else None,
            outcome=outcome if outcome in set(State) else None,
            text=query.get("text", "").strip()[:_MAX_TEXT] or None,
            first=_day(query.get("first")),
            last=_day(query.get("last")),
            page=_page(query.get("page", "")),
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


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _page(text: str) -> int:
    # isdigit alone lets through digits that int() refuses; the length keeps the number small.
    digits = text if text.isascii() and text.isdigit() and len(text) < 8 else "1"
    return max(1, min(int(digits), _MAX_PAGE))
