"""The models of a station: taken in, tried, given a role, watched.

A model's way: a delivery or the repository is verified (`trust.py`), the bundle is tried in a
process of its own (`gate.py`) and moved to the depot; then it grades in the shadow or becomes
active (`roles.py`). Whatever fails, the model that graded goes on grading, and why stands in the
records.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.config import Intent, ModelSection, ShadowSection
from edge_agent.errors import AgentError, DeliveryError, UpdateError
from edge_agent.grading import Done
from edge_agent.inference.lineup import Lineup
from edge_agent.records.ledger import Action, Event, Role
from edge_agent.records.store import Store
from edge_agent.updates import delivery
from edge_agent.updates.depot import Depot
from edge_agent.updates.freshness import Freshness, TrustStatus
from edge_agent.updates.gate import Limits, Report, try_out
from edge_agent.updates.roles import STATION, ModelRoles
from edge_agent.updates.shadowing import Shadowing
from edge_agent.updates.sources import FolderSource, WebSource
from edge_agent.updates.trust import Listed, Listing, Opened, Trust

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 15.0
"""A push that finds another one under way waits so long. Longer than a repository may be silent: a
look at it gives way to a push."""
_SOON_S: Final = 5.0
"""After a look that gave way, the next one."""
_TRIES: Final = 3
"""A model from the repository that a busy PC may have failed is tried so often."""
_USED: Final = (Action.ACTIVATE, Action.SHADOW, Action.ROLL_BACK)


@dataclass(frozen=True)
class Receipt:
    """What became of a bundle that came in.

    role: what it does now, None if it only lies ready. report: of its trial, None if it had none.
    """

    digest: str | None
    accepted: bool
    role: Role | None
    detail: str
    report: Report | None = None


class ModelKeeper:
    """One station's models. Every public method may be called from any thread; those that take
    something in block until it has been tried."""

    def __init__(
        self,
        config: ModelSection,
        folder: Path,
        store: Store,
        lineup: Lineup,
        changed: Callable[[], None],
    ) -> None:
        """folder: for bundles and TUF's metadata. changed: called when there is something new to
        show."""
        self._config = config
        self._ledger = store.models
        self._lineup = lineup
        self._changed = changed
        self.depot = Depot(folder)
        self.roles = ModelRoles(config, store.models, lineup, self.depot, changed)
        rule = config.updates.shadow if config.updates else ShadowSection()
        self.shadowing = Shadowing(rule, store.models, lineup)
        self._tuf = folder / "tuf"
        self._trust: Trust | None = None
        self._freshness = Freshness(config.updates.repository if config.updates else None)
        self._taking = threading.Lock()
        """Held while something is taken in, trial and all."""
        self._pushes = 0
        """That wait for their turn."""
        self._counting = threading.Lock()
        self._gave_way = False
        """Whether the last look at the repository did."""
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="models", daemon=True)

    # ---- life

    def start(self) -> None:
        """Loads the model that graded last, or an earlier one if that is not possible any more.

        Does not raise: without a model trucks are refused, and `fault` says why.
        """
        updates = self._config.updates
        if updates is None:
            self.roles.load_fixed()
            return
        # First of all, and whatever else is wrong: trucks may be waiting.
        self.roles.resume()
        for step in (self.depot.clear, self._begin_trust):
            try:
                step()
            except AgentError as error:
                self._freshness.failed(str(error))
                log.error("%s", error)
        self.shadowing.start(self.roles.watch, self._watch_candidate, self._changed)
        if updates.repository is not None:
            # Without trust too: each look tries root.json anew, which may be mended meanwhile.
            self._poller.start()

    def _begin_trust(self) -> Trust:
        """With the list that a run before has left. Raises AgentError."""
        self._trust = trust = Trust(self.roles.updates.root, self._tuf)
        listing = trust.kept()
        if listing is not None:
            self._freshness.kept(listing, trust.refreshed_at)
            # A crash may have come between the list and what follows from it.
            self.roles.list_only([model.digest for model in listing.models], STATION)
        return trust

    def give_up(self) -> None:
        """Ends a trial under way and lets nothing new in: the agent is about to stop."""
        self._stopping.set()

    def stop(self) -> None:
        """Ends the threads."""
        self.give_up()
        self.shadowing.stop()
        if self._poller.is_alive():
            self._poller.join(10.0)
        # A push that is still under way ends with its trial; the records are closed after it.
        if self._taking.acquire(timeout=10.0):
            self._taking.release()

    # ---- what others ask

    @property
    def active(self) -> str | None:
        """Digest of the model that grades the next truck."""
        engine = self._lineup.active
        return engine.digest if engine else None

    @property
    def fault(self) -> str | None:
        """Why no model is loaded."""
        return self.roles.fault

    def trust_status(self) -> TrustStatus:
        """How fresh the list of signed models is."""
        return self._freshness.status()

    def problems(self) -> list[str]:
        """One plain sentence for each thing that is not well with models."""
        missing = [self.fault] if self.fault and self._lineup.active is None else []
        return missing + self._freshness.problems()

    def uploads(self) -> Path:
        """A folder for deliveries on their way in. Raises UpdateError if the disk refuses."""
        return self.depot.uploads()

    # ---- taking in

    def receive(self, file: Path, actor: str, intent: Intent) -> Receipt:
        """Takes in a delivery: verifies, tries, and lets the bundle do what was asked.

        Raises UpdateError if it is not verified; nothing of it is used then. Raises RecordError.
        """
        _ = self.roles.updates
        with self._in_a_hurry():
            if not self._taking.acquire(timeout=_PATIENCE_S):
                raise UpdateError(
                    "another model is being taken in or tried; push again in a minute"
                )
        try:
            incoming = self.depot.clear_incoming()
            folder = incoming / "delivery"
            delivery.unpack(file, folder)
            opened = self._refresh(FolderSource(folder, "delivery"), actor)
            model = self._pushed(folder, opened.listing)
            if model is None:
                detail = f"signed list taken: {len(opened.listing.models)} models"
                self.roles.note(Event(actor, Action.PUSH, None, True, detail))
                return Receipt(None, True, None, detail)
            return self._take(opened, model, actor, intent)
        except UpdateError as error:
            self.roles.note(Event(actor, Action.PUSH, None, False, str(error)))
            raise
        finally:
            self._taking.release()

    @contextmanager
    def _in_a_hurry(self) -> Iterator[None]:
        with self._counting:
            self._pushes += 1
        try:
            yield
        finally:
            with self._counting:
                self._pushes -= 1

    @property
    def gives_way(self) -> bool:
        """Whether a look at the repository has to end: a push waits, or the agent is to stop."""
        return self._pushes > 0 or self._stopping.is_set()

    @staticmethod
    def _pushed(folder: Path, listing: Listing) -> Listed | None:
        name = next((file.name for file in (folder / "targets").glob("*.bundle")), None)
        if name is None:
            return None
        model = listing.of(name.partition(".")[0])
        if model is None:
            raise UpdateError(
                f"delivery: {name} is not signed for; add it with cane-export repo add and "
                "publish, then push again"
            )
        return model

    def _refresh(self, source: FolderSource | WebSource, actor: str) -> Opened:
        """Verifies a source's metadata and takes the roles of what is no longer signed for."""
        # Where there is none, root.json was not to be used, and may be by now.
        opened = (self._trust or self._begin_trust()).refresh(source)
        self._freshness.refreshed(opened.listing, of_repository=isinstance(source, WebSource))
        self.roles.list_only([model.digest for model in opened.listing.models], actor)
        self._changed()
        return opened

    def _take(self, opened: Opened, model: Listed, actor: str, intent: Intent) -> Receipt:
        known = self._ledger.get(model.digest)
        if known is not None and known.fault is None and self.depot.holds(model.digest):
            # It has passed here: a slow minute must not condemn what grades. A file that has been
            # spoiled since is fetched and tried again.
            report = Report.model_validate(known.trial)
        else:
            report = self._try(opened, model, actor)
        if report.fault is not None:
            return Receipt(model.digest, False, None, f"{model.target}: {report.fault}", report)
        role = self._give_role(model.digest, actor, intent)
        return Receipt(model.digest, True, role, _words(report), report)

    def _try(self, opened: Opened, model: Listed, actor: str) -> Report:
        """Fetches a bundle, tries it, and moves it to the depot if it passed."""
        file = self.depot.incoming / Path(model.target).name
        delivery.require_room(self.depot.folder, model.size_bytes, model.target)
        opened.fetch(model, file)
        report = try_out(file, self._limits(), self._stopping)
        passed = report.fault is None
        if passed:
            # Before its row: what the records know to have passed is on disk.
            self.depot.take(file, model.digest)
        detail = f"{model.target}: {report.fault or _words(report)}"
        self._ledger.add(
            digest=model.digest,
            target=model.target,
            name=report.name,
            version=report.version,
            size_bytes=model.size_bytes,
            fault=report.fault,
            trial=report.model_dump(mode="json"),
            event=Event(actor, Action.TRY, model.digest, passed, detail),
        )
        log.info("model %s the gate: %s", "passed" if passed else "did not pass", detail)
        self.roles.prune(model.digest if passed else None)
        self._changed()
        return report

    def _give_role(self, digest: str, actor: str, intent: Intent) -> Role | None:
        if self.active == digest:
            return Role.ACTIVE
        if intent == "activate" or self.active is None:
            self.roles.activate(digest, actor)
            return Role.ACTIVE
        if intent == "shadow":
            self.roles.shadow(digest, actor)
            return Role.SHADOW
        return None

    def _limits(self) -> Limits:
        updates = self.roles.updates
        return Limits(
            threads=self._config.threads,
            latency_ms=updates.latency_ms,
            timeout_s=updates.timeout_s,
            memory_mb=updates.memory_mb,
        )

    # ---- the repository

    def _poll(self) -> None:
        updates = self.roles.updates
        assert updates.repository is not None  # noqa: S101 - narrows the type
        source = WebSource(updates.repository, give_way=lambda: self.gives_way)
        while not self._stopping.is_set():
            self._gave_way = False
            self.look(source, updates.new_models)
            self._stopping.wait(_SOON_S if self._gave_way else updates.poll_minutes * 60)

    def look(self, source: WebSource, intent: Intent) -> Receipt | None:
        """Looks once at the repository and takes in its newest model, if that is new here.

        Does not raise: what went wrong is shown as a problem and noted once.
        """
        with self._taking:
            try:
                opened = self._refresh(source, STATION)
                newest = self._newest(opened.listing, intent)
                if newest is None:
                    return None
                self.depot.clear_incoming()
                return self._take(opened, newest, STATION, intent)
            except Exception as error:
                if self.gives_way and isinstance(error, DeliveryError):
                    self._gave_way = True
                    return None
                # Whatever it was, the next look may go better, and trucks are graded meanwhile.
                if not isinstance(error, AgentError):
                    log.exception("models: the repository could not be looked at")
                text = " ".join(str(error).split()) or type(error).__name__
                # Offline for a week is one event, not a thousand.
                if self._freshness.failed(text):
                    log.error("models: %s", text)
                    self.roles.note(Event(STATION, Action.PUSH, None, False, text))
                self._changed()
                return None

    def _newest(self, listing: Listing, intent: Intent) -> Listed | None:
        """The model added last, if it is still to be taken in or given its role here."""
        newest = max(listing.models, key=lambda model: model.added_at, default=None)
        if newest is None or newest.digest == self.active:
            return None
        current = listing.of(self.active) if self.active else None
        if current is not None and current.added_at >= newest.added_at:
            return None
        known = self._ledger.get(newest.digest)
        if known is None:
            return newest
        if known.fault is not None:
            tried = self._ledger.count(newest.digest, (Action.TRY,), ok=False)
            again = Report.model_validate(known.trial).transient and tried < _TRIES
            return newest if again else None
        # It has passed and was never used: a crash came between, or it is only to lie ready.
        used = self._ledger.count(newest.digest, _USED, ok=True) > 0
        if used and self.active is None and not self.depot.holds(newest.digest):
            return newest  # it graded until its file was spoiled, and nothing grades now
        return None if used or intent == "hold" else newest

    # ---- watching

    def graded(self, arrival_id: str, done: Done) -> None:
        """To be told of every truck, after its record and before the next. Does not raise."""
        if self._config.updates is not None:
            self.roles.graded(done)
            self.shadowing.offer(arrival_id, done)

    def _watch_candidate(self) -> None:
        """Promotes the candidate, if the stated rule says so. Raises AgentError."""
        rule = self.roles.updates.shadow
        candidate = self._lineup.shadow
        if candidate is None or rule.promote_at is None:
            return
        found = self.shadowing.summary()
        if found is None or found.trucks < rule.trucks or found.agreement is None:
            return
        if found.failed == 0 and found.agreement >= rule.promote_at:
            self.roles.activate(candidate.digest, STATION)


def _words(report: Report) -> str:
    p95 = report.latency_p95_ms
    speed = "not timed" if p95 is None else f"{p95:.1f} ms a truck (95th percentile)"
    return f"{len(report.golden)} golden images, {speed}"
