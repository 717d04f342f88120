"""Intervals by resampling trucks: the views of one truck are not independent of each other.

The cluster bootstrap: trucks are drawn with replacement, each with all its images. See Field and
Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ROUNDS: Final = 2000
LEVEL: Final = 0.95

Floats = npt.NDArray[np.float64]

_CHUNK: Final = 10_000_000
"""So many numbers at a time: 80 MB."""


@lru_cache(maxsize=4)  # a study asks for the same ones hundreds of times
def _draws(trucks: int, rounds: int, seed: int) -> npt.NDArray[np.uint16]:
    """How often each truck was drawn, (rounds, trucks): all that matters of a draw."""
    shares, random = np.full(trucks, 1 / trucks), np.random.default_rng(seed)
    found = np.empty((rounds, trucks), np.uint16)  # of a country's trucks there are many
    for some in _some(rounds, trucks):
        found[some] = random.multinomial(trucks, shares, size=len(found[some]))
    found.setflags(write=False)
    return found


def _some(rounds: int, numbers: int) -> Iterator[slice]:
    """So many rounds at a time, of so many numbers each."""
    step = max(1, _CHUNK // numbers)
    for start in range(0, rounds, step):
        yield slice(start, start + step)


class TruckBootstrap:
    """Rounds in which as many trucks are drawn, with replacement, as there are.

    trucks: the truck of each of n images. The same trucks, rounds and seed give the same draws.
    """

    def __init__(self, trucks: Sequence[str], *, rounds: int = ROUNDS, seed: int = 0) -> None:
        names, self._truck_of = np.unique(np.asarray(trucks, dtype=str), return_inverse=True)
        self.trucks = len(names)
        self.rounds = rounds
        self.seed = seed
        self._draws = _draws(self.trucks, rounds, seed)

    def sums(self, values: npt.NDArray[np.generic]) -> Floats:
        """Sums over the images of each round, (rounds, ...), of values (n, ...)."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        by_truck = np.zeros((self.trucks, flat.shape[1]))
        np.add.at(by_truck, self._truck_of, flat)
        found = [self._draws[some].astype(np.float64) @ by_truck for some in self._rounds()]
        return np.concatenate(found).reshape(self.rounds, *values.shape[1:])

    def weighted(
        self, statistic: Callable[[Floats], Floats], order: npt.NDArray[np.intp]
    ) -> Floats:
        """A statistic of each round, (rounds,), that no sum over images gives.

        `statistic` takes how often each image was drawn, (some rounds, k), of the images `order`
        (k,), in that order.
        """
        trucks = self._truck_of[order]
        return np.concatenate(
            [
                statistic(np.take(self._draws[some], trucks, axis=1).astype(np.float64))
                for some in _some(self.rounds, len(trucks))
            ]
        )

    def _rounds(self) -> Iterator[slice]:
        return _some(self.rounds, self.trucks)

    def figure(self, name: str, found: np.floating[Any] | Floats, drawn: Floats) -> dict[str, Any]:
        """A figure and its interval, `name` and `name_ci`, to four places. What is not defined is
        null and has no interval. drawn: (rounds,), the figure in each round."""
        if np.isnan(found):
            return {name: None, f"{name}_ci": None}
        return {name: round(float(found), 4), f"{name}_ci": self.interval(drawn)}

    def interval(self, values: Floats) -> list[float] | None:
        """The percentile interval of values (rounds,), to four places.

        Rounds in which the figure is not defined (nan) are left out. None where there is but one
        truck, or no round with a figure: nothing can be said then.
        """
        found = values[np.isfinite(values)]
        if self.trucks < 2 or not len(found):
            return None
        return [round(float(q), 4) for q in np.quantile(found, _TAILS)]

    def interval_of_norm(self, drawn: Floats, found: Floats) -> list[float] | None:
        """The interval of sum(|v|) of a vector v, to four places; None where there is one truck.

        drawn (rounds, k): v in each round. found (k,): v itself. Every draw adds noise and noise
        only adds to the sum, so that its own quantiles lie too high. How far v strays is told
        well: sum(|drawn - found|) stays within r in LEVEL of the rounds. By the triangle
        inequality the true sum then is within r of the found one, whatever v is. The level is met
        where v is 0 and exceeded elsewhere.
        """
        if self.trucks < 2:
            return None
        estimate = np.abs(found).sum()
        r = np.quantile(np.abs(drawn - found).sum(-1), LEVEL)
        return [round(max(0.0, float(estimate - r)), 4), round(float(estimate + r), 4)]


_TAILS: Final = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
