"""Files that commands write at the end of much work."""

from __future__ import annotations

import json
import tempfile
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


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON at once."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)
