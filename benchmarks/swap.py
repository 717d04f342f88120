"""How long a pushed model takes to grade, how quickly one goes back, and what trucks notice of it.

A thread grades one picture after the other without a pause, as no station does, so that the time
between two results shows everything that a swap costs. The same thread without a swap is measured
before, in the same run. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from securesystemslib.signer import CryptoSigner
from virtual import BUNDLE, machine, percentile

from edge_agent.config import ModelSection
from edge_agent.inference.lineup import Lineup
from edge_agent.inference.manifest import Manifest
from edge_agent.records.store import Store
from edge_agent.updates.keeper import ModelKeeper
from exporter.push import deliver, find_listed
from exporter.repository.store import ModelRepository

ACTOR = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--pushes", type=int, default=10)
    parser.add_argument("--roll-backs", type=int, default=50)
    given = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        versions = [f"bench-{number}" for number in range(given.pushes + 1)]
        repository = signed(folder / "repo", given.bundle, versions)
        with keeper_of(folder, repository) as (keeper, lineup):
            keeper.receive(delivery(repository, versions[0]), ACTOR, "activate")
            with grading(lineup) as control:
                time.sleep(10.0)
            pushes: list[float] = []
            with grading(lineup) as while_pushing:
                for version in versions[1:]:
                    file = delivery(repository, version)
                    began = time.monotonic()
                    keeper.receive(file, ACTOR, "activate")
                    pushes.append(time.monotonic() - began)
            newest = lineup.active
            assert newest is not None
            pair = (keeper.roles.roll_back(ACTOR), newest.digest)
            swaps: list[float] = []
            with grading(lineup) as while_going_back:
                for number in range(given.roll_backs):
                    began = time.monotonic()
                    keeper.roles.activate(pair[(number + 1) % 2], ACTOR)
                    swaps.append(1000 * (time.monotonic() - began))
    print(
        json.dumps(
            {
                "bundle": given.bundle.name,
                "seconds_from_push_to_active": spread(pushes),
                "milliseconds_to_go_back": spread(swaps),
                "grading_without_a_swap": gaps(control),
                "grading_while_pushing": gaps(while_pushing),
                "grading_while_going_back": gaps(while_going_back),
                "machine": about,
            },
            indent=2,
        )
    )


def signed(folder: Path, bundle: Path, versions: list[str]) -> ModelRepository:
    """A published repository of copies of the bundle that differ in their version alone."""
    root, targets, online = (CryptoSigner.generate_ed25519() for _ in range(3))
    repository = ModelRepository.init(
        folder, [root.public_key], 1, [targets.public_key], 1, online.public_key
    )
    repository.use([root, targets, online])
    for version in versions:
        copy = folder.parent / f"{version}.bundle"
        with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(copy, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "manifest.json":
                    manifest = Manifest.model_validate_json(content)
                    changed = manifest.model_copy(update={"version": version})
                    content = changed.model_dump_json(exclude_none=True).encode()
                new.writestr(name, content)
        repository.add(copy, f"{version}.bundle", {"version": version})
    repository.sign()
    repository.publish()
    return repository


def delivery(repository: ModelRepository, version: str) -> Path:
    out = repository.folder.parent / f"{version}.zip"
    deliver(repository, find_listed(repository, f"{version}.bundle"), out)
    return out


@contextmanager
def keeper_of(folder: Path, repository: ModelRepository) -> Iterator[tuple[ModelKeeper, Lineup]]:
    root = repository.metadata / "1.root.json"
    section = ModelSection.model_validate({"updates": {"root": root, "latency_ms": 5000.0}})
    lineup = Lineup()
    with Store(folder / "records.sqlite") as store:
        keeper = ModelKeeper(section, folder / "models", store, lineup, lambda: None)
        keeper.start()
        yield keeper, lineup
        keeper.stop()


@contextmanager
def grading(lineup: Lineup) -> Iterator[list[float]]:
    """Grades without a pause while the block runs; yields the instants of the results."""
    frame = np.random.default_rng(1).integers(0, 255, (1704, 2272, 3), np.uint8)
    results: list[float] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            graded = lineup.grade(frame, lambda _: nullcontext())
            assert graded is not None
            assert graded.prediction is not None, graded.failed
            results.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield results
    finally:
        done.set()
        thread.join()


def gaps(instants: list[float]) -> dict[str, float]:
    """Milliseconds between results: the median is one grading, the largest is what a truck could
    have waited for."""
    found = [1000 * float(gap) for gap in np.diff(instants)]
    return {
        "gradings": len(instants),
        "median_ms": percentile(found, 50),
        "p99_ms": percentile(found, 99),
        "largest_ms": percentile(found, 100),
    }


def spread(times: list[float]) -> dict[str, float]:
    return {
        "n": len(times),
        "median": percentile(times, 50),
        "largest": percentile(times, 100),
    }


if __name__ == "__main__":
    main()
