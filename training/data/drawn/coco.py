"""COCO's instance annotations (cocodataset.org, "Data format"): polygons, and RLE."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as rle  # type: ignore[import-untyped]

from training.data.drawn.regions import Drawing, Region


def drawings(content: Mapping[str, Any]) -> Iterator[Drawing]:
    """All images of a parsed file. Raises KeyError, TypeError or ValueError for another format."""
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    by_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    for image in content["images"]:
        regions = [
            _region(names[one["category_id"]], one["segmentation"], image)
            for one in by_image[image["id"]]
            if one.get("segmentation")
        ]
        yield Drawing(str(image["file_name"]), int(image["width"]), int(image["height"]), regions)


def _region(label: str, drawn: Any, image: Mapping[str, Any]) -> Region:
    if isinstance(drawn, list):
        corners = (np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in drawn)
        return Region(label, tuple(corners))
    if isinstance(drawn["counts"], list):
        drawn = rle.frPyObjects(drawn, int(image["height"]), int(image["width"]))
    return Region(label, bitmap=rle.decode(drawn).astype(bool))
