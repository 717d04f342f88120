"""From an annotation tool's export to mask files and the manifest's column `mask`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final, Literal
from xml.etree.ElementTree import ParseError

import cv2
import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse as parse_xml

from training.data import images
from training.data.description import Area, Description
from training.data.drawn import coco, cvat, label_studio
from training.data.drawn.regions import Drawing
from training.data.manifest import Manifest
from training.data.tables import Cells
from training.data.trash import STALK, TRASH, trash_share
from training.errors import DataError
from training.outputs import whole

Tool = Literal["coco", "cvat", "label-studio"]

VALUES: Final[Mapping[str, int]] = MappingProxyType(
    {"other": 0, "stalk": STALK, "trash": TRASH, "leaf": TRASH}
)
"""Grey values of masks by the labels' usual names; see `training.synthesis.segment`."""
FOLDER: Final = "masks"


@dataclass(frozen=True)
class Drawn:
    """What an import did. unknown: images of the export that the manifest does not name."""

    masks: int
    unknown: tuple[str, ...]


def import_masks(
    data: Path, export: Path, tool: Tool, labels: Mapping[str, int] | None = None
) -> Drawn:
    """Writes a mask for each image that the export has regions of, and names it in the manifest,
    with its share of trash where the manifest has none.

    What nobody drew on is of value 0, the rest. Later regions cover earlier ones. labels: values of
    further label names, or of the usual ones by another choice.

    Raises DataError when the export cannot be read, a label has no value, an image has another size
    there, a name fits several images, or none of its images is in the manifest. Nothing is written
    then.
    """
    manifest = Manifest.read(data)
    values = {**VALUES, **(labels or {})}
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(manifest.rows):
        by_name[PurePosixPath(row.image).name].append(number)
    cut = Description.read(manifest.folder).cut
    cells = list(manifest.cells)
    made: dict[int, bytes] = {}
    unknown = []
    for drawing in _read(export, tool):
        found = _row_of(drawing.image, manifest, by_name, export)
        if found is None:
            unknown.append(drawing.image)
        elif drawing.regions:
            mask = _mask(drawing, manifest.images[found], values, export)
            made[found] = coded(mask)
            share = _share(mask, manifest.cells[found], manifest, cut)
            cells[found] = {**manifest.cells[found], "trash_share": share}
    if not made:
        raise DataError(
            f"{export}: no image of {manifest.path} has a region in it"
            + (f"; it names {unknown[0]}, for one" if unknown else "")
        )
    columns = tuple(dict.fromkeys((*manifest.columns, "mask", "trash_share")))
    write_masks(replace(manifest, columns=columns, cells=tuple(cells)), made)
    return Drawn(len(made), tuple(unknown))


def coded(mask: Any) -> bytes:
    """The PNG file of a mask, uint8 (height, width)."""
    return cv2.imencode(".png", mask)[1].tobytes()


def write_masks(manifest: Manifest, masks: Mapping[int, bytes]) -> None:
    """Writes masks, `coded` and by row number, and the manifest that names them."""
    (manifest.folder / FOLDER).mkdir(exist_ok=True)
    cells = list(manifest.cells)
    for number, mask in masks.items():
        # By row number: names may be the same in several folders.
        name = f"{FOLDER}/{number:06d}-{PurePosixPath(manifest.rows[number].image).stem}.png"
        with whole(manifest.folder / name) as file:  # an earlier manifest may name it already
            file.write_bytes(mask)
        cells[number] = {**cells[number], "mask": name}
    columns = tuple(dict.fromkeys((*manifest.columns, "mask")))
    empty = dict.fromkeys(columns, "")
    replace(manifest, columns=columns, cells=tuple({**empty, **row} for row in cells)).write()


def _share(mask: Any, row: Cells, manifest: Manifest, cut: Area | None) -> str:
    """What the row is to say of its trash: what somebody knew, or what the mask shows; "" of a mask
    without a load. What an earlier mask showed is not known any better."""
    known = row.get("trash_share", "")
    if known and row.get("mask"):
        before = cv2.imread(str(manifest.folder / row["mask"]), cv2.IMREAD_UNCHANGED)
        known = "" if before is not None and known == _shown(before, cut) else known
    return known or _shown(mask, cut)


def _shown(mask: Any, cut: Area | None) -> str:
    if cut is not None:
        mask = images.cut_out(mask, cut)
    return f"{trash_share(mask):.2f}" if mask.any() else ""


def _read(export: Path, tool: Tool) -> Iterator[Drawing]:
    """One by one: all regions of all images would be more than fits into the memory."""
    parsers: dict[Tool, Callable[[], Iterator[Drawing]]] = {
        "coco": lambda: coco.drawings(json.loads(export.read_text("utf-8"))),
        "cvat": lambda: cvat.drawings(parse_xml(export).getroot()),
        "label-studio": lambda: label_studio.drawings(json.loads(export.read_text("utf-8"))),
    }
    try:
        yield from parsers[tool]()
    except OSError as error:
        raise DataError(f"{export}: {error.strerror or error}; check the path") from error
    except (
        *(ValueError, KeyError, TypeError, IndexError, AttributeError),
        *(ParseError, DefusedXmlException),
    ) as error:
        raise DataError(
            f"{export}: not an export of {tool} that is understood ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:80]}); choose its format, or export it again"
        ) from error


def _row_of(
    image: str, manifest: Manifest, by_name: Mapping[str, Sequence[int]], export: Path
) -> int | None:
    """The row of an image, by its path or, where only one has it, by its name."""
    path = PurePosixPath(image.replace("\\", "/"))
    same = by_name.get(path.name, ())
    exact = [n for n in same if PurePosixPath(manifest.rows[n].image) == path]
    if len(exact or same) > 1:
        raise DataError(
            f"{export}: {image} fits {len(exact or same)} rows of {manifest.path}; export with "
            "the images' paths"
        )
    return next(iter(exact or same), None)


def _mask(drawing: Drawing, image: Path, values: Mapping[str, int], export: Path) -> Any:
    size = images.size_of(image)
    if isinstance(size, images.Skip):
        raise DataError(f"{export}: {drawing.image}: {image} cannot be read: {size.reason}")
    if size != (drawing.width, drawing.height):
        raise DataError(
            f"{export}: {drawing.image} is {drawing.width} x {drawing.height} there, {image} is "
            f"{size[0]} x {size[1]}; draw on the images that the manifest names"
        )
    mask = np.zeros((drawing.height, drawing.width), np.uint8)
    for region in drawing.regions:
        value = values.get(region.label, values.get(region.label.casefold()))
        if value is None:
            raise DataError(
                f"{export}: {drawing.image} has a region called {region.label!r}; say what it is: "
                f"--label '{region.label}=1' (0 the rest, 1 stalk, 2 leaf and trash)"
            )
        region.paint(mask, value)
    return mask
