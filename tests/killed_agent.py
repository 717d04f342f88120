"""`python tests/killed_agent.py STEP station.yaml`: an agent that dies by SIGKILL at that step of
taking in a model. Everything else of it is the real agent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge_agent.config import StationConfig
from edge_agent.inference.lineup import Lineup
from edge_agent.records.ledger import ModelLedger, Role
from edge_agent.serve import serve
from edge_agent.updates import delivery, keeper
from edge_agent.updates.depot import Depot
from edge_agent.updates.roles import STATION
from edge_agent.updates.trust import Opened, Trust


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Dies where that function is called."""
    real = getattr(owner, name)
    setattr(owner, name, lambda *a, **k: _die() if when(*a, **k) else real(*a, **k))


def _after(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Dies where that function has done its work."""
    real = getattr(owner, name)

    def then_die(*args: Any, **more: Any) -> Any:
        result = real(*args, **more)
        if when(*args, **more):
            _die()
        return result

    setattr(owner, name, then_die)


def _becomes_active(_: ModelLedger, role: Role, *__: object) -> bool:
    return role is Role.ACTIVE


STEPS: Final[dict[str, Callable[[], None]]] = {
    "unpacked": lambda: _after(delivery, "unpack"),
    "verified": lambda: _after(Trust, "refresh"),
    "fetched": lambda: _after(Opened, "fetch"),
    "tried": lambda: _after(keeper, "try_out"),
    "taken": lambda: _after(Depot, "take"),
    "noted": lambda: _after(ModelLedger, "add"),
    "before-commit": lambda: _before(ModelLedger, "assign", _becomes_active),
    "after-commit": lambda: _after(ModelLedger, "assign", _becomes_active),
    "swapped": lambda: _after(
        Lineup, "activate", lambda lineup, *_, **__: lineup.reserve is not None
    ),
}
"""In their order; from after-commit on the new model is the one that grades."""

OTHER_STEPS: Final[dict[str, Callable[[], None]]] = {
    # At a start the station takes over again what it had.
    "listed": lambda: _after(ModelLedger, "list_only", lambda _, __, actor: actor != STATION),
}
"""Of taking over a list from which something has been revoked: it is known, and grades still."""


if __name__ == "__main__":
    (STEPS | OTHER_STEPS)[sys.argv[1]]()
    serve(StationConfig.read(Path(sys.argv[2])))
