"""How near a set of synthetic images is to real ones, in a feature space that the caller names.

FID: Heusel et al. 2017 (arXiv:1706.08500). KID: Binkowski et al. 2018 (arXiv:1801.01401), the
unbiased estimate, which unlike FID does not grow as images get fewer. Precision and recall:
Kynkaanniemi et al. 2019 (arXiv:1904.06991). Density and coverage: Naeem et al. 2020
(arXiv:2002.09797).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

NEIGHBOURS: Final = 5
LEAST: Final = NEIGHBOURS + 1
"""So many real and so many synthetic images are needed."""

_ROWS: Final = 1024
"""So many at a time: distances of all to all would not fit into the memory of large sets."""

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.intp]


def scores(real: Features, synthetic: Features) -> dict[str, float] | None:
    """All of them, of features (n, d) and (m, d); None where there are fewer than LEAST of a kind.

    fid, kid: 0 is alike. precision: share of synthetic images among the real ones; recall: share
    of real images among the synthetic ones; coverage: share of real images with a synthetic one
    near. density: as precision, but 1 is as dense as real ones and more is possible.
    """
    if min(len(real), len(synthetic)) < LEAST:
        return None
    real_radius, synthetic_radius = _radii(real), _radii(synthetic)
    hits = np.zeros(len(synthetic), np.int64)
    reached, covered = np.zeros((2, len(real)), bool)
    for rows, squared in _squared(real, synthetic):
        apart = np.sqrt(squared)
        hits += (apart < real_radius[rows, None]).sum(0)
        reached[rows] = (apart < synthetic_radius[None]).any(1)
        covered[rows] = apart.min(1) < real_radius[rows]
    return {
        "fid": fid(real, synthetic),
        "kid": kid(real, synthetic),
        "precision": float((hits > 0).mean()),
        "recall": float(reached.mean()),
        "density": float(hits.mean() / NEIGHBOURS),
        "coverage": float(covered.mean()),
    }


def fid(real: Features, synthetic: Features) -> float:
    """The Frechet distance of two Gaussians with these features' means and covariances."""
    a, b = real.astype(np.float64), synthetic.astype(np.float64)
    gap = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    a, b = (x - x.mean(0) for x in (a, b))
    a, b = a / np.sqrt(len(a) - 1), b / np.sqrt(len(b) - 1)
    # With A = a'a and B = b'b the trace of sqrt(AB) is the sum of the singular values of ab', a
    # far smaller matrix than A where there are fewer images than features; where there are more,
    # the triangles of their QR decompositions have the same.
    a, b = (np.asarray(np.linalg.qr(x, "r")) if len(x) > x.shape[1] else x for x in (a, b))
    mixed = float(np.linalg.svd(a @ b.T, compute_uv=False).sum())
    return max(0.0, gap + float((a**2).sum() + (b**2).sum()) - 2 * mixed)


def kid(real: Features, synthetic: Features) -> float:
    """The squared maximum mean discrepancy under the kernel (x.y / d + 1)^3; may be below 0."""
    a, b = real.astype(np.float64), synthetic.astype(np.float64)

    def summed(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
        return sum(float(_kernel(x[rows] @ y.T, x.shape[1]).sum()) for rows in _blocks(len(x)))

    within = 0.0
    for x in (a, b):
        of_itself = float(_kernel((x**2).sum(1), x.shape[1]).sum())
        within += (summed(x, x) - of_itself) / (len(x) * (len(x) - 1))
    return within - 2 * summed(a, b) / (len(a) * len(b))


def nearest(
    features: Features, among: Features, *, apart: tuple[Groups, Groups] | None = None
) -> npt.NDArray[np.float64]:
    """Each one's distance (n,) to the nearest of `among` (m, d).

    apart: of the n and of the m what they belong to; only what belongs elsewhere counts, and where
    there is nothing it is infinitely far.
    """
    found = []
    for rows, squared in _squared(features, among):
        if apart is not None:
            squared[apart[0][rows, None] == apart[1][None]] = np.inf
        found.append(np.sqrt(squared.min(1)))
    return np.concatenate(found)


def _radii(features: Features) -> npt.NDArray[np.float64]:
    """Each one's distance (n,) to its fifth neighbour."""
    found = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(features)
    return np.asarray(found.kneighbors(features)[0][:, -1], np.float64)


def _squared(a: Features, b: Features) -> Iterator[tuple[slice, Floats]]:
    """Squared distances of some rows of a (n, d), and of which, to all of b (m, d)."""
    y = b.astype(np.float64)
    lengths = (y**2).sum(1)[None]
    for rows in _blocks(len(a)):
        x = a[rows].astype(np.float64)
        yield rows, np.maximum((x**2).sum(1)[:, None] + lengths - 2 * x @ y.T, 0.0)


def _kernel(products: Floats, dimensions: int) -> Floats:
    return np.asarray((products / dimensions + 1) ** 3)


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, max(1, count), _ROWS):
        yield slice(start, start + _ROWS)
