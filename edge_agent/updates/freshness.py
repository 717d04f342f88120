"""How fresh the list of signed models is, and what is wrong with renewing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edge_agent.updates.trust import Listing


@dataclass(frozen=True)
class TrustStatus:
    """refreshed_at: when the list was verified last. problem: why the last look at the repository
    failed, or trust could not begin; None after a success."""

    repository: str | None
    refreshed_at: datetime | None
    expires_at: datetime | None
    problem: str | None


class Freshness:
    """What is known of the list; assignments of single values, so it needs no lock."""

    def __init__(self, repository: str | None) -> None:
        self._repository = repository
        self._refreshed_at: datetime | None = None
        self._expires_at: datetime | None = None
        self._problem: str | None = None

    def kept(self, listing: Listing, refreshed_at: datetime | None) -> None:
        """Begins with what a run before has left."""
        self._expires_at = listing.expires_at
        self._refreshed_at = refreshed_at

    def refreshed(self, listing: Listing, *, of_repository: bool) -> None:
        """A refresh went through. A push says nothing of the repository's address, unless there is
        none."""
        self._expires_at = listing.expires_at
        self._refreshed_at = datetime.now(UTC)
        if of_repository or self._repository is None:
            self._problem = None

    def failed(self, problem: str) -> bool:
        """A look failed. Returns whether that is news."""
        news = problem != self._problem
        self._problem = problem
        return news

    def status(self) -> TrustStatus:
        """What there is to show."""
        return TrustStatus(self._repository, self._refreshed_at, self._expires_at, self._problem)

    def problems(self) -> list[str]:
        """One plain sentence for each thing that is not well."""
        found = [f"models: {self._problem}"] if self._problem is not None else []
        expires = self._expires_at
        if expires is not None and expires <= datetime.now(UTC):
            found.append(
                f"models: the signed list has expired on {expires:%Y-%m-%d %H:%M} UTC; the station "
                "grades on with the model it has: publish anew, and let it look"
            )
        return found
