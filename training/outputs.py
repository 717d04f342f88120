"""Files that hold the result of much work: they can be written, and are whole."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from training.errors import RunError


def make_way(out: Path) -> None:
    """Makes the folder in which a file is to lie, before the work whose result it holds.

    Raises RunError where no file can be written then: OUT is a folder, or lies under a file or in a
    folder that takes none.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise RunError(f"{out}: is a folder; choose another --out")
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise RunError(
            f"{out}: nothing can be written there ({error.strerror}); choose another --out"
        ) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is to have its name only when it is complete and on the disk: a
    kill, or a power cut, leaves the old one or the new one, never half. Nothing is left of one that
    could not be written. Others may write the same file meanwhile; the last one counts.
    """
    _sweep(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors keeps others from reading
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        with suppress(OSError):  # which would hide the other
            temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replaces a JSON file at once."""
    with whole(path) as file:
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


@cache
def _sweep(folder: Path) -> None:
    """Deletes what kills have left of files there. Nobody writes one for a day."""
    for left in folder.glob(".*.new"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                left.unlink()


def _sync(path: Path) -> None:
    """Brings a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
