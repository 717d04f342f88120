"""The studio: renders and encodes trucks ahead, on all cores, one camera a task."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from edge_agent.grades import GRADES
from simulator.feed import CameraSpec
from simulator.scenes import Scene, make_scene
from simulator.sprites import load_sprites
from simulator.truth import Truck, draw_truck

_AHEAD = 2
"""How many trucks are rendered ahead of the one on the scale."""

Take = tuple[Truck, dict[str, Scene]]
"""A truck with its scene in each camera."""


class Studio:
    """A context manager that has its worker processes while it is open."""

    def __init__(
        self,
        cameras: tuple[CameraSpec, ...],
        *,
        seed: int,
        difficulty: float,
        size: tuple[int, int],
        sprites: Path | None = None,
        workers: int | None = None,
    ) -> None:
        """size: width and height of the pictures in pixels. workers: as many as cores if None.

        Raises OSError or ValueError if the sprites cannot be read.
        """
        self._cameras = cameras
        self._difficulty = difficulty
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._sprites = load_sprites(sprites) if sprites else None
        self._pool = ProcessPoolExecutor(
            workers or os.cpu_count() or 1, mp_context=get_context("spawn"), initializer=_be_nice
        )

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()  # what it renders, nobody waits for any more

    def takes(self, trucks: int | None) -> Iterator[Take]:
        """So many trucks in order, or without end; those to come are rendered meanwhile.

        Raises RuntimeError if a worker process has died.
        """
        numbers = iter(range(trucks)) if trucks is not None else itertools.count()
        waiting: list[tuple[Truck, dict[str, Future[Scene]]]] = []
        while True:
            waiting += map(self._begin, itertools.islice(numbers, _AHEAD - len(waiting)))
            if not waiting:
                return
            truck, futures = waiting.pop(0)
            scenes = {camera: future.result() for camera, future in futures.items()}
            # Before the truck is weighed, which takes a while.
            waiting += map(self._begin, itertools.islice(numbers, 1))
            yield truck, scenes

    def _begin(self, number: int) -> tuple[Truck, dict[str, Future[Scene]]]:
        # One grade after the other, so that the first minutes show them all.
        grade = GRADES[number % len(GRADES)]
        truck = draw_truck(self._rng, self._difficulty, grade)
        return truck, {
            spec.camera: self._pool.submit(
                make_scene, truck, spec, size=self._size, sprites=self._sprites
            )
            for spec in self._cameras
        }


def _be_nice() -> None:
    os.nice(10)
    # Ctrl-C is for the parent, which ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
