"""What goes over the wire about models."""

from __future__ import annotations

from pydantic import BaseModel, Field

from edge_agent.api.schemas import UtcTime
from edge_agent.grades import Grade
from edge_agent.records.ledger import Action, Role
from edge_agent.records.models import Model, ModelEvent
from edge_agent.updates.freshness import TrustStatus
from edge_agent.updates.gate import Report
from edge_agent.updates.keeper import Receipt
from edge_agent.updates.shadowing import Summary


class GoldenOut(BaseModel):
    """A golden image of a model, and what it came out as on this PC."""

    path: str
    grade: Grade = Field(description="The image's true grade.")
    expected: list[float] = Field(description="By grade in class-index order.")
    got: list[float | None]
    difference: float | None = Field(description="max |dp|; null where got is not a number.")
    image: str = Field(description="Address of the image, while the bundle is on disk.")


class TrialOut(BaseModel):
    """What the gate found when the model was tried on this PC."""

    tolerance: float | None = Field(description="The largest difference allowed.")
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    memory_mb: float | None
    took_s: float | None
    golden: list[GoldenOut]


class ModelEntry(BaseModel):
    """A model that came to this station."""

    digest: str
    target: str = Field(description="Its name in the repository that signed for it.")
    name: str | None
    version: str | None
    size_bytes: int
    added_at: UtcTime
    role: Role | None = Field(description="What it does now.")
    since: UtcTime | None = Field(description="Since when it does.")
    listed: bool = Field(description="Still signed for; if not, it may not grade.")
    fault: str | None = Field(description="Why the gate refused it.")
    on_disk: bool = Field(description="Whether it could grade at once.")
    earlier: int | None = Field(description="1: a roll-back leads here; 2: the next one, ...")
    trial: TrialOut


class ShadowOut(BaseModel):
    """The candidate beside the models that graded the same trucks."""

    digest: str
    since: UtcTime
    trucks: int
    failed: int
    doubtful: int = Field(description="Trucks of which it was not sure enough.")
    agreement: float | None = Field(description="Share of equal grades.")
    confusion: list[tuple[Grade, Grade, int]] = Field(
        description="Active grade, candidate's grade, trucks."
    )
    candidate_ms: tuple[float, float] | None = Field(description="Inference, median and p95.")
    active_ms: tuple[float, float] | None
    complete: bool = Field(description="Watched for as long as the settings say.")


class TrustOut(BaseModel):
    """How fresh the signed list is."""

    repository: str | None
    refreshed_at: UtcTime | None
    expires_at: UtcTime | None
    problem: str | None


class EventOut(BaseModel):
    """One thing that was done, or refused."""

    at: UtcTime
    actor: str = Field(description="A user, or `station` for the agent itself.")
    action: Action
    digest: str | None
    ok: bool
    detail: str


class ModelsOut(BaseModel):
    """The models of the station and what was done with them."""

    updates: bool = Field(description="Whether models can be pushed; else IT has put one there.")
    active: str | None = Field(description="Digest of the model that grades the next truck.")
    shadow: ShadowOut | None
    models: list[ModelEntry] = Field(description="The last that came first.")
    trust: TrustOut
    events: list[EventOut] = Field(description="The last ones, newest first.")


class ReceiptOut(BaseModel):
    """What became of a delivery."""

    digest: str | None
    accepted: bool = Field(description="It passed the gate, or brought metadata alone.")
    role: Role | None = Field(description="What the model does now; null: it lies ready.")
    detail: str
    trial: TrialOut | None


class RollBack(BaseModel):
    """Where to go back to."""

    digest: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="none: the model before this one."
    )


def trial_out(digest: str, report: Report) -> TrialOut:
    """The wire form of a trial."""
    return TrialOut(
        tolerance=report.tolerance,
        latency_p50_ms=report.latency_p50_ms,
        latency_p95_ms=report.latency_p95_ms,
        memory_mb=report.memory_mb,
        took_s=report.took_s,
        golden=[
            GoldenOut(
                path=golden.path,
                grade=golden.grade,
                expected=list(golden.expected),
                got=list(golden.got),
                difference=golden.difference,
                image=f"/api/v1/models/{digest}/{golden.path}",
            )
            for golden in report.golden
        ],
    )


def model_out(
    model: Model, role: tuple[Role, UtcTime] | None, on_disk: bool, earlier: int | None
) -> ModelEntry:
    """The wire form of a model."""
    return ModelEntry(
        digest=model.digest,
        target=model.target,
        name=model.name,
        version=model.version,
        size_bytes=model.size_bytes,
        added_at=model.added_at,
        role=role[0] if role else None,
        since=role[1] if role else None,
        listed=model.listed,
        fault=model.fault,
        on_disk=on_disk,
        earlier=earlier,
        trial=trial_out(model.digest, Report.model_validate(model.trial)),
    )


def shadow_out(digest: str, summary: Summary) -> ShadowOut:
    """The wire form of a candidate's figures."""
    return ShadowOut(
        digest=digest,
        since=summary.since,
        trucks=summary.trucks,
        failed=summary.failed,
        doubtful=summary.doubtful,
        agreement=summary.agreement,
        confusion=[(Grade(a), Grade(c), n) for a, c, n in summary.confusion],
        candidate_ms=summary.candidate_ms,
        active_ms=summary.active_ms,
        complete=summary.complete,
    )


def trust_out(status: TrustStatus) -> TrustOut:
    """The wire form of the freshness."""
    return TrustOut(
        repository=status.repository,
        refreshed_at=status.refreshed_at,
        expires_at=status.expires_at,
        problem=status.problem,
    )


def event_out(event: ModelEvent) -> EventOut:
    """The wire form of an event."""
    return EventOut(
        at=event.at,
        actor=event.actor,
        action=Action(event.action),
        digest=event.digest,
        ok=event.ok,
        detail=event.detail,
    )


def receipt_out(receipt: Receipt) -> ReceiptOut:
    """The wire form of a receipt."""
    report = receipt.report
    return ReceiptOut(
        digest=receipt.digest,
        accepted=receipt.accepted,
        role=receipt.role,
        detail=receipt.detail,
        trial=trial_out(receipt.digest, report) if report and receipt.digest else None,
    )
