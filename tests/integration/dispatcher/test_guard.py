"""Where connections go: never to an address that webhooks may not reach, whatever a name says and when."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.dispatcher import sender
from services.dispatcher.guard import CONNECTS
from shared.domain.attempts import Outcome
from shared.settings import Networks
from tests import hosts
from tests.integration.dispatcher.sending import LOOPBACK, answering, raw_server, sent
from tests.ports import free_port
from tests.receiver import Receiver

HERE: Networks = (ip_network("127.0.0.1/32"),)
"""The rest of loopback stands for what is not public."""


class Answers(AbstractResolver):
    """A name server: its answers in turn, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked = 0
        self._answers = answers

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        found = [result_of(host, address, port) for address in answer]
        return [result for result in found if family in (socket.AF_UNSPEC, result["family"])]

    async def close(self) -> None:
        pass


class Numbers(AbstractResolver):
    """The system's reading of numeric hosts, and no names."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [result_of(host, str(address[0]), port) for *_, address in found]

    async def close(self) -> None:
        pass


def result_of(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


@asynccontextmanager
async def asking(names: AbstractResolver, allowed: Networks = HERE) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a session that resolves names so, and never remembers an answer."""
    async with sender.open_session(allowed, names) as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector._use_dns_cache = False  # pyright: ignore[reportPrivateUsage]
        yield session


def named(url: str) -> str:
    return url.replace("127.0.0.1", "receiver.example")


@pytest.mark.parametrize("kind", hosts.REFUSED)
async def test_no_connection_is_tried_to_what_is_refused_when_written(kind: str) -> None:
    async with asking(Numbers(), ()) as session:
        for host in hosts.REFUSED[kind].split():
            attempt = await sent(session, f"http://{host}/")

            assert attempt.outcome in (Outcome.REFUSED, Outcome.INVALID_REQUEST, Outcome.NETWORK_ERROR), host
            assert CONNECTS.get().tried == 0, host


@pytest.mark.parametrize(
    "kind", ["this host", "loopback", "private", "link-local", "cloud metadata", "v4-mapped", "NAT64", "6to4"]
)
async def test_an_address_that_is_not_public_is_refused_and_named(kind: str) -> None:
    async with asking(Numbers(), ()) as session:
        for host in hosts.REFUSED[kind].split():
            attempt = await sent(session, f"http://{host}:9/")

            assert attempt.outcome is Outcome.REFUSED
            assert attempt.error is not None
            assert attempt.error.startswith("not a public address: ")


@pytest.mark.parametrize("host", [*hosts.NAMES_OF_LOOPBACK, "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"])
async def test_a_receiver_on_loopback_is_reached_by_no_name(receiver: Receiver, host: str) -> None:
    async with sender.open_session(()) as session:
        attempt = await sent(session, receiver.url().replace("127.0.0.1", host))

    assert (attempt.outcome, receiver.requests) == (Outcome.REFUSED, [])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::ffff:127.0.0.1]"])
async def test_an_allowed_network_can_be_reached(session: aiohttp.ClientSession, receiver: Receiver, host: str) -> None:
    attempt = await sent(session, receiver.url().replace("127.0.0.1", host))

    assert attempt.outcome is Outcome.DELIVERED


async def test_an_allowed_network_allows_no_other(receiver: Receiver) -> None:
    async with sender.open_session((ip_network("10.0.0.0/8"),)) as session:
        attempt = await sent(session, receiver.url().replace("127.0.0.1", "localhost"))

    assert (attempt.outcome, receiver.requests) == (Outcome.REFUSED, [])


async def test_a_name_that_changes_its_mind_between_look_ups_gains_nothing() -> None:
    names = Answers(["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1", "::1"])
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    async with raw_server(answering(ok)) as url, asking(names) as session:
        outcomes = [(await sent(session, named(url))).outcome for _ in range(3)]

    assert outcomes == [Outcome.DELIVERED, Outcome.REFUSED, Outcome.REFUSED]
    assert names.asked == 3


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(receiver: Receiver) -> None:
    names = Answers(["127.0.0.1"], ["127.0.0.2"])
    async with asking(names) as session:
        attempt = await sent(session, named(receiver.url()))

    [request] = receiver.requests
    assert (attempt.outcome, names.asked) == (Outcome.DELIVERED, 1)
    assert request.headers["host"].startswith("receiver.example:")


async def test_a_kept_connection_stays_with_the_address_that_was_checked(receiver: Receiver) -> None:
    names = Answers(["127.0.0.1"], ["127.0.0.2"])
    async with asking(names) as session:
        attempts = [await sent(session, named(receiver.url())) for _ in range(3)]

    assert [attempt.outcome for attempt in attempts] == [Outcome.DELIVERED] * 3
    assert names.asked == 1


async def test_a_kept_connection_serves_no_other_name_or_port(receiver: Receiver) -> None:
    async with asking(Answers(["127.0.0.1"], ["127.0.0.2"])) as session, Receiver() as other:
        await sent(session, named(receiver.url()))
        by_other_name = await sent(session, receiver.url().replace("127.0.0.1", "other.example"))
        by_other_port = await sent(session, named(other.url()))

    assert (by_other_name.outcome, by_other_port.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert (len(receiver.requests), other.requests) == (1, [])


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["::1", "127.0.0.1"], ["10.0.0.1", "::1", "127.0.0.1"]],
)
async def test_of_several_addresses_only_those_that_may_be_reached_are_tried(
    receiver: Receiver, addresses: list[str]
) -> None:
    async with asking(Answers(addresses)) as session:
        attempt = await sent(session, named(receiver.url()))

    assert (attempt.outcome, attempt.error) == (Outcome.DELIVERED, None)
    assert CONNECTS.get().tried == 1


async def test_several_addresses_that_may_not_be_reached_are_all_named() -> None:
    async with asking(Answers(["::1", "127.0.0.2", "10.0.0.1", "127.0.0.2"])) as session:
        attempt = await sent(session, "http://receiver.example:9/")

    assert attempt.outcome is Outcome.REFUSED
    assert attempt.error == "not a public address: 10.0.0.1, 127.0.0.2, ::1"


async def test_a_receiver_that_is_down_is_a_network_error_although_its_other_address_is_refused() -> None:
    async with asking(Answers(["127.0.0.2", "127.0.0.1"])) as session:
        attempt = await sent(session, f"http://receiver.example:{free_port()}/")

    assert attempt.outcome is Outcome.NETWORK_ERROR


async def test_a_redirect_to_an_address_that_is_not_allowed_is_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.2:9/\r\ncontent-length: 0\r\n\r\n"
    async with raw_server(answering(moved)) as url, sender.open_session(LOOPBACK) as session:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.REDIRECT, 307)
    assert (CONNECTS.get().tried, CONNECTS.get().refused) == (1, [])
