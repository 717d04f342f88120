"""CVAT's own format, "CVAT for images 1.1": polygons, rectangles, and masks as run lengths."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from training.data.drawn.regions import Drawing, Region


def drawings(root: Element) -> Iterator[Drawing]:
    """All images of a parsed file. Raises KeyError or ValueError for another format."""
    if root.tag != "annotations":
        raise ValueError(f"its root is {root.tag}, not annotations")
    for image in root.iter("image"):
        width, height = int(image.attrib["width"]), int(image.attrib["height"])
        regions = [
            _region(shape, width, height)
            for shape in sorted(image, key=lambda shape: int(shape.get("z_order", "0")))
            if shape.tag in ("polygon", "box", "mask")
        ]
        yield Drawing(image.attrib["name"], width, height, regions)


def _region(shape: Element, width: int, height: int) -> Region:
    label, given = shape.attrib["label"], shape.attrib
    if shape.tag == "polygon":
        corners = [point.split(",") for point in given["points"].split(";")]
        return Region(label, (np.array(corners, np.float64),))
    if shape.tag == "box":
        left, top, right, bottom = (float(given[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        box = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return Region(label, (np.array(box),))
    return Region(label, bitmap=_bitmap(shape, width, height))


def _bitmap(shape: Element, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Run lengths over the rows of the mask's own rectangle, beginning with what is not in it."""
    left, top, across, down = (int(shape.attrib[n]) for n in ("left", "top", "width", "height"))
    ends = list(accumulate(int(run) for run in shape.attrib["rle"].split(",")))
    part = np.zeros(across * down, bool)
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        part[start:end] = True
    whole = np.zeros((height, width), bool)
    whole[top : top + down, left : left + across] = part.reshape(down, across)
    return whole
