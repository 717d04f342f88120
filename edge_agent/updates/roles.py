"""Which model grades, which one grades unseen, and everything that changes it.

Becoming active is one commit in the records, then one assignment in memory (`Lineup`), both under
one lock: a crash before the commit leaves the old model, after it the new one, and each truck is
graded by one of them. Whether a model may grade is asked again under that lock, so that one revoked
while it was being loaded does not slip through.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final

from edge_agent.config import ModelSection, UpdatesSection
from edge_agent.errors import BundleError, RecordError, UpdateError
from edge_agent.grading import Done
from edge_agent.inference.engine import Engine
from edge_agent.inference.lineup import Lineup
from edge_agent.records.ledger import Action, Event, ModelLedger, Role
from edge_agent.records.models import Model
from edge_agent.updates import watchdog
from edge_agent.updates.depot import Depot

log = logging.getLogger(__name__)

STATION: Final = "station"
"""The actor of what the agent does by itself."""


class ModelRoles:
    """The roles of one station's models. Every method may be called from any thread."""

    def __init__(
        self,
        config: ModelSection,
        ledger: ModelLedger,
        lineup: Lineup,
        depot: Depot,
        changed: Callable[[], None],
    ) -> None:
        """changed: called when there is something new to show."""
        self._config = config
        self._ledger = ledger
        self._lineup = lineup
        self._depot = depot
        self._changed = changed
        self._swapping = threading.Lock()
        """Held for a commit and a swap: never for long, because grading may wait for it."""
        self._owed: tuple[Event, ...] = ()
        """Events of a swap that was made in memory while the records could not be written."""
        self.fault: str | None = None
        """Why no model is loaded."""

    @property
    def updates(self) -> UpdatesSection:
        """The settings of updates. Raises UpdateError for a station whose model is fixed."""
        if self._config.updates is None:
            raise UpdateError(
                "this station has the one model that IT put there (model.bundle); set up "
                "model.updates in station.yaml to use others"
            )
        return self._config.updates

    # ---- at a start

    def load_fixed(self) -> None:
        """Loads the bundle of `model.bundle`; sets `fault` if it does not load."""
        bundle = self._config.bundle
        assert bundle is not None  # noqa: S101 - narrows the type; the settings see to it
        try:
            engine = Engine.load(bundle, self._config.threads)
        except BundleError as error:
            self.fault = str(error)
            log.error("%s", error)
        else:
            self._lineup.activate(engine, keep_before=False)
            log.info("model %s", named(engine))

    def resume(self) -> None:
        """Loads the models that did something last, or an earlier one for the active one.

        Does not raise: without a model `fault` says why.
        """
        try:
            roles = self._ledger.roles()
        except RecordError as error:
            self.fault = str(error)
            log.error("%s", error)
            return
        active, candidate = roles.get(Role.ACTIVE), roles.get(Role.SHADOW)
        if active is None:
            self.fault = "no model yet: push one with cane-export push"
        else:
            self._resume_active(active.digest)
        if candidate is not None:
            try:
                self._lineup.watch(self._load(candidate.digest))
            except UpdateError as error:
                self._release(STATION, candidate.digest, str(error))

    def _resume_active(self, digest: str) -> None:
        try:
            engine = self._load(digest)
        except UpdateError as error:
            log.error("%s", error)
            self._fall_back(digest, str(error))
        else:
            self._lineup.activate(engine, keep_before=self._resume_reserve(digest))
            log.info("model %s", named(engine))

    def _resume_reserve(self, digest: str) -> bool:
        """Has the one before grade until that model does, where that has graded no truck yet."""
        role = self._ledger.roles().get(Role.ACTIVE)
        if (
            role is None
            or self._ledger.tally(after=role.after_grading, digest=digest, limit=1).trucks
        ):
            return False
        for earlier in self._ledger.earlier(digest)[:1]:
            try:
                self._lineup.activate(self._load(earlier.digest), keep_before=False)
            except UpdateError as error:
                log.warning("models: nothing in reserve: %s", error)
            else:
                return True
        return False

    # ---- what people ask for

    def activate(self, digest: str, actor: str, action: Action = Action.ACTIVATE) -> None:
        """Lets that model grade from the next truck on.

        Raises UpdateError if it may not or cannot; the one that grades then goes on.
        """
        _ = self.updates
        try:
            engine = self._load(digest)
            before = self._lineup.active
            of = named(before) if before else "no model"
            event = Event(actor, action, digest, True, f"{named(engine)} instead of {of}")
            self._swap(engine, event)
        except UpdateError as error:
            self.note(Event(actor, action, digest, False, str(error)))
            raise
        self.prune()

    def roll_back(self, actor: str, digest: str | None = None) -> str:
        """Lets an earlier model grade: that one, or the one that graded before. Returns its digest.

        Raises UpdateError if there is none that is still signed for.
        """
        _ = self.updates
        active = self._lineup.active
        if digest is None:
            earlier = self._ledger.earlier(active.digest if active else None)
            if not earlier:
                text = "there is no earlier model that is still signed for; push one instead"
                self.note(Event(actor, Action.ROLL_BACK, None, False, text))
                raise UpdateError(text)
            digest = earlier[0].digest
        self.activate(digest, actor, Action.ROLL_BACK)
        return digest

    def shadow(self, digest: str, actor: str) -> None:
        """Lets a model grade the same trucks unseen. Raises UpdateError if it may not or cannot."""
        _ = self.updates
        try:
            engine = self._load(digest)
            with self._swapping:
                active = self._lineup.active
                if active is not None and active.digest == digest:
                    raise UpdateError("this model grades already; it cannot be its own candidate")
                self._require(digest)
                event = Event(actor, Action.SHADOW, digest, True, f"{named(engine)} grades unseen")
                self._ledger.assign(Role.SHADOW, digest, event)
                self._lineup.watch(engine)
        except UpdateError as error:
            self.note(Event(actor, Action.SHADOW, digest, False, str(error)))
            raise
        self.prune()
        self._changed()

    def release(self, actor: str) -> None:
        """Takes the candidate out of the shadow. Raises UpdateError if there is none."""
        shadow = self._lineup.shadow
        if shadow is None:
            text = "there is no candidate in the shadow"
            self.note(Event(actor, Action.RELEASE, None, False, text))
            raise UpdateError(text)
        self._release(actor, shadow.digest, "taken out of the shadow")

    def _release(self, actor: str, digest: str, why: str) -> None:
        with self._swapping:
            event = Event(actor, Action.RELEASE, digest, True, why)
            self._ledger.assign(Role.SHADOW, None, event)
            self._lineup.watch(None)
        self._changed()

    # ---- what may grade

    def list_only(self, digests: Iterable[str], actor: str) -> None:
        """Takes over the list of what is signed for, and takes roles from what is not."""
        with self._swapping:
            self._ledger.list_only(digests, actor)
        self.reconcile()

    def reconcile(self) -> None:
        """Takes their roles from models that may not grade any more.

        Asks for what is, not for what has just changed: what a crash or a full disk kept from being
        done the last time is done now. Raises RecordError.
        """
        reserve = self._lineup.reserve
        if reserve is not None and not self._may(self._ledger.get(reserve.digest)):
            self._lineup.drop_reserve()
        for role, row in self._ledger.roles().items():
            model = self._ledger.get(row.digest)
            if self._may(model):
                continue
            why = f"{model.target if model else row.digest[:12]} is no longer signed for"
            if role is Role.ACTIVE:
                self._fall_back(row.digest, why)
            else:
                self._release(STATION, row.digest, why)

    @staticmethod
    def _may(model: Model | None) -> bool:
        return model is not None and model.listed and model.fault is None

    def _require(self, digest: str) -> Model:
        """The model, if it may grade and is on disk; else raises UpdateError."""
        model = self._ledger.get(digest)
        if model is None:
            raise UpdateError(f"model {digest[:12]}: is not known here; push it")
        if not model.listed:
            raise UpdateError(f"{model.target}: is no longer signed for; it may not grade")
        if model.fault is not None:
            raise UpdateError(f"{model.target}: did not pass the gate: {model.fault}")
        if not self._depot.path(digest).exists():
            raise UpdateError(f"{model.target}: is no longer on this station's disk; push it again")
        return model

    def _load(self, digest: str) -> Engine:
        """The model, ready to grade; raises UpdateError unless it may and can."""
        self._require(digest)
        for engine in (self._lineup.active, self._lineup.reserve, self._lineup.shadow):
            if engine is not None and engine.digest == digest:
                return engine
        path = self._depot.path(digest)
        try:
            engine = Engine.load(path, self._config.threads)
        except BundleError as error:
            raise UpdateError(str(error)) from error
        if engine.digest != digest:
            raise UpdateError(f"{path}: is not the file that was signed for; push it again")
        return engine

    # ---- swapping

    def _swap(self, engine: Engine, *events: Event, failing: str | None = None) -> bool:
        """Commits and swaps. failing: only if that model still has the role. Returns whether."""
        with self._swapping:
            if failing is not None and self._active_digest() != failing:
                return False
            self._require(engine.digest)
            self._ledger.assign(Role.ACTIVE, engine.digest, *events)
            self._owed = ()
            self._lineup.activate(engine, keep_before=failing is None)
        self.fault = None
        log.info("models: %s (%s)", events[-1].detail, events[-1].actor)
        self._changed()
        return True

    def _active_digest(self) -> str | None:
        """What grades, or at a start still should."""
        active = self._lineup.active
        if active is not None:
            return active.digest
        role = self._ledger.roles().get(Role.ACTIVE)
        return role.digest if role else None

    def _fall_back(self, digest: str, why: str, *, retire: bool = True) -> None:
        """Lets an earlier model grade, because that one no longer can or may. If none can: none
        where it is to `retire`, else that one goes on."""
        failed = Event(STATION, Action.FAIL, digest, False, why)
        for earlier in self._ledger.earlier(digest):
            try:
                engine = self._load(earlier.digest)
                detail = f"{named(engine)} again, because {why}"
                back = Event(STATION, Action.ROLL_BACK, engine.digest, True, detail)
                self._swap(engine, failed, back, failing=digest)
            except UpdateError as error:
                log.error("%s", error)
                continue
            return
        if not retire:
            log.error("models: %s grades on, as no earlier one can: %s", digest[:12], why)
            return
        with self._swapping:
            if self._active_digest() != digest:
                return
            text = f"no model grades, because {why}, and no earlier one may"
            none = Event(STATION, Action.ROLL_BACK, digest, False, text)
            self._ledger.assign(Role.ACTIVE, None, failed, none)
            self._lineup.retire()
            self.fault = f"{text}; push a signed model"
        log.error("models: %s", self.fault)
        self._changed()

    def prune(self, new: str | None = None) -> None:
        """Keeps on disk the models in use, the one to go back to, and those used last.

        new: of a model that has passed and has no role yet.
        """
        try:
            with self._swapping:
                loaded = (self._lineup.active, self._lineup.reserve, self._lineup.shadow)
                needed = [engine.digest for engine in loaded if engine is not None]
                needed += [new] if new is not None else []
                needed += [m.digest for m in self._ledger.earlier(self._active_digest())[:1]]
                keep = list(dict.fromkeys([*needed, *self._ledger.last_used()]))
                self._depot.keep_only(keep[: max(self.updates.keep, len(set(needed)))])
        except (OSError, RecordError) as error:
            log.warning("models: not tidied up: %s", error)

    # ---- watching

    def graded(self, done: Done) -> None:
        """To be told of every truck, after its record and before the next. Does not raise."""
        graded = done.graded
        if self._config.updates is None or graded is None:
            return
        if graded.failed is None:
            if done.outcome.outcome == "graded":
                self._lineup.settle(graded.engine)
            return
        if graded.prediction is None:
            return  # the watchdog counts it
        engine, why = graded.failed
        reserve = graded.engine
        detail = f"{named(reserve)} again, because {named(engine)} failed on a truck: {why}"
        events = (
            Event(STATION, Action.FAIL, engine.digest, False, why),
            Event(STATION, Action.ROLL_BACK, reserve.digest, True, detail),
        )
        try:
            self._swap(reserve, *events, failing=engine.digest)
        except UpdateError as error:
            # The reserve may not grade any more either.
            log.error("models: %s", error)
            self._fall_back(engine.digest, why)
        except RecordError as error:
            # In memory at least: the failing model must not be shown another truck.
            with self._swapping:
                if self._active_digest() == engine.digest:
                    self._lineup.activate(reserve, keep_before=False)
                    self._owed = events
            log.error("models: %s; %s", detail, error)

    def watch(self) -> None:
        """Looks whether doubtful trucks have jumped with the new model. Raises RecordError."""
        with self._swapping:
            active = self._lineup.active
            if self._owed and active is not None:
                self._ledger.assign(Role.ACTIVE, active.digest, *self._owed)
                self._owed = ()
        role = self._ledger.roles().get(Role.ACTIVE)
        if role is None:
            return
        after = self._ledger.tally(
            after=role.after_grading, digest=role.digest, limit=watchdog.WINDOW + 1
        )
        if after.trucks > watchdog.WINDOW:
            return
        before = self._ledger.tally(until=role.after_grading, limit=watchdog.WINDOW)
        why = watchdog.jump(before, after)
        if why is not None and self._ledger.earlier(role.digest):
            self._fall_back(role.digest, why, retire=False)

    def note(self, event: Event) -> None:
        """Adds an event; a disk that refuses it must not change what happens to trucks."""
        try:
            self._ledger.note(event)
        except RecordError as error:
            log.error("%s", error)
        self._changed()


def named(engine: Engine) -> str:
    """A model's name and version, with the beginning of its digest."""
    manifest = engine.bundle.manifest
    return f"{manifest.name} {manifest.version} ({engine.digest[:12]})"
