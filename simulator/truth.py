"""What is true about a virtual truck, the rule that grades it, and experts who look at it.

Everything random comes from the generator passed in, so the same seed gives the same truck.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from edge_agent.grades import GRADES, Grade
from simulator.regions import PROVINCES, STATIONS

Form = Literal["whole", "billets"]
Cause = Literal["empty", "tarpaulin", "unreadable"]

LOOKS: Final = ("house", "other")
"""Rendering styles: "house" for training, "other" as an external test set."""

BURNT_LIMIT: Final = 0.5
"""A load is burnt from this share of burnt stalks on."""

TRASH_LIMIT: Final = 30.0
"""A load has trash from this percentage of its visible surface on."""

_SEASON_START: Final = dt.date(2025, 12, 1)
_SEASON_DAYS: Final = 120


@dataclass(frozen=True)
class Truck:
    """A truck with known truth. Equal trucks render to equal pictures.

    Trucks with the same station and day share scenery and weather.
    """

    seed: int
    grade: Grade
    burnt_share: float
    """Share of the stalks burnt before cutting, 0 to 1."""
    trash_share: float
    """Percentage of the visible load covered by tops, leaves, sheaths and soil, 0 to 100."""
    region: str
    hour: float
    """Local time of day, 0 to 24."""
    form: Form
    wet: float
    """0 dry to 1 just rained on."""
    cause: Cause | None
    """Why the grade is UNDEFINED; None for sugarcane."""
    plate: str
    """Prefix and number as on the plate, for example "82-1234"."""
    province: str
    """Province in Thai, as on the plate."""
    difficulty: float
    look: str = "house"
    station: str = "KK1"
    day: dt.date = _SEASON_START


def grade_of(burnt_share: float, trash_share: float, cause: Cause | None = None) -> Grade:
    """The rule: burnt from BURNT_LIMIT on, trash from TRASH_LIMIT on, UNDEFINED with a cause.

    Raises ValueError when a share is out of its range.
    """
    if not 0.0 <= burnt_share <= 1.0:
        raise ValueError(f"burnt_share must be within 0..1, not {burnt_share}")
    if not 0.0 <= trash_share <= 100.0:
        raise ValueError(f"trash_share must be within 0..100, not {trash_share}")
    if cause is not None:
        return Grade.UNDEFINED
    return Grade.of(burnt=burnt_share >= BURNT_LIMIT, trash=trash_share >= TRASH_LIMIT)


def _margin(rng: np.random.Generator, difficulty: float) -> float:
    """Distance from a limit, 0 (on it) to 1 (as far as it goes). Hard sets crowd the limit."""
    easy = rng.beta(9.0, 1.8)
    hard = 0.06 + 0.94 * rng.beta(1.25, 1.35)
    weight = difficulty**0.7
    return float((1 - weight) * easy + weight * hard)


def _hour(rng: np.random.Generator, difficulty: float) -> float:
    """Mills take cane day and night; easy sets keep to the light."""
    if rng.random() < 0.08 + 0.34 * difficulty:
        return float((18.6 + rng.random() * 11.0) % 24.0)
    return float(6.6 + rng.random() * 11.2)


def draw_plate(rng: np.random.Generator) -> str:
    """A Thai truck plate: hire 60-79, private 50-59 or 80-99, then four digits."""
    prefix = int(rng.integers(60, 80)) if rng.random() < 0.3 else int(rng.integers(80, 100))
    if rng.random() < 0.15:
        prefix = int(rng.integers(50, 60))
    return f"{prefix}-{int(rng.integers(1, 10000)):04d}"


def draw_truck(
    rng: np.random.Generator,
    difficulty: float,
    grade: Grade | None = None,
    look: str = "house",
    *,
    station: str | None = None,
    day: dt.date | None = None,
    hour: float | None = None,
    form: Form | None = None,
) -> Truck:
    """Draw a truck; what is not given is drawn too.

    Grades are drawn evenly unless `grade` is given; burnt and trash shares are drawn on the
    grade's side of the limits, closer to them the higher `difficulty` (0 to 1) is.
    Raises ValueError for a difficulty outside 0..1, an unknown look or an unknown station.
    """
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"difficulty must be within 0..1, not {difficulty}")
    if look not in LOOKS:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, not {look!r}")
    if station is not None and station not in STATIONS:
        raise ValueError(f"station must be one of {', '.join(STATIONS)}, not {station!r}")
    seed = int(rng.integers(0, 2**31 - 1))
    drawn_grade = GRADES[int(rng.integers(len(GRADES)))]
    grade = drawn_grade if grade is None else grade
    drawn_station = list(STATIONS)[int(rng.integers(len(STATIONS)))]
    station = drawn_station if station is None else station
    drawn_day = _SEASON_START + dt.timedelta(days=int(rng.integers(_SEASON_DAYS)))
    drawn_hour = _hour(rng, difficulty)
    drawn_form: Form = "billets" if rng.random() < 0.45 else "whole"
    wet = float(rng.random() ** 0.7) if rng.random() < 0.06 + 0.24 * difficulty else 0.0

    burnt, trash = (_margin(rng, difficulty), _margin(rng, difficulty))
    causes: tuple[Cause, ...] = ("empty", "tarpaulin", "unreadable")
    cause = causes[int(rng.integers(3))] if grade is Grade.UNDEFINED else None
    is_burnt = grade.is_burnt if grade.is_burnt is not None else bool(rng.random() < 0.3)
    has_trash = grade.has_trash if grade.has_trash is not None else bool(rng.random() < 0.5)
    burnt_share = BURNT_LIMIT * (1 + burnt) if is_burnt else BURNT_LIMIT * (1 - burnt) * 0.98
    trash_share = (
        TRASH_LIMIT + (75.0 - TRASH_LIMIT) * trash
        if has_trash
        else TRASH_LIMIT * (1 - trash) * 0.98
    )
    region = STATIONS[station]
    provinces = PROVINCES[region]
    return Truck(
        seed=seed,
        grade=grade_of(burnt_share, trash_share, cause),
        burnt_share=burnt_share,
        trash_share=trash_share,
        region=region,
        hour=drawn_hour if hour is None else hour,
        form=drawn_form if form is None else form,
        wet=wet,
        cause=cause,
        plate=draw_plate(rng),
        province=provinces[int(rng.integers(len(provinces)))],
        difficulty=difficulty,
        look=look,
        station=station,
        day=drawn_day if day is None else day,
    )


def expert_votes(truck: Truck, rng: np.random.Generator, n: int = 5) -> list[Grade]:
    """What n experts say. Expert k has the same bias on every truck; each look is noisy too.

    Bias and noise are in units of the sampled range of each share. The noise has heavy tails
    (Student's t), so errors grow smoothly as a load nears a limit but never quite vanish. The
    people are the same at every difficulty; harder loads lie closer to the limits.
    """
    votes = []
    for k in range(n):
        bias = np.random.default_rng(9000 + k).normal(0.0, 0.015, 2)
        noise = rng.standard_t(1.5, 2) * 0.032
        slip, wrong = rng.random(), int(rng.integers(4))
        mistaken = 0.006 + 0.008 * truck.difficulty
        if truck.cause is not None:
            # A glimpse of cane under a tarpaulin or through blur tempts some experts to grade.
            votes.append(GRADES[wrong] if slip < 4 * mistaken else Grade.UNDEFINED)
            continue
        burnt = float(np.clip(truck.burnt_share + bias[0] + noise[0], 0.0, 1.0))
        trash = float(np.clip(truck.trash_share + 75.0 * (bias[1] + noise[1]), 0.0, 100.0))
        votes.append(Grade.UNDEFINED if slip < mistaken else grade_of(burnt, trash))
    return votes
