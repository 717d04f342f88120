"""How often is a blend by segment named after the wrong grade?

Blends the training loads of a rendered dataset by their masks, level by level, and compares what a
blend is said to be with what the simulator's rule makes of the trash on it, in one JSON object:

- level_wrong_pct: said by the level alone, trashy from 50 on;
- level_wrong_of_clean_pct: the same, of those it calls clean;
- mask_wrong_pct: said by the share of trash that the blend's mask shows, and the boundary that
  masks and labels of the training loads have taught.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from refusals import in_one_line

from simulator.truth import TRASH_LIMIT
from training import provenance
from training.data.dataset import Dataset
from training.synthesis import blend, segment
from training.synthesis.planner import Planner


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of cane-sim dataset")
    parser.add_argument("--blends", type=int, default=1100, help="of each pair of grades")
    parser.add_argument("--size", type=int, default=96, help="px")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    dataset = Dataset.open(asked.data).split(asked.seed)
    train = dataset.load("train", asked.size)
    folder, cut = dataset.manifest.folder, dataset.description.cut
    masks = segment.Masks.of(train, folder, cut).masks
    if len(masks) < len(train):
        raise SystemExit(f"{asked.data}: {len(train) - len(masks)} images have no mask")
    planner = Planner(train, masks, seed=asked.seed)
    if planner.boundary is None:
        raise SystemExit(f"{asked.data}: its masks do not tell clean and trashy loads apart")
    found = {}
    for clean in blend.PAIRS:
        drawn = blend.plan(
            train, asked.blends, clean, blend.LEVELS, seed=asked.seed, method="segment"
        )
        bases = [planner.of_blend(number, clean, one) for number, one in enumerate(drawn)]
        trashy = np.array([base.trash >= TRASH_LIMIT for base in bases])
        by_level = np.array([base.level >= blend.BOUNDARY for base in bases])
        by_mask = np.array([base.grade is not clean for base in bases])
        found[f"{clean} to {blend.PAIRS[clean]}"] = {
            "blends": len(bases),
            "level_wrong_pct": round(100 * float((by_level != trashy).mean()), 1),
            "level_wrong_of_clean_pct": round(100 * float(trashy[~by_level].mean()), 1),
            "mask_wrong_pct": round(100 * float((by_mask != trashy).mean()), 1),
        }
    print(
        json.dumps(
            {
                "benchmark": "blend_labels",
                **provenance.of_result(),
                "data": dataset.digest,
                "seed": asked.seed,
                "size": asked.size,
                "boundary": asdict(planner.boundary),
                "pairs": found,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    with in_one_line():
        main()
