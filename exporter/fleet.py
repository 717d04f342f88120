"""Pushing to many stations: in waves, each one healthy before the next begins.

What was done stands in a file beside the inventory, so that a roll-out that stopped, or was
stopped, goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edge_agent.config import Intent
from exporter.errors import ExportError
from exporter.push import LIST_S, TRIAL_S, Credentials, push
from training.outputs import write_json

_AT_ONCE: Final = 4
"""Stations of a wave that are pushed to at the same time; mills share a thin line."""
_LOOK_S: Final = 2.0
_MISSED: Final = 3
"""Looks in a row that may go unanswered before a station counts as unhealthy."""


class FleetStation(BaseModel):
    """One station: its name in reports, its address, and the wave it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    url: str = Field(pattern=r"^https?://")
    wave: int = Field(default=1, ge=1)


class Fleet(BaseModel):
    """deploy/fleet.yaml. soak_s: how long a wave must stay healthy before the next one begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(min_length=1)
    soak_s: float = Field(default=600.0, ge=0)
    stations: tuple[FleetStation, ...] = Field(min_length=1)

    @field_validator("stations")
    @classmethod
    def _named_once(cls, value: tuple[FleetStation, ...]) -> tuple[FleetStation, ...]:
        for what in ("name", "url"):
            given = [getattr(station, what) for station in value]
            twice = {each for each in given if given.count(each) > 1}
            if twice:
                raise ValueError(f"{what} {min(twice)} stands there twice")
        return value

    @classmethod
    def read(cls, path: Path) -> Fleet:
        """Raises ExportError with the file, the key and the fault."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ExportError(
                f"{path}: {error.strerror or error}; copy deploy/fleet.example.yaml there"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ExportError(f"{path}: not YAML ({' '.join(str(error).split())[:120]})") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            raise ExportError(f"{path}: {where}: {first['msg']}") from error

    def waves(self) -> list[tuple[int, list[FleetStation]]]:
        """The waves in their order."""
        numbers = sorted({station.wave for station in self.stations})
        return [(n, [s for s in self.stations if s.wave == n]) for n in numbers]


State = Literal["done", "failed", "waiting"]


@dataclass(frozen=True)
class StationResult:
    """What became of one station; `waiting` if the roll-out stopped before it."""

    station: FleetStation
    state: State
    detail: str
    role: str | None = None
    """What the bundle does there since this push; None if it only lies ready."""


