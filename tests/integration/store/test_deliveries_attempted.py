from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from shared.domain.deliveries import Finished, Held
from shared.domain.events import Event
from shared.domain.ids import ChainId
from shared.domain.secrets import EventSecrets, PreviousSecret
from shared.store import creations, deliveries, events, secrets
from shared.store.clock import database_now
from shared.store.creations import Creation
from shared.store.deliveries import LEASE
from shared.store.pool import Connection, Pool
from tests.factories import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_claimed,
    an_event,
    content_of,
    event_of,
    held_by,
    states_of,
    utc_now,
)
from tests.integration.store.stations import a_begun, ended, failed, field_of, row_of
from tests.integration.waiting import until_blocked

NOTHING = timedelta(0)


class TestBegin:
    async def test_a_good_claim_is_begun_with_all_that_an_attempt_needs(self, conn: Connection) -> None:
        event = await an_event(conn, hmac_secret="a secret of its own")
        claim = await a_claimed(conn, event)

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.occurrence_id, due.epoch, due.event_id) == (claim.occurrence_id, claim.epoch, event.id)
        assert (due.content, due.webhook_url) == (event.content, event.content.webhook_url)
        assert (due.event_version, due.event_status) == (1, "active")
        assert due.secrets == EventSecrets("a secret of its own")
        assert (due.attempts, due.missed_count, due.catch_up, due.replay, due.metadata) == (0, 0, False, False, None)
        assert abs(due.now - utc_now()) < MINUTE
        assert 0 < due.lease_left <= LEASE.total_seconds()

    async def test_a_delivery_is_of_its_events_chain_and_of_one_of_its_own_where_the_event_is_of_none(
        self, conn: Connection
    ) -> None:
        beginning, member = await an_event(conn), event_of()
        await creations.insert(conn, [Creation(event=member, chain_id=ChainId(beginning.id))])
        claims = [await a_claimed(conn, event) for event in (beginning, member)]

        begun = await deliveries.begin(conn, [held_by(claim) for claim in claims])

        assert {due.event_id: due.chain_id for due in begun} == {beginning.id: beginning.id, member.id: beginning.id}

    async def test_a_claim_begins_once(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_of_two_dispatchers_that_hold_the_same_claim_one_begins_it(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other, asyncio.TaskGroup() as group:
            claim = await a_claimed(one, await an_event(one))
            async with one.transaction():
                first = await deliveries.begin(one, [held_by(claim)])
                second = group.create_task(deliveries.begin(other, [held_by(claim)]))
                await until_blocked(one, other)

            assert len(first) == 1
            assert await second == []

    async def test_a_begun_claim_can_be_claimed_and_begun_again_after_its_lease(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))
        [again] = await deliveries.claim_due(conn, now=utc_now() + 2 * LEASE, limit=1)

        assert len(await deliveries.begin(conn, [held_by(again)])) == 1
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_nothing_begins_before_its_time(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), utc_now() + MINUTE)

        assert await deliveries.begin(conn, [held_by(claim)]) == []
        assert len(await deliveries.release(conn, [claim])) == 1

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_claim_of_another_epoch_is_left_out(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, await an_event(conn))

        assert await deliveries.begin(conn, [Held(claim.occurrence_id, claim.epoch + off)]) == []

    async def test_a_claim_whose_lease_has_run_out_is_left_out(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=NOTHING)

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_a_claim_that_was_released_is_left_out(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))
        await deliveries.release(conn, [claim])

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_the_first_attempt_sends_what_the_event_holds_now(self, conn: Connection) -> None:
        event = await an_event(conn, hmac_secret="the old secret")
        claim = await a_claimed(conn, event)
        changed = await a_new_version(conn, event, url="https://new.example/hook", name="Feed the cat")
        await secrets.write(conn, event.id, EventSecrets("the new secret", (PreviousSecret(None, NOON),)))

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.event_version, due.content) == (2, changed.content)
        assert due.webhook_url == changed.content.webhook_url
        assert due.secrets == EventSecrets("the new secret", (PreviousSecret(None, NOON),))

    async def test_a_retry_sends_what_the_first_attempt_sent_to_the_current_address(self, conn: Connection) -> None:
        event = await an_event(conn)
        await deliveries.retry(conn, [failed(await a_begun(conn, event), after=NOTHING)])
        changed = await a_new_version(conn, event, url="https://new.example/hook", name="Feed the cat")
        [claim] = await deliveries.claim_due(conn, limit=1)

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.event_version, due.content.name, due.attempts) == (1, "Water the plants", 1)
        assert due.webhook_url == changed.content.webhook_url

    async def test_a_deleted_event_shows_in_what_is_begun(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        deleted = msgspec.structs.replace(event, version=2, status="deleted")
        await events.change(conn, deleted, change="deleted", fields=[], by="master")

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert due.event_status == "deleted"

    async def test_good_and_stale_claims_are_told_apart_in_one_query(self, conn: Connection) -> None:
        event = await an_event(conn)
        good = await a_claimed(conn, event)
        stale = await a_claimed(conn, event, utc_now() - 2 * SECOND)

        begun = await deliveries.begin(conn, [Held(stale.occurrence_id, stale.epoch - 1), held_by(good)])

        assert [due.occurrence_id for due in begun] == [good.occurrence_id]


class TestExtend:
    async def test_an_extended_claim_is_held_for_longer(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=MINUTE)

        assert await deliveries.extend(conn, [(held_by(claim), HOUR)]) == {claim.occurrence_id}

        [due] = await deliveries.begin(conn, [held_by(claim)])
        assert due.lease_left > MINUTE.total_seconds()

    async def test_a_claim_that_was_taken_over_is_not_extended(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=NOTHING)
        [newer] = await deliveries.claim_due(conn, limit=1)
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.extend(conn, [(held_by(claim), HOUR)]) == set()
        assert await row_of(conn, newer.occurrence_id) == before

    async def test_each_claim_has_its_own_length(self, conn: Connection) -> None:
        event = await an_event(conn)
        short, long = await a_claimed(conn, event), await a_claimed(conn, event, utc_now() - 2 * SECOND)

        await deliveries.extend(conn, [(held_by(short), MINUTE), (held_by(long), HOUR)])

        left = {d.occurrence_id: d.lease_left for d in await deliveries.begin(conn, [held_by(short), held_by(long)])}
        assert left[short.occurrence_id] <= MINUTE.total_seconds()
        assert left[long.occurrence_id] > HOUR.total_seconds() / 2


class TestFinish:
    async def test_a_finished_delivery_leaves_the_queue_for_the_record(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)

        assert await deliveries.finish(conn, [ended(claim)]) == {
            Held(claim.occurrence_id, claim.epoch): (event.id, "delivered")
        }

        assert await row_of(conn, claim.occurrence_id) is None
        cursor = await conn.execute(
            "SELECT status, status_reason, epoch, attempt_count, delivered_at IS NOT NULL FROM occurrences"
        )
        assert await cursor.fetchall() == [("delivered", None, claim.epoch, 1, True)]

    async def test_an_end_without_a_request_counts_none_and_delivers_nothing(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())

        await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "expired", "expires_after", 0)])

        cursor = await conn.execute("SELECT status, status_reason, attempt_count, delivered_at FROM occurrences")
        assert await cursor.fetchall() == [("expired", "expires_after", 0, None)]

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_stale_epoch_finishes_nothing(self, conn: Connection, off: int) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)

        assert await deliveries.finish(conn, [ended(claim, epoch=claim.epoch + off)]) == {}
        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}

    async def test_finishing_twice_changes_nothing(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.finish(conn, [ended(claim)])
        other = Finished(claim.occurrence_id, claim.epoch, "failed", "attempts_exhausted", 1)

        assert await deliveries.finish(conn, [other]) == {}
        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}

    async def test_attempts_of_earlier_claims_are_counted(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.retry(conn, [failed(claim)])
        [again] = await deliveries.claim_due(conn, limit=1, horizon=HOUR)

        await deliveries.finish(conn, [ended(again)])

        cursor = await conn.execute("SELECT attempt_count, epoch FROM occurrences")
        assert await cursor.fetchall() == [(2, claim.epoch + 1)]


class TestRetry:
    async def test_a_retried_delivery_waits_for_its_delay(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        before = await database_now(conn)

        assert await deliveries.retry(conn, [failed(claim)]) == {Held(claim.occurrence_id, claim.epoch)}

        assert await states_of(conn, event.id) == {claim.occurrence_id: "retrying"}
        assert await deliveries.claim_due(conn, now=before + 30 * SECOND, limit=1) == []
        [again] = await deliveries.claim_due(conn, now=utc_now() + MINUTE, limit=1)
        assert again.epoch == claim.epoch + 1
        assert again.scheduled_at == claim.scheduled_at
        assert again.due_at > claim.due_at
        assert await field_of(conn, claim.occurrence_id, "attempts") == 1

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_stale_epoch_retries_nothing(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, event_of())
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim, epoch=claim.epoch + off)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_retrying_twice_changes_nothing(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.retry(conn, [failed(claim)])
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_a_claim_that_was_released_is_not_retried(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.release(conn, [claim])
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_what_has_finished_is_not_retried(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.finish(conn, [ended(claim)])

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}


async def a_new_version(conn: Connection, event: Event, *, url: str, name: str) -> Event:
    content = msgspec.structs.replace(content_of(url=url), name=name)
    changed = msgspec.structs.replace(event, version=event.version + 1, content=content)
    await events.change(conn, changed, change="updated", fields=["name", "webhook_url"], by="master")
    return changed
