"""Where the demo's agent has its model from: a file, or a signed repository of the demo's own.

The repository is kept as a mill would keep one, by `cane-export`, but all its keys lie in one
folder, and its engineer's password is known to everybody.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

ENGINEER: Final = "engineer"
PASSWORD: Final = "sugarcane-demo"  # noqa: S105 - of the demo, which listens on this PC alone

_KEYS: Final = ("root", "targets", "online")
_LATENCY_MS: Final = 5000.0
"""The demo renders trucks on the same PC: what is tried there must not be refused for that."""
_TIMEOUT_S: Final = 120.0


class Models(Protocol):
    """How the demo's agent comes to its model."""

    def settings(self) -> dict[str, Any]:
        """Sections of station.yaml. Raises RuntimeError if they cannot be made."""

    def bring(self, url: str) -> None:
        """Brings the model to an agent that has just begun to answer. Raises RuntimeError."""


class FixedModel:
    """A bundle on the agent's own disk."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle.resolve()

    def settings(self) -> dict[str, Any]:
        """See `Models`."""
        return {"model": {"bundle": str(self._bundle)}}

    def bring(self, url: str) -> None:
        """It is there."""


class SignedModel:
    """A bundle in a repository, pushed to the agent by its engineer."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        """folder: of the repository and its keys; what is there is used again."""
        self._bundle = bundle.resolve()
        self.repository = folder.resolve() / "models-repository"
        self._keys = folder.resolve() / "models-keys"

    def settings(self) -> dict[str, Any]:
        """See `Models`. Signs the bundle, and that it is the newest list."""
        if not (self.repository / "metadata" / "1.root.json").exists():
            self._begin()
        self._export("repo", "add", self.repository, self._bundle, "--sign", self._key("targets"))
        self._export("repo", "publish", self.repository, "--online-key", self._key("online"))
        hashed = _run("edge_agent", "password", "--stdin", given=PASSWORD)
        name, _, phc = hashed.strip().partition(": ")
        return {
            "model": {
                "updates": {
                    "root": str(self.repository / "metadata" / "1.root.json"),
                    "latency_ms": _LATENCY_MS,
                }
            },
            "access": {"users": [{"name": ENGINEER, "role": "engineer", name: phc}]},
        }

    def bring(self, url: str) -> None:
        """See `Models`. Leaves the agent be where it already has a model: somebody may have chosen
        another one."""
        try:
            found = httpx.get(f"{url}/api/v1/models", timeout=10.0).raise_for_status().json()
        except httpx.HTTPError as error:
            raise RuntimeError(f"{url}: does not say which models it has ({error})") from error
        if found["active"] is None:
            self._export(
                *("push", self._bundle, "--repo", self.repository, "--as", "activate"),
                *("--station", url, "--user", ENGINEER),
            )

    def _begin(self) -> None:
        for name in _KEYS:
            for file in (self._key(name), self._public(name)):
                file.unlink(missing_ok=True)
            self._export("repo", "key", self._key(name))
        with contextlib.suppress(OSError):
            self.repository.rmdir()
        self._export(
            *("repo", "init", self.repository, "--root-threshold", "1"),
            *("--root-key", self._public("root"), "--targets-key", self._public("targets")),
            *("--online-key", self._public("online")),
            *("--sign", self._key("root"), "--sign", self._key("targets")),
        )
        self._export("repo", "publish", self.repository, "--online-key", self._key("online"))

    def _key(self, name: str) -> Path:
        return self._keys / f"{name}.pem"

    def _public(self, name: str) -> Path:
        return self._keys / f"{name}.pem.pub"

    @staticmethod
    def _export(*words: object) -> None:
        _run("exporter", *words, environment={"CANEGRADE_PASSWORD": PASSWORD})


def _run(
    package: str,
    *words: object,
    given: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a command says. Raises RuntimeError with its last line if it fails."""
    # A passphrase of the mill's own keys is none of the demo's.
    inherited = {k: v for k, v in os.environ.items() if k != "CANEGRADE_PASSPHRASE"}
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", package, *map(str, words)],
            input=given,
            env=inherited | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{package} {words[0]}: no answer for {_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RuntimeError(said[-1] if said else f"{package}: exit code {done.returncode}")
    return done.stdout
