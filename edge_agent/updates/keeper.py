"""The models of a station: taken in, tried, swapped, watched and rolled back.

A model's way: a delivery or the repository is verified (`trust.py`), the bundle is tried in a
process of its own (`gate.py`) and moved to the depot; then it grades in the shadow or becomes
active. Becoming active is one commit in the records, then one assignment in memory (`Lineup`): a
crash before the commit leaves the old model, after it the new one, and each truck is graded by one
of them. Whatever fails, the model that graded goes on grading, and why stands in the records.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from edge_agent.config import ModelSection, ShadowSection, UpdatesSection
from edge_agent.errors import AgentError, BundleError, RecordError, UpdateError
from edge_agent.grading import Done
from edge_agent.inference.engine import Engine
from edge_agent.inference.lineup import Lineup
from edge_agent.records.ledger import Action, Event, Role
from edge_agent.records.store import Store
from edge_agent.updates import delivery, watchdog
from edge_agent.updates.depot import Depot
from edge_agent.updates.gate import Limits, Report, try_out
from edge_agent.updates.shadowing import Shadowing
from edge_agent.updates.sources import FolderSource, WebSource
from edge_agent.updates.trust import Listed, Listing, Opened, Trust

log = logging.getLogger(__name__)

STATION: Final = "station"
"""The actor of what the agent does by itself."""

Intent = Literal["activate", "shadow", "hold"]


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


@dataclass(frozen=True)
class TrustStatus:
    """How fresh the list of signed models is.

    problem: why the last look at the repository or delivery failed, None after a success.
    """

    repository: str | None
    refreshed_at: datetime | None
    expires_at: datetime | None
    problem: str | None


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
        self._tuf = folder / "tuf"
        self._trust: Trust | None = None
        self._listing: Listing | None = None
        self._refreshed_at: datetime | None = None
        self._problem: str | None = None
        self.fault: str | None = None
        """Why no model is loaded."""
        self._taking = threading.Lock()
        """Held while something is taken in, trial and all."""
        self._swapping = threading.Lock()
        """Held for a commit and a swap: never for long, because grading may wait for it."""
        self._stopping = threading.Event()
        rule = config.updates.shadow if config.updates else ShadowSection()
        self._shadowing = Shadowing(rule, self._ledger, lineup, self._after_truck)
        self._poller = threading.Thread(target=self._poll, name="models", daemon=True)

    # ---- life

    def start(self) -> None:
        """Loads the model that graded last, or an earlier one if that is not possible any more.

        Does not raise: without a model trucks are refused, and `fault` says why.
        """
        updates = self._config.updates
        if updates is None:
            self._load_fixed()
            return
        try:
            self.depot.clear()
            self._trust = Trust(updates.root, self._tuf)
            self._listing = self._trust.kept()
            self._resume()
        except AgentError as error:
            self._problem = str(error)
            self.fault = self.fault or str(error)
            log.error("%s", error)
        self._shadowing.start()
        if updates.repository is not None and self._trust is not None:
            self._poller.start()

    def stop(self) -> None:
        """Ends the threads; a trial under way is given up by the process's end."""
        self._stopping.set()
        self._shadowing.stop()

    def _load_fixed(self) -> None:
        bundle = self._config.bundle
        assert bundle is not None  # noqa: S101 - narrows the type; the settings see to it
        try:
            engine = Engine.load(bundle, self._config.threads)
        except BundleError as error:
            self.fault = str(error)
            log.error("%s", error)
        else:
            self._lineup.activate(engine)
            _log_model("model", engine)

    def _resume(self) -> None:
        roles = self._ledger.roles()
        active = roles.get(Role.ACTIVE)
        if active is None:
            self.fault = "no model yet: push one with cane-export push"
        else:
            self._resume_active(active.digest)
        candidate = roles.get(Role.SHADOW)
        if candidate is not None:
            try:
                self._lineup.watch(self._load(candidate.digest))
            except UpdateError as error:
                self._release(STATION, str(error))

    def _resume_active(self, digest: str) -> None:
        try:
            engine = self._load(digest)
        except UpdateError as error:
            log.error("%s", error)
            self._ledger.note(Event(STATION, Action.FAIL, digest, False, str(error)))
            self._fall_back(digest, str(error))
        else:
            self._lineup.activate(engine)
            _log_model("model", engine)

    # ---- what others ask

    @property
    def active(self) -> str | None:
        """Digest of the model that grades the next truck."""
        engine = self._lineup.active
        return engine.digest if engine else None

    def trust_status(self) -> TrustStatus:
        """How fresh the list of signed models is."""
        updates = self._config.updates
        listing = self._listing
        return TrustStatus(
            repository=updates.repository if updates else None,
            refreshed_at=self._refreshed_at,
            expires_at=listing.expires_at if listing else None,
            problem=self._problem,
        )

    def problems(self) -> list[str]:
        """One plain sentence for each thing that is not well with models."""
        found = [self.fault] if self.fault and self._lineup.active is None else []
        if self._problem is not None and self._problem != self.fault:
            found.append(f"models: {self._problem}")
        listing = self._listing
        if listing is not None and listing.expires_at <= datetime.now(UTC):
            found.append(
                f"models: the signed list has expired on {listing.expires_at:%Y-%m-%d %H:%M} UTC; "
                "the station grades on with the model it has: publish anew, and let it look"
            )
        return found

    def uploads(self) -> Path:
        """A folder for deliveries on their way in. Raises UpdateError if the disk refuses."""
        return self.depot.uploads()

    # ---- taking in

    def receive(self, file: Path, actor: str, intent: Intent) -> Receipt:
        """Takes in a delivery: verifies, tries, and lets the bundle do what was asked.

        Raises UpdateError if it is not verified; nothing of it is used then.
        """
        with self._taking:
            try:
                incoming = self.depot.clear_incoming()
                folder = incoming / "delivery"
                delivery.unpack(file, folder)
                opened = self._refresh(FolderSource(folder, "delivery"), actor)
                model = self._pushed(folder, opened.listing)
                if model is None:
                    return self._told(Receipt(None, True, None, "metadata taken"), actor)
                return self._take(opened, model, actor, intent)
            except UpdateError as error:
                self._note(Event(actor, Action.PUSH, None, False, str(error)))
                raise

    @staticmethod
    def _pushed(folder: Path, listing: Listing) -> Listed | None:
        names = [file.name for file in (folder / "targets").glob("*.bundle")]
        if not names:
            return None
        if len(names) > 1:
            raise UpdateError("delivery: has more than one bundle; push one at a time")
        model = listing.of(names[0].partition(".")[0])
        if model is None:
            raise UpdateError(
                f"delivery: {names[0]} is not signed for; add it with cane-export repo add and "
                "publish, then push again"
            )
        return model

    def _refresh(self, source: FolderSource | WebSource, actor: str) -> Opened:
        """Verifies a source's metadata and drops what is no longer signed for."""
        if self._trust is None:
            raise UpdateError(
                "this station has the one model that IT put there (model.bundle); set up "
                "model.updates in station.yaml to push others"
            )
        opened = self._trust.refresh(source)
        self._listing = opened.listing
        self._refreshed_at = datetime.now(UTC)
        self._problem = None
        gone = self._ledger.list_only((m.digest for m in opened.listing.models), actor)
        roles = self._ledger.roles()
        for model in gone:
            if Role.ACTIVE in roles and roles[Role.ACTIVE].digest == model.digest:
                self._fall_back(model.digest, f"{model.target} is no longer signed for")
            if Role.SHADOW in roles and roles[Role.SHADOW].digest == model.digest:
                self._release(STATION, f"{model.target} is no longer signed for")
        self._changed()
        return opened

    def _take(self, opened: Opened, model: Listed, actor: str, intent: Intent) -> Receipt:
        file = self.depot.incoming / Path(model.target).name
        opened.fetch(model, file)
        report = try_out(file, self._limits())
        verb = "refused" if report.fault else "passed"
        words = report.fault or f"{len(report.golden)} golden images, {_latency(report)}"
        self._ledger.add(
            digest=model.digest,
            target=model.target,
            name=report.name,
            version=report.version,
            size_bytes=model.size_bytes,
            fault=report.fault,
            trial=report.model_dump(mode="json"),
            event=Event(
                actor, Action.TRY, model.digest, report.fault is None, f"{model.target}: {words}"
            ),
        )
        log.info("model %s: %s the gate: %s", model.target, verb, words)
        self._changed()
        if report.fault is not None:
            return Receipt(model.digest, False, None, f"{model.target}: {words}", report)
        self.depot.take(file, model.digest)
        if intent == "activate" or self._lineup.active is None:
            self.activate(model.digest, actor)
            return Receipt(model.digest, True, Role.ACTIVE, words, report)
        if intent == "shadow":
            self.shadow(model.digest, actor)
            return Receipt(model.digest, True, Role.SHADOW, words, report)
        return Receipt(model.digest, True, None, words, report)

    def _told(self, receipt: Receipt, actor: str) -> Receipt:
        self._note(Event(actor, Action.PUSH, receipt.digest, True, receipt.detail))
        return receipt

    def _limits(self) -> Limits:
        updates = self._updates()
        return Limits(
            threads=self._config.threads,
            latency_ms=updates.latency_ms,
            timeout_s=updates.timeout_s,
            memory_mb=updates.memory_mb,
        )

    def _updates(self) -> UpdatesSection:
        if self._config.updates is None:
            raise UpdateError("this station's model is fixed (model.bundle in station.yaml)")
        return self._config.updates

    # ---- the repository

    def _poll(self) -> None:
        updates = self._updates()
        assert updates.repository is not None  # noqa: S101 - narrows the type
        while True:
            self.look(WebSource(updates.repository), updates.new_models)
            if self._stopping.wait(updates.poll_minutes * 60):
                return

    def look(self, source: WebSource, intent: Intent) -> Receipt | None:
        """Looks once at the repository and takes in its newest model, if that is new here.

        Does not raise: what went wrong is shown as a problem and noted once.
        """
        with self._taking:
            before = self._problem
            try:
                opened = self._refresh(source, STATION)
                newest = self._newest(opened.listing)
                if newest is None:
                    return None
                self.depot.clear_incoming()
                return self._take(opened, newest, STATION, intent)
            except AgentError as error:
                self._problem = str(error)
                # Offline for a week is one event, not a thousand.
                if before != self._problem:
                    log.error("models: %s", self._problem)
                    self._note(Event(STATION, Action.PUSH, None, False, str(error)))
                self._changed()
                return None

    def _newest(self, listing: Listing) -> Listed | None:
        """The model added last, if this station does not know it and grades with an older one."""
        newest = max(listing.models, key=lambda model: model.added_at, default=None)
        if newest is None or self._ledger.get(newest.digest) is not None:
            return None
        active = self._lineup.active
        current = listing.of(active.digest) if active else None
        return None if current is not None and current.added_at >= newest.added_at else newest

    # ---- roles

    def activate(self, digest: str, actor: str, action: Action = Action.ACTIVATE) -> None:
        """Lets that model grade from the next truck on.

        Raises UpdateError if it may not or cannot; the one that grades then goes on.
        """
        before = self._lineup.active
        try:
            engine = self._load(digest)
        except UpdateError as error:
            self._note(Event(actor, action, digest, False, str(error)))
            raise
        of = _named(before) if before else "no model"
        self._swap(engine, Event(actor, action, digest, True, f"{_named(engine)} instead of {of}"))
        self._prune()

    def roll_back(self, actor: str, digest: str | None = None) -> str:
        """Lets an earlier model grade: that one, or the one that graded before. Returns its digest.

        Raises UpdateError if there is none that is still signed for.
        """
        self._updates()
        active = self._lineup.active
        if digest is None:
            earlier = self._ledger.earlier(active.digest if active else None)
            if not earlier:
                raise UpdateError(
                    "there is no earlier model that is still signed for; push one instead"
                )
            digest = earlier[0].digest
        self.activate(digest, actor, Action.ROLL_BACK)
        return digest

    def shadow(self, digest: str, actor: str) -> None:
        """Lets a model grade the same trucks unseen. Raises UpdateError if it may not or cannot."""
        active = self._lineup.active
        if active is not None and active.digest == digest:
            raise UpdateError("this model grades already; it cannot be its own candidate")
        engine = self._load(digest)
        with self._swapping:
            event = Event(actor, Action.SHADOW, digest, True, f"{_named(engine)} grades unseen")
            self._ledger.assign(Role.SHADOW, digest, event)
            self._lineup.watch(engine)
        self._changed()

    def release(self, actor: str) -> None:
        """Takes the candidate out of the shadow. Raises UpdateError if there is none."""
        if self._lineup.shadow is None:
            raise UpdateError("there is no candidate in the shadow")
        self._release(actor, "taken out of the shadow")

    def _release(self, actor: str, why: str) -> None:
        with self._swapping:
            shadow = self._lineup.shadow
            digest = shadow.digest if shadow else None
            self._ledger.assign(Role.SHADOW, None, Event(actor, Action.RELEASE, digest, True, why))
            self._lineup.watch(None)
        self._changed()

    def _load(self, digest: str) -> Engine:
        """The model, ready to grade; raises UpdateError unless it may and can."""
        model = self._ledger.get(digest)
        if model is None:
            raise UpdateError(f"model {digest[:12]}: is not known here; push it")
        if not model.listed:
            raise UpdateError(f"{model.target}: is no longer signed for; it may not grade")
        if model.fault is not None:
            raise UpdateError(f"{model.target}: did not pass the gate: {model.fault}")
        for engine in (self._lineup.active, self._lineup.reserve, self._lineup.shadow):
            if engine is not None and engine.digest == digest:
                return engine
        path = self.depot.path(digest)
        if not path.exists():
            raise UpdateError(f"{model.target}: is no longer on this station's disk; push it again")
        try:
            engine = Engine.load(path, self._config.threads)
        except BundleError as error:
            raise UpdateError(str(error)) from error
        if engine.digest != digest:
            raise UpdateError(f"{path}: is not the file that was signed for; push it again")
        return engine

    def _swap(self, engine: Engine, event: Event, failing: str | None = None) -> bool:
        """Commits and swaps; with `failing` only if that model still grades. Returns whether."""
        with self._swapping:
            active = self._lineup.active
            if failing is not None and (active is None or active.digest != failing):
                return False
            self._ledger.assign(Role.ACTIVE, engine.digest, event)
            self._lineup.activate(engine)
        self.fault = None
        log.info("models: %s (%s)", event.detail, event.actor)
        self._changed()
        return True

    def _prune(self) -> None:
        """Keeps the models in use, the one to go back to, and those used last."""
        loaded = (self._lineup.active, self._lineup.reserve, self._lineup.shadow)
        needed = [engine.digest for engine in loaded if engine is not None]
        needed += [model.digest for model in self._ledger.earlier(self.active)[:1]]
        keep = list(dict.fromkeys([*needed, *self._ledger.last_used()]))
        self.depot.keep_only(keep[: max(self._updates().keep, len(set(needed)))])

    def _fall_back(self, digest: str, why: str) -> None:
        """Lets an earlier model grade, because that one no longer can or may; if none can, none."""
        for earlier in self._ledger.earlier(digest):
            try:
                engine = self._load(earlier.digest)
            except UpdateError as error:
                log.error("%s", error)
                continue
            detail = f"{_named(engine)} again, because {why}"
            self._swap(engine, Event(STATION, Action.ROLL_BACK, engine.digest, True, detail))
            return
        with self._swapping:
            text = f"no model grades, because {why}, and no earlier one may"
            self._ledger.assign(
                Role.ACTIVE, None, Event(STATION, Action.ROLL_BACK, digest, False, text)
            )
            self._lineup.retire()
        self.fault = f"{text}; push a signed model"
        log.error("models: %s", self.fault)
        self._changed()

    # ---- watching

    def graded(self, arrival_id: str, done: Done) -> None:
        """To be told of every truck, after its record and before the next. Does not raise."""
        if self._config.updates is None or done.graded is None:
            return
        failed = done.graded.failed
        if failed is not None and done.graded.prediction is not None:
            engine, why = failed
            reserve = done.graded.engine
            detail = f"{_named(reserve)} again, because {_named(engine)} failed on a truck: {why}"
            event = Event(STATION, Action.ROLL_BACK, reserve.digest, True, detail)
            try:
                self._note(Event(STATION, Action.FAIL, engine.digest, False, why))
                self._swap(reserve, event, failing=engine.digest)
            except RecordError as error:
                # In memory at least: it must not be shown another truck.
                self._lineup.activate(reserve)
                log.error("models: %s; %s", detail, error)
        self._shadowing.offer(arrival_id, done)

    def _after_truck(self) -> None:
        """Watches the new model and the candidate; on the shadow's thread."""
        self._watch_active()
        self._watch_candidate()
        self._changed()

    def _watch_active(self) -> None:
        role = self._ledger.roles().get(Role.ACTIVE)
        if role is None:
            return
        after = self._ledger.tally(after=role.after_grading, limit=watchdog.WINDOW + 1)
        if after.trucks > watchdog.WINDOW:
            return
        before = self._ledger.tally(until=role.after_grading, limit=watchdog.WINDOW)
        why = watchdog.jump(before, after)
        if why is not None and self._ledger.earlier(role.digest):
            self._note(Event(STATION, Action.FAIL, role.digest, False, why))
            self._fall_back(role.digest, why)

    def _watch_candidate(self) -> None:
        rule = self._updates().shadow
        candidate = self._lineup.shadow
        if candidate is None or rule.promote_at is None:
            return
        found = self._shadowing.summary()
        if found is None or found.trucks < rule.trucks or found.agreement is None:
            return
        if found.failed == 0 and found.agreement >= rule.promote_at:
            self.activate(candidate.digest, STATION)

    @property
    def shadowing(self) -> Shadowing:
        """What the candidate has graded."""
        return self._shadowing

    def _note(self, event: Event) -> None:
        """Adds an event; a disk that refuses it must not change what happens to trucks."""
        try:
            self._ledger.note(event)
        except RecordError as error:
            log.error("%s", error)
        self._changed()


def _latency(report: Report) -> str:
    p95 = report.latency_p95_ms
    return "not timed" if p95 is None else f"{p95:.1f} ms a truck (95th percentile)"


def _named(engine: Engine) -> str:
    manifest = engine.bundle.manifest
    return f"{manifest.name} {manifest.version} ({engine.digest[:12]})"


def _log_model(what: str, engine: Engine) -> None:
    log.info("%s %s", what, _named(engine))
