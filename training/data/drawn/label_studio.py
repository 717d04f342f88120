"""Label Studio's JSON export: polygons, rectangles and brush strokes of one task an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from mimetypes import guess_type
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from training.data.drawn.regions import Drawing, Region


def drawings(tasks: Sequence[Mapping[str, Any]]) -> Iterator[Drawing]:
    """All tasks that have an annotation; of several, the last one that was not cancelled.

    Raises KeyError, TypeError, IndexError or ValueError for another format.
    """
    for task in tasks:
        valid = [a for a in task["annotations"] if not a.get("was_cancelled")]
        results = [r for r in valid[-1]["result"] if "original_width" in r] if valid else []
        if not results:
            continue
        width, height = int(results[0]["original_width"]), int(results[0]["original_height"])
        regions = [region for result in results for region in _regions(result, width, height)]
        yield Drawing(_image_of(task, results[0].get("to_name")), width, height, regions)


def _image_of(task: Mapping[str, Any], drawn_on: str | None) -> str:
    """The image's name.

    drawn_on: the name of the image's tag in the labelling interface, which is mostly that of the
    field; there may be text in others, such as a truck's number.
    """
    fields = {name: value for name, value in task["data"].items() if isinstance(value, str)}
    texts = [fields[drawn_on]] if drawn_on in fields else list(fields.values())
    names = [_name_at(text) for text in texts]
    if len(names) > 1:
        names = [n for n in names if (guess_type(n)[0] or "").startswith("image/")]
    if len(names) != 1:
        raise ValueError(f"{len(names)} fields of task {task.get('id')} name an image, not 1")
    return names[0]


def _name_at(address: str) -> str:
    """Of a file. Uploaded ones have eight hexadecimal digits put before theirs."""
    query = dict(p.split("=", 1) for p in urlsplit(address).query.split("&") if "=" in p)
    name = unquote(query.get("d", urlsplit(address).path))
    if "/upload/" in name:
        before, dash, rest = PurePosixPath(name).name.partition("-")
        return rest if dash and len(before) == _UPLOAD_DIGITS else PurePosixPath(name).name
    return name.lstrip("/")


_UPLOAD_DIGITS: Final = 8


def _regions(result: Mapping[str, Any], width: int, height: int) -> Iterator[Region]:
    kind, value = result["type"], result["value"]
    if kind not in ("polygonlabels", "rectanglelabels", "brushlabels"):
        return
    for label in value[kind]:
        if kind == "brushlabels":
            yield Region(label, bitmap=_brush(value["rle"], width, height))
            continue
        if kind == "polygonlabels":
            corners = np.array(value["points"], np.float64)
        else:
            left, top, across, down = (float(value[n]) for n in ("x", "y", "width", "height"))
            corners = np.array(
                [
                    (left, top),
                    (left + across, top),
                    (left + across, top + down),
                    (left, top + down),
                ]
            )
        yield Region(label, (corners * (width / 100, height / 100),))  # they are in per cent


def _brush(coded: Sequence[int], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Bytes of a bit stream that packs the runs of an RGBA image; alpha says what is painted.

    32 bits: how many values; 5 bits: bits of a value, less 1; four times 4 bits: sizes of run
    lengths, less 1. Then runs: 1 bit whether one value is repeated, 2 bits which size the length
    has, the length less 1, and the value or values.
    """
    bits = np.unpackbits(np.asarray(coded, np.uint8))
    at = 0

    def read(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("its brush strokes are cut short")
        number = 0
        for bit in bits[at : at + count].tolist():
            number = number << 1 | bit
        at += count
        return number

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    if (total, word) != (width * height * 4, 8):
        raise ValueError(f"its brush strokes are not of an image of {width} x {height}")
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        if repeated:
            values[done : done + length] = read(word)
        else:
            values[done : done + length] = [read(word) for _ in range(length)]
        done += length
    return np.asarray(values.reshape(height, width, 4)[..., 3] > 127)
