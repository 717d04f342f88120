"""Where do a classifier's errors lie? Beside the borders between grades, or far from them?

Takes what `cane-train evaluate` left beside its metrics for a rendered dataset, whose shares of
burnt stalks and of trash are known, and prints one JSON object. Of each model:

- wrong_pct: of all loads, against the simulator's rule;
- across: of the wrong ones, which border was crossed: burnt (fresh for burnt or the reverse),
  trash, both, or that of undefined;
- burnt, trash: by how far a load's share is from the border, in parts of what lies on either side
  of it: loads, wrong_pct (across this border), part_of_wrong_pct (of all that crossed it). Cane
  only, and what was called cane.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from refusals import in_one_line

from edge_agent.grades import GRADES
from simulator.truth import BURNT_LIMIT, TRASH_LIMIT
from training import provenance
from training.data import tables
from training.data.dataset import Dataset
from training.predictions import Predictions

EDGES: Final = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
_TRASH_MOST: Final = 75.0
"""The simulator's largest share of trash."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def distance(shares: Floats, limit: float, most: float) -> Floats:
    """From the border, 0 to 1: 1 is a load that is nothing but the one thing, or the other."""
    beyond = shares >= limit
    return np.where(beyond, (shares - limit) / (most - limit), (limit - shares) / limit)


def bands(apart: Floats, crossed: Bools) -> list[dict[str, Any]]:
    """What lies in each band of EDGES."""
    found = []
    for low, high in pairwise(EDGES):
        inside = (apart >= low) & ((apart < high) | (high == EDGES[-1]))
        found.append(
            {
                "from": low,
                "to": high,
                "loads": int(inside.sum()),
                "wrong_pct": _pct(crossed[inside]),
                "part_of_wrong_pct": _pct(inside[crossed]),
            }
        )
    return found


def borders(said: Predictions, rows: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The figures of one model. rows: the manifest's, by image."""
    truth = [grade for grade in said.truth if grade is not None]
    guess = [GRADES[index] for index in said.guesses("truth")]
    pairs = list(zip(truth, guess, strict=True))
    is_cane = np.array([t.is_sugarcane and g.is_sugarcane for t, g in pairs])
    burnt = np.array([t.is_burnt is not g.is_burnt for t, g in pairs]) & is_cane
    trash = np.array([t.has_trash is not g.has_trash for t, g in pairs]) & is_cane
    wrong = np.array([t is not g for t, g in pairs])
    share = {
        name: np.array([float(rows[image][name]) for image in said.images])
        for name in ("burnt_share", "trash_share")
    }
    of_burnt = distance(share["burnt_share"], BURNT_LIMIT, 1.0)
    of_trash = distance(share["trash_share"], TRASH_LIMIT, _TRASH_MOST)
    return {
        "images": len(wrong),
        "wrong_pct": _pct(wrong),
        "across": {
            "burnt_pct": _pct((burnt & ~trash)[wrong]),
            "trash_pct": _pct((trash & ~burnt)[wrong]),
            "both_pct": _pct((burnt & trash)[wrong]),
            "undefined_pct": _pct(~is_cane[wrong]),
        },
        "burnt": bands(of_burnt[is_cane], burnt[is_cane]),
        "trash": bands(of_trash[is_cane], trash[is_cane]),
    }


def _pct(which: Bools) -> float | None:
    return round(100 * float(which.mean()), 1) if len(which) else None


def main() -> None:
    """Prints the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of cane-sim dataset")
    parser.add_argument("evaluated", type=Path, nargs="+", help="folders with predictions.csv")
    asked = parser.parse_args()
    with in_one_line():
        dataset = Dataset.open(asked.data)
        columns, cells = tables.read(dataset.manifest.path)
        several = {folder: Predictions.read(folder) for folder in asked.evaluated}
    if missing := {"grade", "burnt_share", "trash_share"} - set(columns):
        raise SystemExit(f"{asked.data}: no column {', '.join(sorted(missing))}; render a dataset")
    rows = {row["image"]: dict(row) for row in cells}
    for folder, said in several.items():
        if None in said.truth:
            raise SystemExit(f"{folder}: has images whose true grade is not known")
        # Sets of the simulator have images of the same names: the truth tells them apart.
        if [rows.get(i, {}).get("grade") or None for i in said.images] != list(said.truth):
            raise SystemExit(f"{folder}: its predictions are not of the images in {asked.data}")
    print(
        json.dumps(
            {
                "benchmark": "error_borders",
                **provenance.of_result(),
                "data": dataset.digest,
                "models": {str(folder): borders(said, rows) for folder, said in several.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
