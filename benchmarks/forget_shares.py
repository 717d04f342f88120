"""A rendered folder in which people drew masks of a few training loads only.

Writes OUT/manifest.csv over the images of --data, which stay where they are. Of the training loads
the share --keep, drawn at random, keep `mask` and `trash_share`; the others lose both, or, with
--keep-masks, `trash_share` alone: blends are then made by masks without a fault. Validation and
test loads keep theirs, so that the level is calibrated and measured on the same as ever.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from refusals import in_one_line

from training.data.dataset import Dataset
from training.data.manifest import MANIFEST_NAME, Manifest, manifest_file


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of cane-sim dataset")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keep", type=float, default=0.1, help="share of the training loads")
    parser.add_argument("--keep-masks", action="store_true", help="of all loads")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    if not 0 < asked.keep <= 1:
        raise SystemExit(f"--keep {asked.keep:g}: write a share above 0 and at most 1")
    if manifest_file(asked.out).exists():
        raise SystemExit(f"{asked.out}: has a manifest already; choose another --out")
    dataset = Dataset.open(asked.data)
    manifest = dataset.manifest
    training = [i for i, row in enumerate(manifest.rows) if row.split == "train"]
    if not training:
        raise SystemExit(f"{asked.data}: has no splits; run cane-train data split")
    order = np.random.default_rng(asked.seed).permutation(training)
    forgotten = set(order[round(asked.keep * len(training)) :].tolist())
    asked.out.mkdir(parents=True, exist_ok=True)
    nothing = dict.fromkeys(("trash_share",) if asked.keep_masks else ("mask", "trash_share"), "")
    cells = tuple(
        {**row, **nothing} if i in forgotten else row
        for i, row in enumerate(manifest.cells_seen_from(asked.out))
    )
    dataset.description.write(asked.out)
    Manifest(asked.out / MANIFEST_NAME, manifest.columns, cells, ()).write()
    print(f"{len(training) - len(forgotten)} of {len(training)} training loads keep their share")


if __name__ == "__main__":
    with in_one_line():
        main()
