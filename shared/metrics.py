"""The numbers that operators watch, in Prometheus form. deploy/monitoring says what to make of them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, Info

from shared.version import VERSION

BUILD = Info("qhronos_build", "Which version this process runs")
BUILD.info({"version": VERSION})

CLAIMED = Counter("qhronos_deliveries_claimed_total", "Deliveries claimed by this scheduler")
PLANNED = Counter("qhronos_deliveries_planned_total", "Next deliveries of recurring events planned by this scheduler")
LEASES_EXPIRED = Counter("qhronos_leases_expired_total", "Claims of what an earlier claim had not ended in time")
CLAIM_SIZE = Histogram(
    "qhronos_claim_deliveries", "Deliveries claimed in one pass", buckets=(0, 1, 5, 20, 50, 100, 200, 400, 700, 1000)
)
CLAIM_SECONDS = Histogram(
    "qhronos_claim_seconds",
    "Time to claim a batch, plan what follows it and commit",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
MISSED = Counter("qhronos_misfires_total", "Claims that were missed by their event's misfire policy")
RELEASED = Counter("qhronos_claims_released_total", "Claims given back before their lease ended", ["why"])
DEFERRED = Counter("qhronos_deliveries_deferred_total", "Due deliveries that were given back for a while", ["why"])
ATTEMPTS = Counter("qhronos_attempts_total", "HTTP requests made", ["outcome"])
FINISHED = Counter("qhronos_deliveries_finished_total", "Deliveries that ended", ["status"])
STALE = Counter("qhronos_stale_results_total", "Results whose claim had been taken over, or messages of old claims")
HELD = Gauge("qhronos_deliveries_held", "Deliveries that this dispatcher has read and not yet finished")
LATENESS = Histogram(
    "qhronos_attempt_lateness_seconds",
    "From the due time to the start of the request",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
ATTEMPT_SECONDS = Histogram(
    "qhronos_attempt_seconds",
    "From the start of the request to the end of its answer",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30, 60),
)

# What the schedulers see, all of them the same: ask for the largest, not for the sum.
DELIVERIES = Gauge("qhronos_deliveries", "Live deliveries", ["status"])
OLDEST_OVERDUE = Gauge("qhronos_oldest_overdue_seconds", "How long what is due and not begun has waited at most")
STREAM_LAG = Gauge("qhronos_stream_lag", "Messages that no dispatcher has read yet")
STREAM_PENDING = Gauge("qhronos_stream_pending", "Messages that dispatchers have read and not ended yet")
STREAM_CONSUMERS = Gauge("qhronos_stream_consumers", "Dispatchers that read the stream")
DESTINATIONS = Gauge("qhronos_destinations", "Destinations that failed when last called, by their breaker", ["state"])
PARTITIONS_AHEAD = Gauge(
    "qhronos_partitions_ahead_weeks", "Weeks after this one that have a partition already; -1: not even this one"
)

REQUESTS = Histogram(
    "qhronos_http_request_seconds",
    "Time to answer a request to the API",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
NOT_LIMITED = Counter(
    "qhronos_requests_not_limited_total", "Requests that passed because Redis did not say whether they were too many"
)
LIMITED = Counter("qhronos_requests_limited_total", "Requests refused because their caller had made too many")
CONNECTIONS_LOST = Counter(
    "qhronos_connections_lost_total", "Passes given up because a server was out of reach", ["loop"]
)
POOL_CONNECTIONS = Gauge("qhronos_pool_connections", "Connections to PostgreSQL that are open", ["pool"])
POOL_IDLE = Gauge("qhronos_pool_idle_connections", "Open connections that nobody uses", ["pool"])
POOL_WAITING = Gauge("qhronos_pool_waiting", "Who waits for a connection", ["pool"])
