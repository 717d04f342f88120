"""Folders of stages: what is finished is used again, what is half done goes on.

Each stage has a folder in the run directory, named by what decides its result: its section of the
configuration and the stages it builds on. Variants thus share what they have in common, and no
stage can be taken for another one's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.alone import alone
from training.errors import RunError, WeightsError
from training.outputs import whole, write_json

RUN_NAME: Final = "run.json"
DONE_NAME: Final = "done.json"


@dataclass(frozen=True)
class Stage:
    """One stage of a run. key: decides its result; goes into its folder's name and checkpoint."""

    folder: Path
    key: str

    @classmethod
    def of(cls, out: Path, name: str, config: Mapping[str, Any], *after: Stage) -> Self:
        """The stage of this configuration (JSON types) that builds on those before it."""
        decides = json.dumps([name, dict(config), [stage.key for stage in after]], sort_keys=True)
        key = hashlib.sha256(decides.encode()).hexdigest()
        return cls(out / f"{name}-{key[:8]}", key)

    def done(self) -> dict[str, Any] | None:
        """What the stage wrote when it was done; None where it is not. Raises RunError."""
        file = self.folder / DONE_NAME
        if not file.exists():
            return None
        content = read_done(self.folder)
        if content.get("key") != self.key:
            raise RunError(f"{file}: of another stage; delete {self.folder} and run again")
        return content

    def finish(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Writes that the stage is done, as its last file; returns what `done` will."""
        told = {"key": self.key, **content}
        write_json(self.folder / DONE_NAME, told)
        return told


def read_done(folder: Path) -> dict[str, Any]:
    """What a stage wrote when it was done. Raises RunError, also where it is not."""
    file = folder / DONE_NAME
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: not readable; delete {folder} and run again") from error


def open_run(
    out: Path,
    identity: Mapping[str, Any],
    say: Callable[[str], None],
    deadline: float = math.inf,
) -> None:
    """Makes the run directory, or checks that it is of the same data.

    identity: what all stages rest on, as JSON types. What an earlier version has not written of it
    is taken to have been as now. say, deadline: see `alone`. Raises RunError.
    """
    file = out / RUN_NAME
    # Hidden are locks, and what a kill has left of this file.
    named = {there.name for there in out.glob("[!.]*")}
    if named and file.name not in named:
        raise RunError(
            f"{out}: is no run of cane-train synthesize and not empty; give another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    with alone(out, say, deadline=deadline):
        found = _identity_in(file) if file.exists() else {}
        for name, value in identity.items():
            if found.get(name, value) != value:
                raise RunError(
                    f"{out}: holds a synthesis with {name} {found.get(name)}, now it is {value}; "
                    "give another --out"
                )
        if identity.keys() - found.keys():
            write_json(file, {**found, **identity})


def _identity_in(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: not readable; give another --out") from error


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Writes an .npy file, under its name only when complete."""
    with whole(path) as file, file.open("wb") as stream:
        np.save(stream, array)


def load_array(path: Path) -> npt.NDArray[Any]:
    """Reads what `save_array` wrote. Raises RunError."""
    try:
        return np.asarray(np.load(path))
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path}: missing or broken; delete {path.parent} and run again") from error


def save_weights(
    path: Path, weights: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file, under its name only when complete."""
    with whole(path) as file:
        save_file({name: t.contiguous().cpu() for name, t in weights.items()}, file, metadata)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Reads what `save_weights` wrote, onto the CPU. Raises WeightsError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"weights {path}: missing or broken; delete {path.parent} and run again"
        ) from error
