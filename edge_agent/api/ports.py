"""What the API and the console need of a station; edge_agent.station.Station provides it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from edge_agent.access import Users
from edge_agent.config import StationConfig
from edge_agent.errors import RecordError
from edge_agent.records.evidence import EvidenceFolder
from edge_agent.records.models import Arrival
from edge_agent.records.store import Store
from edge_agent.status import StationStatus
from edge_agent.updates.keeper import ModelKeeper

STORE_FAULTS: Final = (RecordError, SQLAlchemyError)
"""What reading or writing records can raise when the disk or the database is in trouble."""


class StationPort(Protocol):
    """A running station, as seen from HTTP. Every member may be used from any thread."""

    @property
    def config(self) -> StationConfig:
        """The station's configuration."""

    @property
    def store(self) -> Store:
        """The record store."""

    @property
    def users(self) -> Users:
        """Who may change models."""

    @property
    def models(self) -> ModelKeeper:
        """The station's models."""

    @property
    def evidence(self) -> EvidenceFolder:
        """The folder of evidence images."""

    @property
    def revision(self) -> int:
        """Grows when an arrival is accepted or gets its outcome, or a camera changes state."""

    def status(self) -> StationStatus:
        """How the station is right now; cheap."""

    def announce(
        self,
        *,
        source: str,
        ticket: str | None = None,
        plate: str | None = None,
        province: str | None = None,
        grower: str | None = None,
        weight_kg: float | None = None,
        weighed_at: datetime | None = None,
    ) -> tuple[Arrival, bool]:
        """Commits an arrival and queues its grading; blocks until committed.

        weighed_at: when the truck stood on the scale, if not now.
        Returns the arrival and True, or the known one and False for a ticket known already.
        Raises RecordError if it could not be committed.
        """

    def wait_for(self, arrival_id: str, timeout_s: float) -> Arrival | None:
        """Blocks until the arrival has an outcome, at most timeout_s; None if it has none then."""