class Progress:
    """The file that says which stations are done, for one bundle and what it is to do."""

    def __init__(self, path: Path, digest: str, intent: Intent | None) -> None:
        """Raises ExportError for a file that cannot be read."""
        self._path = path
        self._key = {"digest": digest, "as": intent}
        self._done: dict[str, str] = {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if {name: found[name] for name in self._key} == self._key:
                self._done = dict(found["done"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExportError(
                f"{path}: cannot be read ({error}); delete it to begin anew"
            ) from error

    def said(self, station: FleetStation) -> str | None:
        """What a station that is done said."""
        return self._done.get(station.name)

    def note(self, station: FleetStation, said: str) -> None:
        """Writes that a station is done."""
        self._done[station.name] = said
        self._write()

    def forget(self, station: FleetStation) -> None:
        """Writes that a station is not done after all."""
        if self._done.pop(station.name, None) is not None:
            self._write()

    def _write(self) -> None:
        try:
            write_json(self._path, {**self._key, "done": self._done})
        except OSError as error:
            raise ExportError(
                f"{self._path}: {error.strerror or error}; make its folder writable"
            ) from error


def roll_out(
    fleet: Fleet,
    delivery: Path,
    digest: str,
    credentials: Credentials,
    intent: Intent | None,
    progress: Progress,
    *,
    say: Callable[[str], None],
) -> list[StationResult]:
    """Pushes wave by wave; ends after the first wave in which a station fails.

    A station is done when it took the bundle and stayed healthy for the wave's soak time: ready,
    and the bundle still in the role that it took. Raises ExportError for a file that cannot be
    written; faults of stations stand in the results.
    """
    results: dict[str, StationResult] = {}
    failed = False
    for number, stations in fleet.waves():
        if failed:
            results |= {s.name: StationResult(s, "waiting", "not begun") for s in stations}
            continue
        new = [station for station in stations if progress.said(station) is None]
        say(f"wave {number}: {len(stations)} stations, {len(stations) - len(new)} done before")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for result in pool.map(lambda s: _push_one(s, delivery, credentials, intent), new):
                results[result.station.name] = result
                say(f"  {result.station.name}: {result.detail}")
        taken = [results[s.name] for s in new if results[s.name].state == "done"]
        for name, fault in _soak(fleet, digest, taken).items():
            results[name] = StationResult(results[name].station, "failed", fault)
            say(f"  {name}: {fault}")
        for station in stations:
            if station.name not in results:
                results[station.name] = StationResult(
                    station, "done", progress.said(station) or "done before"
                )
            result = results[station.name]
            if result.state == "done":
                progress.note(station, result.detail)
            else:
                progress.forget(station)
                failed = True
    return [results[station.name] for station in fleet.stations]


def tell_all(
    fleet: Fleet, delivery: Path, credentials: Credentials, *, say: Callable[[str], None]
) -> list[StationResult]:
    """Pushes the signed list alone, to all stations and without waves.

    It lets no model grade that did not before, and what it takes away should be gone soon.
    """
    results: dict[str, StationResult] = {}
    with ThreadPoolExecutor(len(fleet.stations)) as pool:
        told = [
            pool.submit(_push_one, station, delivery, credentials, None, LIST_S)
            for station in fleet.stations
        ]
        for done in as_completed(told):
            result = done.result()
            results[result.station.name] = result
            say(f"  {result.station.name}: {result.detail}")
    return [results[station.name] for station in fleet.stations]


def _push_one(
    station: FleetStation,
    delivery: Path,
    credentials: Credentials,
    intent: Intent | None,
    patience_s: float = TRIAL_S,
) -> StationResult:
    try:
        found = push(delivery, station.url, credentials, intent, patience_s=patience_s)
    except ExportError as error:
        return StationResult(station, "failed", str(error))
    if not found.accepted:
        return StationResult(station, "failed", f"refused: {found.detail}")
    return StationResult(station, "done", found.outcome, role=found.role)


def _soak(fleet: Fleet, digest: str, taken: list[StationResult]) -> dict[str, str]:
    """Watches stations for the soak time. Returns those that did not stay healthy, and why."""
    faults: dict[str, str] = {}
    missed = {result.station.name: 0 for result in taken}
    until = time.monotonic() + fleet.soak_s
    while True:
        # The last look has to be answered: a station that has just gone silent is not well.
        last = time.monotonic() >= until
        for result in taken:
            station = result.station
            if station.name in faults:
                continue
            try:
                fault = _unhealthy(station, digest, result.role)
                missed[station.name] = 0
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                missed[station.name] += 1
                away = missed[station.name] >= (1 if last else _MISSED)
                fault = f"does not answer any more ({error})" if away else None
            if fault is not None:
                faults[station.name] = fault
        if last or len(faults) == len(taken):
            return faults
        time.sleep(min(_LOOK_S, max(0.0, until - time.monotonic())))


def _models(station: FleetStation) -> dict[str, Any]:
    answer = httpx.get(f"{station.url.rstrip('/')}/api/v1/models", timeout=10.0)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def _role_in(models: dict[str, Any], digest: str) -> str | None:
    return next((m["role"] for m in models["models"] if m["digest"] == digest), None)


def _unhealthy(station: FleetStation, digest: str, role: str | None) -> str | None:
    ready = httpx.get(f"{station.url.rstrip('/')}/health/ready", timeout=10.0).json()
    if not ready["ready"]:
        return f"not ready any more: {'; '.join(ready['problems']) or 'no reason given'}"
    models = _models(station)
    now = _role_in(models, digest)
    # A candidate may have become the model meanwhile: it was better, or an engineer said so.
    if role is not None and now != role and (role, now) != ("shadow", "active"):
        why = next((e["detail"] for e in models["events"] if e["action"] != "try"), "")
        return f"the bundle is {now or 'no longer in use'} there, not {role}: {why}"
    return None
