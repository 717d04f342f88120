"""A station's records: its SQLite file and its folder of evidence images."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from sqlalchemy import JSON, DateTime, Row, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from training.data.description import Area, Description
from training.data.images import Skip
from training.data.importing.reviews import Reviews
from training.data.importing.target import Found
from training.data.manifest import tidied
from training.data.tables import Cells
from training.digest import sha256
from training.errors import DataError

DATABASE_NAME: Final = "records.sqlite"
EVIDENCE_NAME: Final = "evidence"

_FRAMES: Final = text(
    """
    SELECT a.id AS record, a.station, a.ticket, a.plate, a.province, g.outcome,
           g.grade AS machine_grade, g.confidence AS machine_confidence,
           g.model_name, g.model_version, g.graded_area,
           f.camera, f.problem, f.captured_at, f.path, f.sha256
    FROM frames f
    JOIN gradings g ON g.id = f.grading_id
    JOIN arrivals a ON a.id = g.arrival_id
    ORDER BY a.instant, a.id, f.camera
    """
).columns(captured_at=DateTime, graded_area=JSON)

_KEPT: Final = (
    "record",
    "ticket",
    "outcome",
    "machine_grade",
    "machine_confidence",
    "model_name",
    "model_version",
)
"""Columns of the database that the manifest keeps. A machine's grade is never a label."""


def find(
    data_dir: Path,
    *,
    cameras: Sequence[str] = ("C301",),
    reviews: Reviews | None = None,
    area: Area | None = None,
) -> Found:
    """The evidence images of a station, with people's reviews as the experts' votes.

    data_dir: the station's data folder; a running station is read without disturbing it.
    cameras: whose images to take.
    reviews: without any, all images come without a label.
    area: the part of the frame a network is to see; by default the one all records were graded
        with. The images themselves stay whole frames.

    A truck is its plate and province; the plate alone where any record of it lacks the province, as
    that may be any of them; its record where there is no plate: such a truck that comes twice
    counts as two. Images that failed the station's checks, are gone or were changed since are left
    out. Raises DataError when there is no such database.
    """
    frames = _read(data_dir / DATABASE_NAME)
    evidence = data_dir / EVIDENCE_NAME
    chosen = [frame for frame in frames if frame.camera in cameras]
    if not chosen:
        there = ", ".join(sorted({frame.camera for frame in frames})) or "none"
        raise DataError(f"{data_dir}: no frame of {', '.join(cameras)}; there are: {there}")
    columns = reviews.columns() if reviews else {}
    votes = reviews.votes() if reviews else {}
    found = Found(
        Description(
            graded_area=area or _graded_area(chosen),
            shows="frame",
            experts={vote: name for name, vote in columns.items()},
        )
    )
    if reviews:
        found.notes += _unused(reviews, frames)
    provinces = _provinces(chosen)
    for frame in chosen:
        path = evidence / (frame.path or f"{frame.record}/{frame.camera}")
        fault = _fault(frame, path)
        if fault is not None:
            found.skips.append(Skip(path, fault))
            continue
        voted = votes.get(getattr(frame, reviews.by) or "", {}) if reviews else {}
        cells = {vote: voted.get(vote, "") for vote in columns.values()}
        found.images.append((path, {**_cells(frame, provinces), **cells}))
    without_plate = len({frame.record for frame in chosen if not tidied(frame.plate or "")})
    if without_plate:
        found.notes.append(f"{without_plate} records have no plate: each counts as a truck")
    unsure = sorted(plate for plate, of in provinces.items() if "" in of and len(of) > 1)
    if unsure:
        found.notes.append(
            f"{len(unsure)} plates lack their province in some records, as {unsure[0]}: "
            "each counts as one truck, whatever the province"
        )
    return found


def _read(file: Path) -> list[Row[Any]]:
    if not file.is_file():
        raise DataError(f"{file}: no such file; give a station's data folder")
    uri = f"{file.resolve().as_uri()}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
    try:
        with engine.connect() as connection:
            return list(connection.execute(_FRAMES))
    except (SQLAlchemyError, ValueError) as error:
        reason = str(getattr(error, "orig", error))
        raise DataError(
            f"{file}: not a station's records ({reason}); give a data folder of this version"
        ) from error
    finally:
        engine.dispose()


def _fault(frame: Row[Any], path: Path) -> str | None:
    """Why an evidence image is left out; None where nothing speaks against it."""
    if frame.problem or not frame.path:
        return f"failed the station's check: {frame.problem or 'no image'}"
    if not path.is_file():
        return "no such file"
    if frame.sha256 and sha256(path) != frame.sha256:
        return "changed since it was recorded"
    return None


def _provinces(frames: Sequence[Row[Any]]) -> dict[str, set[str]]:
    """The provinces seen with each plate, "" where a record has none."""
    found: dict[str, set[str]] = {}
    for frame in frames:
        found.setdefault(tidied(frame.plate or ""), set()).add(tidied(frame.province or ""))
    found.pop("", None)
    return found


def _truck(frame: Row[Any], provinces: Mapping[str, set[str]]) -> str:
    plate = tidied(frame.plate or "")
    if not plate:
        return str(frame.record)
    return plate if "" in provinces[plate] else f"{plate} {tidied(frame.province)}"


def _cells(frame: Row[Any], provinces: Mapping[str, set[str]]) -> Cells:
    kept = {name: getattr(frame, name) for name in _KEPT}
    return {
        "truck": _truck(frame, provinces),
        "camera": frame.camera,
        "station": frame.station,
        "captured_at": (
            frame.captured_at.replace(tzinfo=UTC).isoformat() if frame.captured_at else ""
        ),
        **{name: "" if value is None else str(value) for name, value in kept.items()},
    }


def _graded_area(frames: Sequence[Row[Any]]) -> Area | None:
    """The area that all records were graded with."""
    areas = {tuple(frame.graded_area) for frame in frames if frame.graded_area}
    if len(areas) > 1:
        listed = "; ".join(",".join(f"{edge:g}" for edge in area) for area in sorted(areas))
        raise DataError(
            f"the records were graded with {len(areas)} areas of the frame ({listed}); "
            "choose one with --graded-area LEFT,TOP,RIGHT,BOTTOM"
        )
    return next(iter(areas), None)


def _unused(reviews: Reviews, frames: Sequence[Row[Any]]) -> list[str]:
    """Lines on reviews that do not count."""
    known = {getattr(frame, reviews.by) for frame in frames}
    unknown = sorted({review.key for review in reviews.reviews} - known)
    lines = []
    if unknown:
        lines.append(
            f"{len(unknown)} {reviews.by}s with reviews are not in the records, as {unknown[0]}"
        )
    if reviews.left_out:
        lines.append(f"{reviews.left_out} reviews for classes that are left out do not count")
    return lines
