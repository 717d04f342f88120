"""The file a run resumes from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from training.errors import RunError
from training.outputs import whole


def write(path: Path, config: Mapping[str, Any], state: dict[str, Any]) -> None:
    """Replaces the file at once.

    config: everything that decides what the run computes, as JSON types.
    """
    with whole(path) as file:
        torch.save({"config": dict(config), **state}, file)


def read(path: Path, config: Mapping[str, Any], *, later: Collection[str] = ()) -> dict[str, Any]:
    """The state that `write` was given, tensors on the CPU.

    later: names that are not compared where the file does not have them, being older.

    Raises RunError when the file is broken or belongs to a run under another configuration.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(content.pop("config"))
    except Exception as error:
        fault = " ".join(str(error).split())[:120]
        raise RunError(
            f"checkpoint {path}: not readable ({fault}); delete it to start afresh"
        ) from error
    for name in dict.fromkeys((*config, *found)):
        if name in later and name not in found:
            continue
        before, now = found.get(name), config.get(name)
        if before != now:
            raise RunError(
                f"{path.parent}: holds a run with {name} {before}, now it is {now}; "
                "give another --out or delete the folder"
            )
    return content
