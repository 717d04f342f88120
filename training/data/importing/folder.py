"""ImageFolder: a folder of images for each class."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Final

from PIL import ExifTags, Image

from training.data.description import Area, Description
from training.data.images import Skip
from training.data.importing.classes import ClassMap
from training.data.importing.target import Found
from training.data.splits import THAI_TIME
from training.data.tables import Cells
from training.errors import DataError

GROUPS: Final = ("truck", "station", "region", "camera", "captured_at")
"""Columns that a pattern can fill. Groups truck_1, truck_2, ... are joined to one truck by "/"."""


def find(
    root: Path,
    classes: ClassMap,
    *,
    pattern: re.Pattern[str] | None = None,
    area: Area | None = None,
) -> Found:
    """All files below ROOT/CLASS/, labelled with the grade of their class in the column grade.

    pattern: searched in each image's path relative to ROOT; its named groups fill columns. Without
        it, or without a group for the truck, a truck is a cluster of near-duplicates.

    The capture time comes from the pattern or from EXIF. Times without a zone are taken as
    Thailand's. Raises DataError for unknown classes and for an image the pattern does not fit.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one with a sub-folder for each grade")
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not folders:
        raise DataError(f"{root}: has no sub-folders; give a folder with one for each grade")
    classes.require([folder.name for folder in folders], str(root))
    found = Found(Description(classes=classes.described, graded_area=area))
    loose = sorted(path for path in root.iterdir() if not path.is_dir())
    found.skips += [Skip(path, "lies in no class's folder") for path in loose]
    dated = 0
    for folder in folders:
        grade = classes.grade(folder.name)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if grade is None:
                found.skips.append(Skip(path, f"class {folder.name} is left out"))
                continue
            cells: Cells = {"grade": grade, **_matched(pattern, path, root)}
            taken_at = "" if cells.get("captured_at") else _taken_at(path)
            dated += bool(taken_at)
            found.images.append(
                (path, {**cells, "captured_at": cells.get("captured_at") or taken_at})
            )
    if dated:
        found.notes.append(f"{dated} images have their capture time from EXIF")
    return found


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern for `find`. Raises DataError when it is none or has no usable group."""
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"--truck-pattern {pattern!r}: not a regular expression ({error})"
        ) from error
    known = [name for name in regex.groupindex if name in GROUPS or _is_truck(name)]
    unknown = sorted(set(regex.groupindex) - set(known))
    if unknown or not known:
        what = f"group {unknown[0]!r} is not known" if unknown else "has no named group"
        raise DataError(
            f"--truck-pattern {pattern!r}: {what}; name groups like (?P<truck>...): "
            f"{', '.join(GROUPS)}, or truck_1, truck_2, ..."
        )
    return regex


def _is_truck(group: str) -> bool:
    return re.fullmatch(r"truck(_\d+)?", group) is not None


def _matched(pattern: re.Pattern[str] | None, path: Path, root: Path) -> Cells:
    """The cells that the pattern finds in an image's path."""
    if pattern is None:
        return {}
    name = path.relative_to(root).as_posix()
    match = pattern.search(name)
    if match is None:
        raise DataError(
            f"--truck-pattern {pattern.pattern!r} does not fit {name}; make it fit every file, "
            "or move the file away"
        )
    groups = {group: text or "" for group, text in match.groupdict().items()}
    cells = {group: text for group, text in groups.items() if not _is_truck(group)}
    if cells.get("captured_at"):
        cells["captured_at"] = _zoned(cells["captured_at"], name)
    trucks = [groups[group] for group in sorted(groups) if _is_truck(group)]
    return {**cells, "truck": "/".join(trucks)}


def _zoned(text: str, name: str) -> str:
    """An ISO 8601 date or time, with Thailand's zone where it has none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"{name}: captured_at {text!r} is no ISO 8601 date or time; correct --truck-pattern"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=THAI_TIME)).isoformat()


def _taken_at(path: Path) -> str:
    """DateTimeOriginal of EXIF 2.3, ISO 8601; empty where there is none."""
    try:
        with Image.open(path) as file:
            exif = file.getexif().get_ifd(ExifTags.IFD.Exif)
        text = str(exif.get(ExifTags.Base.DateTimeOriginal, ""))
        offset = str(exif.get(ExifTags.Base.OffsetTimeOriginal, "+07:00")).strip("\0 ")
        return datetime.strptime(f"{text.strip(chr(0))}{offset}", "%Y:%m:%d %H:%M:%S%z").isoformat()
    except (OSError, SyntaxError, ValueError):
        return ""  # a broken image is found and told when it is decoded
