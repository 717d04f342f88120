"""Capture times as cameras and people write them: ISO 8601, extended or basic."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

EXAMPLE: Final = "2026-01-04T10:30:00+07:00"

_MINUTES: Final = r"\d\d:?\d\d(?::?\d\d(?:[.,]\d+)?)?"
_EAST: Final = r"[Zz]|\+\d\d(?::?\d\d)?"
_WEST: Final = r"[-\N{MINUS SIGN}]\d\d:?\d\d"
_FORM: Final = re.compile(
    rf"(?P<day>\d{{4}}-\d\d-\d\d|(?:19|20)\d{{6}})(?:"
    rf"[Tt ](?P<time>{_MINUTES}(?:{_EAST}|{_WEST})?|\d\d(?:{_EAST})?)"
    rf"|[_-](?P<file>(?:\d\d|{_MINUTES})(?:{_EAST})?)"
    rf"|(?P<run>\d{{6}}(?!\d)(?:[.,]\d+)?(?:{_EAST})?))?",
    re.ASCII,
)
"""A day, and a time behind a T or what file names have in its place. Without one, only all of
20260104103000 is sure: twelve digits may be a year's last two and seconds, or no seconds. What
stands behind a minus is a zone behind a T and minutes alone: in 20260104_103000-0001 it may be a
number."""


def parse(text: str) -> datetime:
    """A date or time, without a zone where the text has none.

    Basic forms are read as well: 20260104, 20260104T1030+0700, 20260104_103000, 20260104103000.
    Raises ValueError, which says how to write it, for all else: other bare numbers too, which might
    be seconds since 1970, a spreadsheet's days, or anything.
    """
    text = text.strip()
    form = _FORM.fullmatch(text)
    try:
        if form is None:
            raise ValueError(text)
        # fromisoformat knows neither a small z nor a typeset minus.
        time = (
            (form["time"] or form["file"] or form["run"] or "")
            .upper()
            .replace("\N{MINUS SIGN}", "-")
        )
        return datetime.fromisoformat(f"{form['day']}T{time}" if time else form["day"])
    except ValueError as error:
        raise ValueError(f"no ISO 8601 date or time; write it as {EXAMPLE}") from error


def parse_zoned(text: str) -> datetime:
    """As `parse`. Raises ValueError as well where the text has no time zone."""
    moment = parse(text)
    if moment.tzinfo is None:
        raise ValueError(f"has no time zone; write it as {EXAMPLE}")
    return moment
