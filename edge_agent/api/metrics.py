"""/metrics in Prometheus' text format, on a registry of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_agent.api.ports import STORE_FAULTS, StationPort
from edge_agent.records.models import Grading
from edge_agent.status import CameraState, CameraStatus, StationStatus

_PAGE = 200


def create_router(station: StationPort) -> APIRouter:
    """GET /metrics."""
    router = APIRouter(tags=["health"])
    registry = CollectorRegistry()
    registry.register(StationCollector(station))
    outcomes = OutcomeCounter(station, registry)

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Metrics for Prometheus; counters start at zero with each start of the agent."""
        outcomes.update()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class OutcomeCounter:
    """Counts what became of the trucks since the agent started, from the records themselves.

    Reading the records at each scrape keeps the grading path free of metrics, and a truck is
    never counted before its outcome is committed.
    """

    def __init__(self, station: StationPort, registry: CollectorRegistry) -> None:
        self._station = station
        self._lock = threading.Lock()
        self._seen: int | None = None
        """The last grading counted, or the last there was when the agent started."""
        self._trucks = Counter(
            "canegrade_trucks",
            "Trucks with an outcome since the start of the agent.",
            ["outcome", "grade"],
            registry=registry,
        )
        self._refusals = Counter(
            "canegrade_refusals", "Refused trucks by reason.", ["reason"], registry=registry
        )
        self._latency = Histogram(
            "canegrade_latency_seconds",
            "From acceptance to just before the commit.",
            buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
            registry=registry,
        )
        self._failed = Counter(
            "canegrade_scrapes_without_records",
            "Scrapes at which the records could not be read.",
            registry=registry,
        )

        with self._lock:
            self._try(self._begin)

    def update(self) -> None:
        """Counts the outcomes recorded since the last call."""
        with self._lock:
            self._try(self._count_new)

    def _try(self, read: Callable[[], None]) -> None:
        try:
            read()
        except STORE_FAULTS:
            self._failed.inc()

    def _begin(self) -> None:
        self._seen = self._station.store.last_grading_id()

    def _count_new(self) -> None:
        if self._seen is None:
            self._begin()
        while page := self._station.store.gradings_after(self._seen or 0, _PAGE):
            for grading in page:
                self._count(grading)
                self._seen = grading.id

    def _count(self, grading: Grading) -> None:
        outcome = "needs_person" if grading.needs_person else grading.outcome
        self._trucks.labels(outcome, grading.grade or "").inc()
        if grading.outcome == "refused":
            self._refusals.labels(grading.reason or "").inc()
        total = grading.timings_ms.get("total")
        if isinstance(total, int | float):
            self._latency.observe(total / 1000)


class StationCollector(Collector):
    """The gauges, read from the station's status at each scrape."""

    def __init__(self, station: StationPort) -> None:
        self._station = station

    def describe(self) -> list[Metric]:
        """Nothing in advance, so that registering does not ask the station."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All gauges as of now."""
        status = self._station.status()
        yield InfoMetricFamily(
            "canegrade_agent",
            "The agent and its station.",
            value={"version": status.version, "station": status.station},
        )
        yield _gauge("ready", "1 if a truck arriving now would be graded.", status.ready)
        yield _gauge("problems", "Things that are not well.", len(status.problems))
        yield _gauge("queue", "Accepted trucks not graded yet.", status.waiting)
        yield _gauge("disk_free_bytes", "Free space for records.", status.disk_free_bytes)
        yield _gauge(
            "start_time_seconds", "Start of the agent, Unix time.", status.started_at.timestamp()
        )
        yield from _cameras(status.cameras)
        yield from _scale_and_model(status)


def _cameras(cameras: tuple[CameraStatus, ...]) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "canegrade_camera_up", "1 if the camera's pictures can be used.", labels=["camera"]
    )
    delay = GaugeMetricFamily(
        "canegrade_camera_delay_seconds", "Arrival minus capture time.", labels=["camera"]
    )
    age = GaugeMetricFamily(
        "canegrade_camera_age_seconds", "Since the last packet.", labels=["camera"]
    )
    connects = GaugeMetricFamily(
        "canegrade_camera_connects", "Connections since the start.", labels=["camera"]
    )
    for camera in cameras:
        label = [camera.camera]
        up.add_metric(label, camera.state is CameraState.STREAMING)
        connects.add_metric(label, camera.connects)
        if camera.delay_ms is not None:
            delay.add_metric(label, camera.delay_ms / 1000)
        if camera.last_packet_age_s is not None:
            age.add_metric(label, camera.last_packet_age_s)
    yield from (up, delay, age, connects)


def _scale_and_model(status: StationStatus) -> Iterator[Metric]:
    if status.scale is not None:
        yield _gauge("scale_up", "1 if the indicator sends.", status.scale.connected)
        if status.scale.weight_kg is not None:
            yield _gauge("scale_weight_kg", "Weight on the scale.", status.scale.weight_kg)
    model = status.model
    yield _gauge("model_loaded", "1 if a model is loaded.", model.loaded)
    if model.loaded:
        yield InfoMetricFamily(
            "canegrade_model",
            "The model that grades.",
            value={
                "name": model.name or "",
                "version": model.version or "",
                "digest": model.digest or "",
                "precision": model.precision or "",
            },
        )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"canegrade_{name}", text, value=float(value))
