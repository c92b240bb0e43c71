"""Token buckets are exact, whoever takes from them."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any, cast

import msgspec

from shared.domain.limits import Limit, Taken
from shared.stream import limits
from shared.stream.client import Redis
from tests.integration.waiting import until
from tests.patience import PATIENCE

KEY = "rate_limit:alice"
SLOW = Limit(bucket=5, refill=0.01)
"""Nothing is refilled while a test runs."""
PROCESSES = 2


async def clock_of(client: Redis) -> int:
    """Return the server's time in microseconds."""
    seconds, microseconds = await cast("Any", client).time()
    return seconds * 1_000_000 + microseconds


async def take(client: Redis, limit: Limit = SLOW, key: str = KEY) -> Taken:
    [taken] = await limits.take(client, [key], limit)
    return taken


async def test_a_full_bucket_admits_its_size_and_no_more(redis: Redis) -> None:
    taken = [await take(redis) for _ in range(7)]

    assert [each.admitted for each in taken] == [True] * 5 + [False] * 2
    assert [each.remaining(SLOW) for each in taken] == [4, 3, 2, 1, 0, 0, 0]


async def test_a_bucket_is_exact_when_its_interval_is_no_whole_number_of_microseconds(redis: Redis) -> None:
    limit = Limit(bucket=1000, refill=0.0300007)

    taken = await limits.take(redis, [KEY] * 1002, limit)

    assert [each.admitted for each in taken] == [True] * 1000 + [False] * 2


async def test_each_key_has_a_bucket_of_its_own_also_in_one_round_trip(redis: Redis) -> None:
    one = Limit(bucket=1, refill=0.01)

    taken = await limits.take(redis, [KEY, "rate_limit:bob", KEY, "rate_limit:bob"], one)

    assert [each.admitted for each in taken] == [True, True, False, False]


async def test_a_bucket_is_refilled_by_the_servers_clock(redis: Redis) -> None:
    for _ in range(5):
        await take(redis)
    now = await clock_of(redis)
    await redis.set(KEY, now + SLOW.capacity - 2 * SLOW.interval)  # as if it had been emptied two refills ago

    assert [(await take(redis)).admitted for _ in range(3)] == [True, True, False]


async def test_a_key_goes_when_its_bucket_is_full_again(redis: Redis) -> None:
    taken = await take(redis)

    left = await redis.pttl(KEY)
    assert 0 < left <= -(-taken.until_full // 1000)

    fast = Limit(bucket=5, refill=10_000)
    await take(redis, fast, "rate_limit:fast")
    await until(lambda: gone(redis, "rate_limit:fast"))


async def gone(client: Redis, key: str) -> bool:
    return not await client.exists(key)


async def test_a_refused_request_changes_nothing(redis: Redis) -> None:
    for _ in range(5):
        await take(redis)
    before = await redis.get(KEY)

    assert not (await take(redis)).admitted
    assert await redis.get(KEY) == before


async def test_a_clock_that_was_set_back_and_a_smaller_bucket_leave_it_empty_and_no_emptier(redis: Redis) -> None:
    await redis.set(KEY, await clock_of(redis) + 365 * 86_400 * 1_000_000)

    taken = await take(redis)

    assert (taken.admitted, taken.until_full) == (False, SLOW.capacity)


async def test_what_is_no_number_counts_as_a_full_bucket(redis: Redis) -> None:
    await redis.set(KEY, "nonsense")

    assert (await take(redis)).remaining(SLOW) == 4


async def test_a_server_that_forgot_the_script_is_told_again(redis: Redis) -> None:
    await take(redis)
    await cast("Any", redis).script_flush()

    assert (await take(redis)).remaining(SLOW) == 3


async def test_processes_that_take_at_once_are_admitted_exactly_what_the_bucket_gives(
    redis: Redis, redis_url: str
) -> None:
    limit = Limit(bucket=20_000, refill=200)  # not full again before the test is over
    processes = [await started(redis_url, limit) for _ in range(PROCESSES)]
    before = await clock_of(redis)
    emptied = [each for _ in range(40) for each in await limits.take(redis, [KEY] * (limit.bucket // 40), limit)]
    began_at = await full_at(redis) - limit.capacity

    counts = await asyncio.gather(*(count_of(process) for process in processes))

    assert all(taken.admitted for taken in emptied)
    assert all(count > 0 for count in counts)
    admitted = limit.bucket + sum(counts)
    while (last := await take(redis, limit)).admitted:
        admitted += 1
    ended_at = await full_at(redis) - last.until_full
    assert before <= began_at < ended_at <= await clock_of(redis)
    assert admitted == limit.bucket + (ended_at - began_at) // limit.interval


async def full_at(client: Redis) -> int:
    return int(await client.get(KEY) or 0)


async def started(url: str, limit: Limit) -> Process:
    arguments = [url, KEY, msgspec.json.encode(limit).decode(), "0.5"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.stream.taker", *arguments, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"ready\n"
    return process


async def count_of(process: Process) -> int:
    output, _ = await asyncio.wait_for(process.communicate(b"go\n"), PATIENCE)
    assert process.returncode == 0
    return int(output)
