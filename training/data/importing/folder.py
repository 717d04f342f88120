"""ImageFolder: a folder of images for each class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from PIL import ExifTags, ImageFile

from training.data import images, moments
from training.data.description import Area, Description, Shows
from training.data.images import Skip
from training.data.importing.classes import ClassMap
from training.data.importing.target import Found
from training.data.manifest import Split, tidied
from training.data.splits import THAI_TIME
from training.data.tables import Cells
from training.errors import DataError

GROUPS: Final = ("truck", "station", "region", "camera", "captured_at")
"""Columns that a pattern can fill. Groups truck_1, truck_2, ... are joined to one truck by "/"."""


SPLIT_LEVELS: Final[Mapping[str, Split]] = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "val",
        "valid": "val",
        "validation": "val",
        "test": "test",
        "testing": "test",
    }
)
"""What folders of splits are called, in lower case."""


@dataclass(frozen=True)
class ClassFolder:
    """A class's folder and the split it lies in, "" where it lies in none that is known."""

    path: Path
    split: Split | Literal[""]

    def split_of(self, path: Path) -> Split | Literal[""]:
        """Of a path below it; where it lies in no split itself, by its sub-folder's name."""
        top, *below = path.relative_to(self.path).parts
        return self.split or (SPLIT_LEVELS.get(top.lower(), "") if below else "")


def find(
    root: Path,
    classes: ClassMap,
    *,
    pattern: re.Pattern[str] | None = None,
    area: Area | None = None,
    shows: Shows | None = None,
) -> Found:
    """All files below ROOT/CLASS/, labelled with the grade of their class in the column grade.

    Below ROOT/LEVEL/CLASS/ as well: a level is a folder that is no class and is called like a
    split, or has no other sub-folders than classes. Of a split, it fills the column split, and so
    does a sub-folder of a class that is called like one, as in ROOT/CLASS/SPLIT/.

    pattern: searched in each image's path relative to ROOT; its named groups fill columns. Without
        it, or without a group for the truck, a truck is a cluster of near-duplicates.
    area, shows: the graded area, and whether the files show it or the whole frame.

    The capture time comes from the pattern or from EXIF. Times without a zone are taken as
    Thailand's. Raises DataError for unknown classes and for an image the pattern does not fit.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one with a sub-folder for each grade")
    levels, folders = _levels_and_classes(root, classes)
    if not folders:
        raise DataError(f"{root}: has no sub-folders; give a folder with one for each grade")
    names = [folder.path.name for folder in folders]
    classes.require(names, str(root))
    found = Found(Description(classes=classes.described(names)).showing(area, shows))
    for level in (root, *levels):
        loose = sorted(path for path in level.iterdir() if not path.is_dir())
        found.skips += [Skip(path, "lies in no class's folder", _split(level)) for path in loose]
    dated = 0
    for folder in folders:
        grade = classes.grade(folder.path.name)
        files, links = _files(folder.path)
        why = "a link to a folder, not followed"
        found.skips += [Skip(path, why, folder.split_of(path)) for path in links]
        if grade is None:
            why = f"class {folder.path.name} is left out"
            found.skips += [Skip(path, why, folder.split_of(path)) for path in files]
            continue
        if not files:
            name = folder.path.relative_to(root).as_posix()
            found.notes.append(f"warning: the class folder {name} has no file")
        for path in files:
            split = folder.split_of(path)
            cells: Cells = {"grade": grade, "split": split, **_matched(pattern, path, root)}
            taken_at = "" if cells.get("captured_at") else _taken_at(path)
            dated += bool(taken_at)
            found.images.append(
                (path, {**cells, "captured_at": cells.get("captured_at") or taken_at})
            )
    if dated:
        found.notes.append(f"{dated} images have their capture time from EXIF")
    found.notes += _without_split(found, levels, root)
    return found


def _without_split(found: Found, levels: Sequence[Path], root: Path) -> list[str]:
    """Lines on images that have no split where folders seem to be, or are, splits."""
    names = [path.relative_to(root) for path, cells in found.images if not cells["split"]]
    without = Counter(name.parts[0] for name in names)
    of_all = Counter(path.relative_to(root).parts[0] for path, _ in found.images)
    lines = []
    for level in (level.name for level in levels if without[level.name]):
        which = (
            "its images" if without[level] == of_all[level] else f"{without[level]} of its images"
        )
        lines.append(f"{level} is called like no split; {which} get none")
    inside = {level.name for level in levels}
    loose = [name.as_posix() for name in names if name.parts[0] not in inside]
    if loose and len(names) < len(found.images):
        lines.append(f"{len(loose)} images lie in no split and get none, as {loose[0]}")
    return lines


def _levels_and_classes(root: Path, classes: ClassMap) -> tuple[list[Path], list[ClassFolder]]:
    """Folders of splits, and all classes' folders, in ROOT and in those of splits."""
    levels: list[Path] = []
    folders: list[ClassFolder] = []
    for top in _folders(root):
        below = [] if top.name in classes else _folders(top)
        if below and (_split(top) or all(path.name in classes for path in below)):
            levels.append(top)
            folders += [ClassFolder(path, _split(top)) for path in below]
        else:
            folders.append(ClassFolder(top, ""))
    return levels, folders


def _folders(path: Path) -> list[Path]:
    return sorted(inner for inner in path.iterdir() if inner.is_dir())


def _split(level: Path) -> Split | Literal[""]:
    return SPLIT_LEVELS.get(level.name.lower(), "")


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder, broken links too, and links to folders, which are not followed."""
    paths = sorted(folder.rglob("*"))
    links = [path for path in paths if path.is_symlink() and path.is_dir()]
    return [p for p in paths if p.is_file() or (p.is_symlink() and not p.is_dir())], links


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


def _truck_place(group: str) -> int:
    """truck_2 comes before truck_10."""
    return int(group.removeprefix("truck").removeprefix("_") or 0) if _is_truck(group) else 0


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
    trucks = [tidied(groups[g]) for g in sorted(groups, key=_truck_place) if _is_truck(g)]
    # Where no part was met, nothing is known: not one truck for all such images.
    return {**cells, "truck": "/".join(trucks) if any(trucks) else ""}


def _zoned(text: str, name: str) -> str:
    """An ISO 8601 date or time, with Thailand's zone where it has none."""
    try:
        moment = moments.parse(text)
    except ValueError as error:
        raise DataError(
            f"{name}: captured_at {text!r} is no ISO 8601 date or time; correct --truck-pattern"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=THAI_TIME)).isoformat()


def _taken_at(path: Path) -> str:
    """DateTimeOriginal of EXIF 2.3, ISO 8601; empty where there is none.

    Of a file that cannot be read as well: that is found and told when it is decoded.
    """
    found = images.examine(path, _exif_time)
    return "" if isinstance(found, Skip) else found


def _exif_time(file: ImageFile.ImageFile) -> str:
    exif = file.getexif().get_ifd(ExifTags.IFD.Exif)
    text = str(exif.get(ExifTags.Base.DateTimeOriginal, "")).strip("\0")
    offset = str(exif.get(ExifTags.Base.OffsetTimeOriginal, "+07:00")).strip("\0 ")
    try:
        return datetime.strptime(f"{text}{offset}", "%Y:%m:%d %H:%M:%S%z").isoformat()
    except ValueError:
        return ""
