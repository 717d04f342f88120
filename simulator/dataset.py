"""Writes a labelled set of rendered images: manifest, images, masks and experts' votes."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from edge_agent.grades import GRADES, Grade
from simulator.regions import STATIONS
from simulator.render import render_graded
from simulator.sprites import folder_digest, load_sprites
from simulator.truth import Truck, draw_truck, expert_votes
from simulator.viewpoints import CAMERAS, GRADED_AREA

SUMMARY_NAME: Final = "dataset.json"
VOTERS: Final = 5
COLUMNS: Final = (
    *("image", "mask", "truck", "camera", "captured_at", "station", "region", "split"),
    *("grade", "burnt_share", "trash_share", "form", "wet", "hour", "cause", "plate"),
    *(f"vote_{k}" for k in range(1, VOTERS + 1)),
    *("difficulty", "look", "seed"),
)
"""Columns of manifest.csv."""

_AHEAD: Final = 4
"""Trucks a worker that are asked for before the first of them is fetched."""
_FIRST_DAY: Final = dt.date(2025, 12, 8)
_THAI_TIME: Final = dt.timezone(dt.timedelta(hours=7))


@dataclass(frozen=True)
class _Job:
    """One truck for one worker."""

    number: int
    truck: Truck
    out: Path
    size: int
    cameras: tuple[str, ...]
    sprites: Path | None


def write_dataset(
    trucks: int,
    out: Path,
    *,
    seed: int = 0,
    difficulty: float = 0.5,
    size: int = 224,
    sprites: Path | None = None,
    look: str = "house",
    cameras: Sequence[str] = ("C301",),
    imbalance: Sequence[float] | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Path:
    """Render `trucks` trucks as square images of the graded area; returns the manifest's path.

    `imbalance` are the shares of the five grades in class order (default: even). `workers`
    defaults to all cores. A run that was interrupted goes on where it stopped when called again
    with the same arguments; the manifest appears only when every image is there. Of a finished
    dataset images that are gone are rendered again, and the manifest stays, as it may have been
    given splits or masks.

    Raises ValueError for a bad argument or an `out` that holds something else, RuntimeError if a
    worker process has died.
    """
    cameras = tuple(cameras)
    if trucks < 1 or size < 32:
        raise ValueError(f"need at least 1 truck and size 32, not {trucks} and {size}")
    unknown = sorted(set(cameras) - set(CAMERAS))
    if unknown or not cameras:
        raise ValueError(f"cameras must be among {', '.join(CAMERAS)}, not {', '.join(unknown)}")
    arguments: dict[str, object] = {
        "trucks": trucks,
        "seed": seed,
        "difficulty": difficulty,
        "size": size,
        "sprites": None if sprites is None else f"{sprites.name} {folder_digest(sprites)[:16]}",
        "look": look,
        "cameras": list(cameras),
        "imbalance": None if imbalance is None else [float(share) for share in imbalance],
        "version": version("canegrade"),
    }
    manifest = out / "manifest.csv"
    fleet = draw_fleet(trucks, seed, difficulty, look, imbalance)
    if sprites is not None:
        load_sprites(sprites)  # fail before any work is done
    for folder in (out, out / "images", out / "masks"):
        folder.mkdir(parents=True, exist_ok=True)
    _claim(out, arguments)
    jobs = [_Job(i, truck, out, size, cameras, sprites) for i, truck in enumerate(fleet)]
    is_finished = manifest.is_file() and (out / SUMMARY_NAME).is_file()
    if is_finished:
        jobs = [job for job in jobs if not all(_is_there(out / p) for p in _files_of(job))]
    rows: list[dict[str, object]] = []
    bar = Progress(
        "[progress.description]{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=quiet,
        transient=False,
    )
    with bar:
        task = bar.add_task("rendering trucks", total=len(jobs))
        for truck_rows in _rendered(jobs, workers):
            rows.extend(truck_rows)
            bar.advance(task)
    if is_finished:
        return manifest
    _write_manifest(manifest, rows)
    summary = {
        **arguments,
        "images": len(rows),
        "graded_area": GRADED_AREA,
        "grades": {g.value: sum(t.grade is g for t in fleet) for g in GRADES},
        "sha256": digest(manifest),
    }
    _replace(out / SUMMARY_NAME, json.dumps(summary, indent=2) + "\n")
    return manifest


def draw_fleet(
    trucks: int,
    seed: int,
    difficulty: float,
    look: str = "house",
    imbalance: Sequence[float] | None = None,
) -> list[Truck]:
    """The trucks of a dataset: about twelve a station and day, arriving one after the other.

    Raises ValueError when `imbalance` is not five shares of at least 0 that sum above 0.
    """
    shares = np.asarray([1.0] * len(GRADES) if imbalance is None else imbalance, np.float64)
    if shares.shape != (len(GRADES),) or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError(f"imbalance must be {len(GRADES)} shares of at least 0, not {imbalance}")
    rng = np.random.default_rng([seed, 31])
    names = list(STATIONS)
    shifts = max(3, -(-trucks // 12))
    fleet = []
    for i in range(trucks):
        shift = i % shifts
        grade = GRADES[int(rng.choice(len(GRADES), p=shares / shares.sum()))]
        fleet.append(
            draw_truck(
                rng,
                difficulty,
                grade,
                look,
                station=names[shift % len(names)],
                day=_FIRST_DAY + dt.timedelta(days=shift // len(names)),
            )
        )
    return fleet


def captured_at(truck: Truck) -> dt.datetime:
    """When this truck was on the scale, UTC."""
    midnight = dt.datetime.combine(truck.day, dt.time(), _THAI_TIME)
    moment = midnight + dt.timedelta(seconds=round(truck.hour * 3600))
    return moment.astimezone(dt.UTC)


def digest(manifest: Path) -> str:
    """SHA-256 over the manifest and, in its order, every image and mask."""
    total = hashlib.sha256(manifest.read_bytes())
    with manifest.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            total.update((manifest.parent / row["image"]).read_bytes())
            total.update((manifest.parent / row["mask"]).read_bytes())
    return total.hexdigest()


def _rendered(jobs: list[_Job], workers: int | None) -> Iterator[list[dict[str, object]]]:
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    if workers <= 1:
        yield from map(_render_job, jobs)
        return
    # Spawn, not fork: OpenCV's threads do not survive a fork. An executor, not a pool: that waits
    # for ever for what a worker that was killed had in hand.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread)
    waiting: deque[Future[list[dict[str, object]]]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(_render_job, job))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process has died, perhaps for want of memory; start again, it goes on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _render_job(job: _Job) -> list[dict[str, object]]:
    """Render one truck's images unless they are there already; its manifest rows."""
    truck = job.truck
    votes = expert_votes(truck, np.random.default_rng([truck.seed, 30]), VOTERS)
    sprites = None if job.sprites is None else load_sprites(job.sprites)
    rows: list[dict[str, object]] = []
    files = iter(_files_of(job))
    for camera in job.cameras:
        image, mask = next(files), next(files)
        if not (_is_there(job.out / image) and _is_there(job.out / mask)):
            view = render_graded(truck, camera, job.size, sprites)
            _save(job.out / mask, view.mask)
            _save(job.out / image, view.image)
        rows.append(_row(truck, _name(job), camera, image, mask, votes))
    return rows


