from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio

from shared import metrics, operations
from shared.readiness import Readiness, SchemaState
from tests.patience import PATIENCE
from tests.ports import free_port

READY = Readiness("ready", "ok", "ok", SchemaState(1, 1))
NOT_READY = Readiness("not_ready", "unreachable", "ok", SchemaState(None, 1))


class Process:
    """A process that says of itself what the test wants."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.state = READY
        self.asked_on: list[asyncio.AbstractEventLoop] = []
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)

    async def ready(self) -> Readiness:
        self.asked_on.append(asyncio.get_running_loop())
        return self.state


@pytest_asyncio.fixture(scope="module")
async def served() -> AsyncGenerator[Process]:
    process = Process(free_port())
    async with operations.serve("127.0.0.1", process.port, metrics.SCHEDULER, process.ready), process.http:
        yield process


@pytest.fixture
def process(served: Process) -> Process:
    """A process that is ready and has not been asked yet; one for all tests, since each takes half a second to end."""
    served.state = READY
    served.asked_on.clear()
    return served


async def test_metrics_are_there_for_prometheus(process: Process) -> None:
    metrics.CLAIMED.inc()

    answer = await process.http.get("/metrics")

    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["content-type"].startswith("text/plain")
    assert "qhronos_deliveries_claimed_total" in answer.text


async def test_a_process_that_answers_is_healthy_whatever_else_is_wrong(process: Process) -> None:
    process.state = NOT_READY

    answer = await process.http.get("/health")

    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, {"status": "ok"})
    assert process.asked_on == []


async def test_a_ready_process_says_so(process: Process) -> None:
    answer = await process.http.get("/ready")

    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "status": "ready",
        "postgres": "ok",
        "redis": "ok",
        "schema": {"found": 1, "needed": 1},
    }


async def test_a_process_that_is_not_ready_answers_503_with_the_reason(process: Process) -> None:
    process.state = NOT_READY

    answer = await process.http.get("/ready")

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json() == {
        "status": "not_ready",
        "postgres": "unreachable",
        "redis": "ok",
        "schema": {"found": None, "needed": 1},
    }


async def test_readiness_is_asked_anew_on_the_loop_of_the_process(process: Process) -> None:
    for state in (READY, NOT_READY, READY):
        process.state = state
        assert (await process.http.get("/ready")).json()["status"] == state.status

    assert process.asked_on == [asyncio.get_running_loop()] * 3


@pytest.mark.parametrize("path", ["/", "/metrics/", "/ready/x"])
async def test_any_other_path_is_not_found(process: Process, path: str) -> None:
    assert (await process.http.get(path)).status_code == HTTPStatus.NOT_FOUND


async def test_a_client_that_says_nothing_keeps_nobody_waiting(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.port)):
        assert (await process.http.get("/health")).status_code == HTTPStatus.OK


async def test_the_port_is_free_again_afterwards() -> None:
    process = Process(free_port())
    async with process.http:
        async with operations.serve("127.0.0.1", process.port, metrics.SCHEDULER, process.ready):
            assert (await process.http.get("/health")).status_code == HTTPStatus.OK

        with socket.create_server(("127.0.0.1", process.port)):
            pass


async def test_a_port_that_is_taken_ends_the_start(process: Process) -> None:
    with pytest.raises(OSError, match="in use"):
        async with operations.serve("127.0.0.1", process.port, metrics.SCHEDULER, process.ready):
            pass


async def test_a_process_shows_its_own_figures_and_those_of_every_process(process: Process) -> None:
    shown = (await process.http.get("/metrics")).text

    assert "qhronos_build_info" in shown
    assert "qhronos_oldest_overdue_seconds" in shown
    assert "qhronos_deliveries_held" not in shown
    assert "qhronos_http_request_seconds" not in shown


def test_a_first_dead_letter_can_be_seen_to_rise_from_none() -> None:
    assert b'qhronos_deliveries_finished_total{status="failed"} ' in metrics.text(metrics.DISPATCHER)


def test_a_probe_that_hangs_up_early_leaves_no_trace(process: Process, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", process.port)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes by a reset
            probe.sendall(b"GET /health HTTP/1.0\r\n")
    with socket.create_connection(("127.0.0.1", process.port)) as probe:
        probe.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert probe.recv(64)

    assert capfd.readouterr() == ("", "")
