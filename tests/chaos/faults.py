"""The faults, one function each. A function returns when what it broke runs again.

What it returns are the occurrences that it may double: those whose request may have been on the wire when a process
was lost, or PostgreSQL for longer than a lease. No fault doubles anything else.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from signal import SIGCONT, SIGSTOP, SIGTERM

import msgspec

from shared.store.deliveries import LEASE
from shared.stream.deliveries import GROUP, STREAM
from tests.chaos.field import Field, Front

FIRST_AFTER = 5.0
SILENCE_SECONDS = 10.0
PAST_LEASE_SECONDS = LEASE.total_seconds() + 5
PROXY_SECONDS = 0.2
"""More than a proxy needs to fall silent."""
SKEW = 300
SKEW_SECONDS = 5.0

InFlight = frozenset[str]
NOTHING: InFlight = frozenset()


class Fault(msgspec.Struct, frozen=True):
    """What can be done to a field."""

    strike: Callable[[Field], Awaitable[InFlight]]
    lasts: float
    """About how many seconds, restarts included; for planning only."""


async def kill(field: Field, service: str) -> InFlight:
    """End a service as a crash would."""
    member = field.fleet.pick(service, field.random)
    field.fleet.kill(member)
    in_flight = field.begun() if service == "dispatcher" else NOTHING
    await field.fleet.restored(member)
    return in_flight


async def freeze_dispatcher(field: Field) -> InFlight:
    """Stop a dispatcher for longer than its leases, then let it go on as if nothing had been."""
    process = field.fleet.pick("dispatcher", field.random).process
    process.signal(SIGSTOP)
    try:
        in_flight = field.begun()
        await asyncio.sleep(PAST_LEASE_SECONDS)
    finally:
        process.signal(SIGCONT)
    return in_flight


async def flush_redis(field: Field) -> InFlight:
    """Take all from Redis: messages, group, consumers."""
    with field.redis() as client:
        client.flushall()  # pyright: ignore[reportUnknownMemberType]
    return NOTHING


async def destroy_group(field: Field) -> InFlight:
    """Take the group, and with it who has read what; the messages stay and are read again."""
    with field.redis() as client:
        client.xgroup_destroy(STREAM, GROUP)
    return NOTHING


async def restart_redis(field: Field, *, keep: bool) -> InFlight:
    """Kill Redis and start it with its file, which lacks up to a second, or without."""
    server = field.valkey
    await asyncio.to_thread(server.stop, immediate=True)
    if not keep:
        shutil.rmtree(server.folder / "appendonlydir")
    server.launch()
    await asyncio.to_thread(server.wait)
    return NOTHING


async def restart_postgres(field: Field) -> InFlight:
    """Let PostgreSQL crash and recover."""
    server = field.postgres
    await asyncio.to_thread(server.stop, immediate=True)
    server.launch()
    await asyncio.to_thread(server.wait)
    return NOTHING


async def silence(field: Field, front: Callable[[Field], Front]) -> InFlight:
    """Let a server hang without a sign for a while."""
    front(field).silence()
    try:
        await asyncio.sleep(SILENCE_SECONDS)
    finally:
        front(field).resume()
    return NOTHING


async def silence_postgres_past_lease(field: Field) -> InFlight:
    """Let PostgreSQL hang until the leases have run out of whatever waits for it to write a result."""
    field.before_postgres.silence()
    try:
        await asyncio.sleep(PROXY_SECONDS)
        in_flight = field.begun()
        await asyncio.sleep(PAST_LEASE_SECONDS)
    finally:
        field.before_postgres.resume()
    return in_flight


async def skew(field: Field, service: str, by: int) -> InFlight:
    """Let one more process with a wrong clock take part, and then ask it to stop."""
    process = field.fleet.stack.launch(service, through=("tests.chaos.skewed", str(by)))
    await field.fleet.ready(process)
    await asyncio.sleep(SKEW_SECONDS)
    process.signal(SIGTERM)
    code = await process.ended()
    if code != 0:
        field.fleet.crashes.append(f"{service}, skewed, ended with {code}, see {process.log}")
    return NOTHING


FAULTS = {
    "kill-api": Fault(partial(kill, service="api"), 3),
    "kill-scheduler": Fault(partial(kill, service="scheduler"), 2),
    "kill-dispatcher": Fault(partial(kill, service="dispatcher"), 2),
    "freeze-dispatcher": Fault(freeze_dispatcher, PAST_LEASE_SECONDS),
    "flush-redis": Fault(flush_redis, 0),
    "destroy-group": Fault(destroy_group, 0),
    "restart-redis": Fault(partial(restart_redis, keep=True), 1),
    "lose-redis": Fault(partial(restart_redis, keep=False), 1),
    "restart-postgres": Fault(restart_postgres, 2),
    "silence-postgres": Fault(partial(silence, front=lambda field: field.before_postgres), SILENCE_SECONDS),
    "silence-postgres-past-lease": Fault(silence_postgres_past_lease, PAST_LEASE_SECONDS),
    "silence-redis": Fault(partial(silence, front=lambda field: field.before_valkey), SILENCE_SECONDS),
    "scheduler-ahead": Fault(partial(skew, service="scheduler", by=SKEW), SKEW_SECONDS + 2),
    "scheduler-behind": Fault(partial(skew, service="scheduler", by=-SKEW), SKEW_SECONDS + 2),
    "dispatcher-ahead": Fault(partial(skew, service="dispatcher", by=SKEW), SKEW_SECONDS + 2),
}


def drawn(random: Random, *, seconds: float, calm: float) -> Sequence[str]:
    """Return the names of faults in a random order, as many as fit, with `calm` seconds after each."""
    names = list(FAULTS)
    random.shuffle(names)
    fitting: list[str] = []
    left = seconds - FIRST_AFTER
    for name in names:
        takes = FAULTS[name].lasts + calm
        if takes <= left:
            left -= takes
            fitting.append(name)
    return fitting
