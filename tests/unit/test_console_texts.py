"""The catalogues are complete, and dates and numbers come out as each language writes them."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import edge_agent.console
from edge_agent.console import vocabulary as words
from edge_agent.console.formats import Formats
from edge_agent.console.texts import LANGUAGES, LOCALE_DIR, Texts
from edge_agent.grades import GRADES
from edge_agent.reasons import TEXTS, Reason
from edge_agent.status import CameraState

CODE = Path(str(edge_agent.console.__file__)).parent


def used_messages() -> set[str]:
    """Every message id in the console's code, and the texts of the reason codes."""
    found = extract_from_dir(
        CODE, method_map=[("**.py", "python")], keywords={"t": None, "N_": None}
    )
    return {message for _, _, message, _, _ in found if isinstance(message, str)} | set(
        TEXTS.values()
    )


def catalogue(language: str) -> Catalog:
    with (LOCALE_DIR / language / "LC_MESSAGES" / "console.po").open("rb") as file:
        return read_po(file, locale=language)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated(language: str) -> None:
    entries = {m.id: m for m in catalogue(language) if m.id}
    used = used_messages()
    assert len(used) > 100
    assert used - set(entries) == set(), "missing in the catalogue"
    assert {i for i in used if not entries[i].string or entries[i].fuzzy} == set(), "untranslated"
    assert set(entries) - used == set(), "no longer used"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_the_fields(language: str) -> None:
    for message in catalogue(language):
        assert isinstance(message.id, str)
        if message.id:
            assert fields(str(message.string)) == fields(message.id), message.id


def test_grade_names_are_the_mills_own() -> None:
    t = Texts("th")
    for grade in GRADES:
        look = words.GRADE_LOOKS[grade]
        assert t(look.full) == grade.thai
        assert "".join(look.lines(t)) == grade.thai


def test_every_code_has_words_and_advice() -> None:
    assert set(words.ADVICE) == set(Reason)
    assert set(words.CAMERA_STATES) == set(CameraState)
    assert set(words.GRADE_LOOKS) == set(GRADES)


def test_unknown_codes_stand_for_themselves() -> None:
    t = Texts("en")
    assert words.reason_text(t, "from_a_newer_version") == "From_a_newer_version"
    assert words.advice(t, "from_a_newer_version") == ""
    assert words.grade_name(t, "mouldy") == "mouldy"


def test_unknown_language_is_refused() -> None:
    with pytest.raises(KeyError):
        Texts("xx")


INSTANT = datetime(2026, 1, 15, 20, 30, 41, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "moment", "day"),
    [
        ("en", "16 Jan 2026 03:30:41", "Fri 16 Jan 2026"),
        ("th", "16 ม.ค. 2569 03:30:41", "ศ. 16 ม.ค. 2569"),
    ],
)
def test_times_are_the_stations(language: str, moment: str, day: str) -> None:
    f = Formats(language, "Asia/Bangkok")
    assert (f.moment(INSTANT), f.day(INSTANT)) == (moment, day)
    assert f.clock_ms(INSTANT) == "03:30:41.250"
    assert f.short(INSTANT, INSTANT) == "03:30:41"
    assert f.short(INSTANT, datetime(2026, 1, 17, tzinfo=UTC)) == " ".join(
        (*day.split()[1:3], "03:30")
    )


def test_numbers_have_units_and_gaps_a_dash() -> None:
    f = Formats("en", "Asia/Bangkok")
    space = "\N{NO-BREAK SPACE}"
    assert f.number(31240.4, unit="kg") == f"31,240{space}kg"
    assert f.number(None, unit="kg") == "–"
    assert f.percent(0.9999) == f"99.9{space}%", "not quite sure is not 100 %"
    assert f.percent(1.0) == f"100.0{space}%"
    assert (f.signed(-12.4), f.signed(9.0)) == ("-12", "+9")
    assert f.ago(300) == "5 minutes ago"


def test_days_are_local_and_both_ends_included() -> None:
    f = Formats("th", "Asia/Bangkok")
    since, until = f.day_bounds(date(2026, 1, 15), date(2026, 1, 15))
    assert since == datetime(2026, 1, 14, 17, tzinfo=UTC)
    assert until == datetime(2026, 1, 15, 17, tzinfo=UTC)
    assert f.day_bounds(None, date.max) == (None, None)


def test_thai_years_are_buddhist_also_on_leap_days() -> None:
    leap = datetime(2028, 2, 29, 3, tzinfo=UTC)
    assert Formats("th", "Asia/Bangkok").day(leap) == "อ. 29 ก.พ. 2571"
    assert Formats("en", "Asia/Bangkok").day(leap) == "Tue 29 Feb 2028"


def test_one_thai_word_for_one_thing() -> None:
    text = " ".join(str(message.string) for message in catalogue("th"))
    assert "เครื่องชั่ง" in text
    assert "ตาชั่ง" not in text
    assert "ให้เปิดกล้องใหม่" not in text
