"""How much trash do blends have, and how much have loads?

Prints, in one JSON object, quantiles of the share of trash by grade: of the training loads of a
dataset whose share is known, and of each set of blends that `cane-train synthesize --strength 0`
has made, as far as it was kept.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from refusals import in_one_line

from training import provenance
from training.data.dataset import Dataset

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with a manifest")
    parser.add_argument("--set", type=Path, action="append", required=True, help="several times")
    asked = parser.parse_args()
    found = {
        "benchmark": "blend_shares",
        **provenance.of_result(),
        "quantiles": QUANTILES,
        "loads": shares(asked.data),
        "sets": {folder.name: shares(folder) for folder in asked.set},
    }
    print(json.dumps(found, indent=2))


def shares(folder: Path) -> dict[str, Any]:
    """Of each grade how many training images have a known share, and their quantiles, 0 to 100."""
    dataset = Dataset.open(folder)
    known = defaultdict(list)
    for row, grade in zip(dataset.manifest.rows, dataset.labels.grades, strict=True):
        if row.split == "train" and grade is not None and row.trash_share is not None:
            known[str(grade)].append(row.trash_share)
    return {
        grade: {"n": len(values), "trash": np.quantile(values, QUANTILES).round(1).tolist()}
        for grade, values in sorted(known.items())
    }


if __name__ == "__main__":
    with in_one_line():
        main()
