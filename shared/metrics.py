"""The numbers that operators watch, in Prometheus form. deploy/monitoring says what to make of them.

Each service shows its own and those of every process. Label values that are known are shown from the start: who waits
for a first failure has to see it rise from 0.
"""

from __future__ import annotations

from typing import get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from shared.domain.attempts import Outcome
from shared.domain.deliveries import FinalStatus
from shared.version import VERSION

API, SCHEDULER, DISPATCHER = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()


def text(service: CollectorRegistry) -> bytes:
    """Return what a process of a service shows."""
    return generate_latest(REGISTRY) + generate_latest(service)


# Every process.
BUILD = Info("qhronos_build", "Which version this process runs")
BUILD.info({"version": VERSION})
CONNECTIONS_LOST = Counter(
    "qhronos_connections_lost_total", "Passes given up because a server was out of reach", ["loop"]
)
POOL_CONNECTIONS = Gauge("qhronos_pool_connections", "Connections to PostgreSQL that are open", ["pool"])
POOL_IDLE = Gauge("qhronos_pool_idle_connections", "Open connections that nobody uses", ["pool"])
POOL_WAITING = Gauge("qhronos_pool_waiting", "Who waits for a connection", ["pool"])
RELEASED = Counter("qhronos_claims_released_total", "Claims given back before their lease ended", ["why"])

# The API.
REQUESTS = Histogram(
    "qhronos_http_request_seconds",
    "Time to answer a request to the API",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=API,
)
LIMITED = Counter(
    "qhronos_requests_limited_total", "Requests refused because their caller had made too many", registry=API
)
NOT_LIMITED = Counter(
    "qhronos_requests_not_limited_total",
    "Requests that passed because Redis did not say whether they were too many",
    registry=API,
)

# The schedulers.
CLAIMED = Counter("qhronos_deliveries_claimed_total", "Deliveries claimed", registry=SCHEDULER)
PLANNED = Counter("qhronos_deliveries_planned_total", "Next deliveries of recurring events planned", registry=SCHEDULER)
LEASES_EXPIRED = Counter(
    "qhronos_leases_expired_total", "Claims of what an earlier claim had not ended in time", registry=SCHEDULER
)
MISSED = Counter(
    "qhronos_misfires_total", "Claims that were missed by their event's misfire policy", registry=SCHEDULER
)
CLAIM_SIZE = Histogram(
    "qhronos_claim_deliveries",
    "Deliveries claimed in one pass",
    buckets=(0, 1, 5, 20, 50, 100, 200, 400, 700, 1000),
    registry=SCHEDULER,
)
CLAIM_SECONDS = Histogram(
    "qhronos_claim_seconds",
    "Time to claim a batch, plan what follows it and commit",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=SCHEDULER,
)

# What the schedulers see, all of them the same: ask for the largest, not for the sum.
DELIVERIES = Gauge("qhronos_deliveries", "Live deliveries", ["status"], registry=SCHEDULER)
OLDEST_OVERDUE = Gauge(
    "qhronos_oldest_overdue_seconds", "How long what is due and not begun has waited at most", registry=SCHEDULER
)
STREAM_LAG = Gauge("qhronos_stream_lag", "Messages that no dispatcher has read yet", registry=SCHEDULER)
STREAM_PENDING = Gauge(
    "qhronos_stream_pending", "Messages that dispatchers have read and not ended yet", registry=SCHEDULER
)
STREAM_CONSUMERS = Gauge("qhronos_stream_consumers", "Dispatchers that read the stream", registry=SCHEDULER)
DESTINATIONS = Gauge(
    "qhronos_destinations", "Destinations that failed when last called, by breaker", ["state"], registry=SCHEDULER
)
PARTITIONS_AHEAD = Gauge(
    "qhronos_partitions_ahead_weeks",
    "Weeks after this one that have a partition already; -1: not even this one",
    registry=SCHEDULER,
)

# The dispatchers.
HELD = Gauge(
    "qhronos_deliveries_held", "Deliveries that this dispatcher has read and not yet finished", registry=DISPATCHER
)
DEFERRED = Counter(
    "qhronos_deliveries_deferred_total",
    "Due deliveries that were given back for a while",
    ["why"],
    registry=DISPATCHER,
)
ATTEMPTS = Counter("qhronos_attempts_total", "HTTP requests made", ["outcome"], registry=DISPATCHER)
FINISHED = Counter("qhronos_deliveries_finished_total", "Deliveries that ended", ["status"], registry=DISPATCHER)
STALE = Counter(
    "qhronos_stale_results_total",
    "Results whose claim had been taken over, or messages of old claims",
    registry=DISPATCHER,
)
LATENESS = Histogram(
    "qhronos_attempt_lateness_seconds",
    "From the due time to the start of the request",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
    registry=DISPATCHER,
)
ATTEMPT_SECONDS = Histogram(
    "qhronos_attempt_seconds",
    "From the start of the request to the end of its answer",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30, 60),
    registry=DISPATCHER,
)

for _status in get_args(FinalStatus):
    FINISHED.labels(status=_status)
for _outcome in Outcome:
    ATTEMPTS.labels(outcome=_outcome.value)
