"""Token buckets in Redis, one key each, which goes when its bucket is full again.

All processes share them, and the server's clock: a process with a wrong clock takes no more than any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

from redis.exceptions import NoScriptError

from shared.domain.limits import Limit, Taken
from shared.stream.client import Redis

PREFIX = "rate_limit:"

# A key holds the instant at which its bucket is full again, in microseconds. No bucket is emptier than empty, also when
# the clock was set back or the bucket was larger before. A refused request changes nothing.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local capacity, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers = {}
for i, key in ipairs(KEYS) do
    local full_at = tonumber(redis.call('GET', key) or '') or now
    full_at = math.min(math.max(full_at, now), now + capacity)
    local admitted = full_at + interval <= now + capacity
    if admitted then
        full_at = full_at + interval
        redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
    end
    answers[2 * i - 1] = admitted and 1 or 0
    answers[2 * i] = full_at - now
end
return answers
"""
_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


async def take(client: Redis, keys: Sequence[str], limit: Limit) -> list[Taken]:
    """Take one request from each bucket, in one round trip; the same bucket may be named several times."""
    given = (len(keys), *keys, limit.capacity, limit.interval)
    try:
        answer = await cast("Any", client).evalsha(_SHA, *given)
    except NoScriptError:
        answer = await cast("Any", client).eval(SCRIPT, *given)
    numbers = cast("list[int]", answer)
    return [Taken(admitted == 1, until) for admitted, until in zip(numbers[::2], numbers[1::2], strict=True)]
