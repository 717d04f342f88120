"""Dates, numbers and units the way the reader's language writes them, in the station's time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_decimal, format_percent

NONE: Final = "–"
"""Stands where a value is not known."""

_NBSP: Final = "\N{NO-BREAK SPACE}"
"""Keeps a number and its unit on one line."""


BUDDHIST_YEARS: Final = 543
"""The Buddhist year less the Gregorian one."""


class Formats:
    """Formatting for one language and one time zone."""

    def __init__(self, language: str, zone: str) -> None:
        # The Thai mills write dates as Britons do; plain "en" would put the month first.
        self._locale = {"en": "en_GB"}.get(language, language)
        self.zone = ZoneInfo(zone)
        # Thai mills write the Buddhist year, which Babel does not know.
        self._era = BUDDHIST_YEARS if language == "th" else 0

    def clock(self, instant: datetime) -> str:
        """Local time of day with seconds."""
        return format_time(instant.astimezone(self.zone), "HH:mm:ss", locale=self._locale)

    def clock_ms(self, instant: datetime | None) -> str:
        """Local time of day with milliseconds."""
        if instant is None:
            return NONE
        return format_time(instant.astimezone(self.zone), "HH:mm:ss.SSS", locale=self._locale)

    def moment(self, instant: datetime | None) -> str:
        """Local date and time."""
        if instant is None:
            return NONE
        local = instant.astimezone(self.zone)
        return format_datetime(local, f"d MMM {self._year(local)} HH:mm:ss", locale=self._locale)

    def day(self, instant: datetime) -> str:
        """Local date with the day of the week."""
        local = instant.astimezone(self.zone)
        return format_date(local, f"EEE d MMM {self._year(local)}", locale=self._locale)

    def date_field(self, day: date) -> str:
        """A day as it is typed: day/month/year."""
        return f"{day.day:02d}/{day.month:02d}/{day.year + self._era}"

    def example_day(self) -> str:
        """How a day is to be typed, shown as an example of the current year."""
        return self.date_field(datetime.now(self.zone).date().replace(month=1, day=31))

    def short(self, instant: datetime, now: datetime) -> str:
        """Time of day today, else with the date before it."""
        local, today = instant.astimezone(self.zone), now.astimezone(self.zone).date()
        pattern = "HH:mm:ss" if local.date() == today else "d MMM HH:mm"
        return format_datetime(local, pattern, locale=self._locale)

    def ago(self, seconds: float | None) -> str:
        """How long ago, in words."""
        if seconds is None:
            return NONE
        return format_timedelta(
            timedelta(seconds=-round(seconds)), add_direction=True, locale=self._locale
        )

    def span(self, since: datetime) -> str:
        """How long since, in words."""
        return format_timedelta(datetime.now(UTC) - since, locale=self._locale)

    def number(self, value: float | None, digits: int = 0, unit: str = "") -> str:
        """A number with a fixed count of decimals and its unit."""
        if value is None:
            return NONE
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        text = format_decimal(value, pattern, locale=self._locale)
        return f"{text}{_NBSP}{unit}" if unit else text

    def signed(self, value: float | None, unit: str = "") -> str:
        """A whole number with its sign."""
        if value is None:
            return NONE
        text = format_decimal(round(value), "+#,##0;-#,##0", locale=self._locale)
        return f"{text}{_NBSP}{unit}" if unit else text

    def percent(self, share: float | None) -> str:
        """A share of one as percent with one decimal, rounded down so that 100 % means it."""
        if share is None:
            return NONE
        return format_percent(int(share * 1000) / 1000, f"#,##0.0{_NBSP}%", locale=self._locale)

    def gigabytes(self, count: int) -> str:
        """Bytes as GB."""
        return self.number(count / 1e9, 1, "GB")

    def _year(self, day: date) -> str:
        """The year as a literal of a Babel pattern."""
        return f"'{day.year + self._era}'"

    def day_bounds(
        self, first: date | None, last: date | None
    ) -> tuple[datetime | None, datetime | None]:
        """The instants [since, until) of the local days first to last, both included."""
        since = None if first is None else datetime.combine(first, time(), self.zone)
        until = None
        if last is not None and last < date.max:
            until = datetime.combine(last + timedelta(days=1), time(), self.zone)
        return since, until
