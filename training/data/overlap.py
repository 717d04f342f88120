"""Do two datasets share images?"""

from __future__ import annotations

from pathlib import Path

from training.data.manifest import Manifest
from training.errors import DataError
from training.provenance import sha256


def require_disjoint(data: Path, beside: Path) -> None:
    """Raises DataError where a file of the second dataset is one of the first's.

    By content: a simulator names the trucks of every set alike. Byte by byte: a copy that was
    written anew, in another size or format, is not noticed. Files that are missing are passed over.
    """
    known = {sha256(image): image for image in Manifest.read(data).images if image.is_file()}
    for image in Manifest.read(beside).images:
        if image.is_file() and (twin := known.get(sha256(image))):
            raise DataError(
                f"{image}: is {twin} of {data}; take other images, such as those rendered with "
                "another --seed"
            )
