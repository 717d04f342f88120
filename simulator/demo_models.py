"""Where the demo's agent has its model from: a file, or a signed repository of the demo's own.

The repository is kept as a mill would keep one, by `cane-export`, but all its keys lie in one
folder, and its engineer's password is known to everybody.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

log = logging.getLogger(__name__)

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
        """folder: the agent's data_dir, for the repository and its keys too; what is there is used
        again."""
        self._bundle = bundle.resolve()
        self._folder = folder.resolve()
        self.repository = self._folder / "models-repository"
        self._keys = self._folder / "models-keys"

    def settings(self) -> dict[str, Any]:
        """See `Models`. Signs the bundle, and that it is the newest list."""
        begun = (self.repository / "metadata" / "timestamp.json").exists()
        if not begun or self._is_other():
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
        """See `Models`. A bundle that the agent has had before does what somebody has let it do."""
        try:
            found = httpx.get(f"{url}/api/v1/models", timeout=10.0).raise_for_status().json()
        except httpx.HTTPError as error:
            raise RuntimeError(f"{url}: does not say which models it has ({error})") from error
        known = self._digest() in {model["digest"] for model in found["models"]}
        if known and found["active"] is not None:
            self._push(url, "--list")
            if found["active"] != self._digest():
                log.info("models: another one than %s grades, see %s/models", self._bundle, url)
        else:
            self._push(url, self._bundle, "--as", "activate")

    def _push(self, url: str, *what: object) -> None:
        station = ("--station", url, "--user", ENGINEER)
        self._export("push", *what, "--repo", self.repository, *station)

    def _digest(self) -> str:
        try:
            with self._bundle.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise RuntimeError(f"{self._bundle}: {error.strerror or error}") from error

    def _is_other(self) -> bool:
        """Whether another bundle of the same name and version is listed: the demo's has changed."""
        listed = {file.name for file in (self.repository / "targets").glob("*.bundle")}
        try:
            with zipfile.ZipFile(self._bundle) as archive:
                manifest = json.loads(archive.read("manifest.json"))
            name = f"{manifest['name']}-{manifest['version']}.bundle"
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
            return False  # cane-export says what is wrong with it
        taken = any(file.partition(".")[2] == name for file in listed)
        return taken and f"{self._digest()}.{name}" not in listed

    def _begin(self) -> None:
        """Makes keys and repository anew; the agent forgets what it knew of one before."""
        for old in (self.repository, self._keys, self._folder / "models" / "tuf"):
            shutil.rmtree(old, ignore_errors=True)
        for name in _KEYS:
            self._export("repo", "key", self._key(name))
        self._export(
            *("repo", "init", self.repository, "--root-threshold", "1"),
            *("--root-key", self._public("root"), "--targets-key", self._public("targets")),
            *("--online-key", self._public("online")),
            *("--sign", self._key("root"), "--sign", self._key("targets")),
        )

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