def _name(job: _Job) -> str:
    return f"{job.truck.station}-{job.number:06d}"


def _files_of(job: _Job) -> list[str]:
    """Image and mask of each camera, as the manifest has them."""
    folders = ("images", "masks")
    return [f"{folder}/{_name(job)}-{camera}.png" for camera in job.cameras for folder in folders]


def _is_there(path: Path) -> bool:
    """A power cut may leave a file with its name and nothing in it."""
    return path.is_file() and path.stat().st_size > 0


def _row(
    truck: Truck, name: str, camera: str, image: str, mask: str, votes: list[Grade]
) -> dict[str, object]:
    return {
        "image": image,
        "mask": mask,
        "truck": name,
        "camera": camera,
        "captured_at": captured_at(truck).isoformat(),
        "station": truck.station,
        "region": truck.region,
        "split": "",
        "grade": truck.grade.value,
        "burnt_share": f"{truck.burnt_share:.4f}",
        "trash_share": f"{truck.trash_share:.2f}",
        "form": truck.form,
        "wet": f"{truck.wet:.3f}",
        "hour": f"{truck.hour:.3f}",
        "cause": truck.cause or "",
        "plate": f"{truck.plate} {truck.province}",
        **{f"vote_{k}": vote.value for k, vote in enumerate(votes, start=1)},
        "difficulty": truck.difficulty,
        "look": truck.look,
        "seed": truck.seed,
    }


def _save(path: Path, image: np.ndarray) -> None:
    done, png = cv2.imencode(".png", image)
    if not done:
        raise OSError(f"cannot encode {path.name}")
    part = path.with_suffix(".part")
    part.write_bytes(png.tobytes())
    part.replace(path)


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _write_manifest(path: Path, rows: list[dict[str, object]]) -> None:
    part = path.with_suffix(".csv.part")
    with part.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def _claim(out: Path, arguments: dict[str, object]) -> None:
    """Mark the folder with what is being written, or refuse one that holds something else."""
    ticket = out / "arguments.json"
    if ticket.is_file():
        if json.loads(ticket.read_text(encoding="utf-8")) != arguments:
            raise ValueError(f"{out} holds a dataset made with other arguments: choose another")
        return
    for name in ("manifest.csv", "manifest.parquet", SUMMARY_NAME):
        if (out / name).exists():
            raise ValueError(f"{out} holds a dataset that is none of cane-sim's: choose another")
    _replace(ticket, json.dumps(arguments, indent=2) + "\n")
