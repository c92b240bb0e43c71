"""One run: load and faults at the same time, then patience until all has arrived or nothing more will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec

from tests.chaos import faults, load
from tests.chaos.faults import FAULTS
from tests.chaos.field import Field, laid_out
from tests.chaos.load import ApiStream
from tests.chaos.verdict import Run, Strike

STORED_A_SECOND = 5_000
LEAD_SECONDS = 3.0
LOOK_SECONDS = 0.5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is."""

    rate: float = 500.0
    """Events a second, stored ahead."""
    seconds: float = 120.0
    seed: int
    faults: Sequence[str] = ()
    """In this order; empty: drawn by the seed, as many as fit."""
    calm: float = 5.0
    """Seconds from the end of a fault to the next."""
    api_rate: float = 5.0
    recurring: int = 20
    patience: float = 150.0
    """Seconds from the end of the load until what has not arrived is lost: more than two leases."""


async def run(options: Options, folder: Path, say: Callable[[str], None]) -> Run:
    """Return what was seen. Logs and the ledger stay in `folder`."""
    random = Random(options.seed)
    names = options.faults or faults.drawn(random, seconds=options.seconds, calm=options.calm)
    async with laid_out(folder, random) as field:
        begin, due = store(field, options)
        say(f"{len(due)} deliveries from {begin:%H:%M:%S} on, for {options.seconds:g} s; faults: {', '.join(names)}")
        if datetime.now(UTC) > begin:
            say("the machine was too slow to store them before the first were due: those are late by that")
        await asyncio.sleep((begin - datetime.now(UTC)).total_seconds())
        stream = ApiStream(field.fleet.stack, field.receiver_url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream.run(rate=options.api_rate, seconds=options.seconds))
            striking = tasks.create_task(strike_all(field, names, options.calm, say))
            tasks.create_task(asyncio.sleep(options.seconds))
        strikes = striking.result()
        due |= stream.due
        say(f"the load has ended; the API answered {dict(stream.answers)}; waiting for the rest")
        await settle(field, due, until=time.time() + options.patience)
        return Run(
            due=due,
            arrivals=field.ledger.arrivals,
            strikes=strikes,
            begin=begin.timestamp(),
            end=begin.timestamp() + options.seconds,
            unanswered=stream.unanswered,
            unfinished=field.unfinished(),
            records=field.records(),
            fates=field.fates([id_ for id_ in due if id_ not in field.ledger.arrived]),
            crashes=field.fleet.crashes,
        )


def store(field: Field, options: Options) -> tuple[datetime, dict[str, float]]:
    """Store the load; return when it begins and what must arrive."""
    now = datetime.now(UTC)
    begin = now + timedelta(seconds=LEAD_SECONDS + options.rate * options.seconds / STORED_A_SECOND)
    begin = begin.replace(microsecond=0)
    url, seconds = field.receiver_url, options.seconds
    contents = [
        *load.once(begin, rate=options.rate, seconds=seconds, url=url),
        *load.recurring(begin, events=options.recurring, seconds=seconds, url=url),
    ]
    events = [load.ahead(content, now) for content in contents]
    load.store(field.postgres.url(), events)
    return begin, {id_: at for event in events for id_, at in event.due.items()}


async def strike_all(field: Field, names: Sequence[str], calm: float, say: Callable[[str], None]) -> list[Strike]:
    """Let one fault after the other happen."""
    strikes: list[Strike] = []
    await asyncio.sleep(faults.FIRST_AFTER)
    for name in names:
        say(f"{datetime.now(UTC):%H:%M:%S} {name}")
        at = time.time()
        in_flight = await FAULTS[name].strike(field)
        strikes.append(Strike(fault=name, at=at, until=time.time(), in_flight=in_flight))
        await asyncio.sleep(calm)
    return strikes


async def settle(field: Field, due: dict[str, float], *, until: float) -> None:
    """Return when all has arrived and nothing is left that could arrive again, or when patience ends."""
    while time.time() < until:
        field.ledger.read_on()
        if due.keys() <= field.ledger.arrived and field.unfinished() == 0:
            return
        await asyncio.sleep(LOOK_SECONDS)
