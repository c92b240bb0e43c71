from __future__ import annotations

from datetime import timedelta

from shared.stream import nudges
from shared.stream.client import Redis
from tests.patience import PATIENCE

LONG = timedelta(seconds=PATIENCE)
SHORT = timedelta(milliseconds=10)


async def subscribed(subscription: nudges.Nudges) -> None:
    """Return when the server has confirmed the subscription, which comes first of all."""
    assert not await subscription.wait(LONG)


async def test_a_nudge_wakes_everybody_who_listens(redis: Redis) -> None:
    async with nudges.subscribe(redis) as one, nudges.subscribe(redis) as other:
        await subscribed(one)
        await subscribed(other)

        await nudges.nudge(redis)

        assert await one.wait(LONG)
        assert await other.wait(LONG)


async def test_without_a_nudge_the_wait_ends_in_time(redis: Redis) -> None:
    async with nudges.subscribe(redis) as one:
        await subscribed(one)

        assert not await one.wait(SHORT)


async def test_a_nudge_that_nobody_hears_is_no_failure_and_is_gone(redis: Redis) -> None:
    await nudges.nudge(redis)

    async with nudges.subscribe(redis) as late:
        await subscribed(late)
        assert not await late.wait(SHORT)
