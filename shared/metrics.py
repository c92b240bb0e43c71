"""The numbers that operators watch, in Prometheus form."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CLAIMED = Counter("qhronos_deliveries_claimed_total", "Deliveries claimed by this scheduler")
PLANNED = Counter("qhronos_deliveries_planned_total", "Next deliveries of recurring events planned by this scheduler")
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
REQUESTS = Histogram(
    "qhronos_http_request_seconds",
    "Time to answer a request to the API",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
NOT_LIMITED = Counter(
    "qhronos_requests_not_limited_total", "Requests that passed because Redis did not say whether they were too many"
)
CONNECTIONS_LOST = Counter(
    "qhronos_connections_lost_total", "Passes given up because a server was out of reach", ["loop"]
)
