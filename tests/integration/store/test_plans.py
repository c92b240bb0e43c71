"""The statements that run all day touch what they need and no more, whatever the tables have grown to.

Each is looked at twice: with a million deliveries, and with 20 000, where reading a whole table may look cheap.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Json

from shared.domain.deliveries import FinalStatus, PlannedDelivery
from shared.domain.destinations import DestinationId
from shared.domain.ids import EventId
from shared.store import (
    backlog,
    cancellations,
    deliveries,
    destinations,
    events,
    occurrence_lists,
    occurrences,
    planned_deliveries,
    replays,
    retention,
    selections,
    usage,
)
from shared.store.deliveries import HORIZON, LEASE
from shared.store.occurrence_lists import Filters
from shared.store.selections import Extent, Selection
from shared.store.sight import EVERYTHING, Sight
from tests.factories import DAY, HOUR, MINUTE, utc_now
from tests.servers import Databases

Db = psycopg.Connection[tuple[Any, ...]]
Parameters = dict[str, Any]

BIG = r"(deliveries|events|event_versions|occurrences_\w+)"
BATCHES = [1, 256]
BY_KEY = "deliveries_pkey"

SELECTIONS = [
    (Selection(sight=EVERYTHING, tags=["rare-7"]), "events_tags"),
    (Selection(sight=EVERYTHING, any_tags=["rare-7", "rare-8"]), "events_tags"),
    (Selection(sight=Sight(prefixes=["team:7:"])), "events_prefixes"),
    (Selection(sight=Sight(prefixes=["nobody:"])), "events_prefixes"),
    (Selection(sight=Sight(tags=["rare-7"], prefixes=["team:7:"]), tags=["all"]), "events_prefixes"),
]
LIVE, FINAL = ("scheduled", "queued", "retrying"), ("delivered", "failed")
STATUSES = [
    (None, "occurrences_default_event_id_id_idx"),
    ("delivered", "occurrences_default_event_id_id_idx"),
    ("failed", "occurrences_default_event_id_status_id_idx"),
    ("retrying", "deliveries_(event_id|pkey)"),
]
SPANS: list[Parameters] = [{}, {"scheduled_from": utc_now() - 2 * DAY, "scheduled_to": utc_now() - DAY}]

# Ids begin with the nominal time. Some deliveries are overdue, most are to come.
FILL: list[LiteralString] = [
    "CREATE FUNCTION id_of(at timestamptz, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN"
    " overlay(first_id_at(at)::text placing substr(md5(n::text), 1, 12) from 25)::uuid",
    "CREATE FUNCTION event_of(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5(n::text)::uuid",
    """
    INSERT INTO events (id, name, tags, webhook_url, likeness, created_by, created_at, status, updated_at,
                        chain_id)
    SELECT event_of(n), 'event ' || n, ARRAY['all', 'rare-' || n %% 1000, 'team:' || n %% 1000 || ':a'],
           'https://receiver.example/', n, 'master', at,
           CASE WHEN n %% 1000 = 1 THEN 'paused' WHEN n %% 100 = 0 THEN 'deleted' ELSE 'active' END, at,
           CASE WHEN n %% 10 = 0 THEN event_of(n %% 70) END
      FROM generate_series(1, %(events)s) AS n, LATERAL (SELECT now() - n * interval '1 second' AS at) AS made
    """,
    """
    INSERT INTO event_versions (event_id, version, content, change, changed_by)
    SELECT event_of(n), 1, '{"overlap": "allow"}', 'created', 'master' FROM generate_series(1, %(events)s) AS n
    """,
    """
    INSERT INTO occurrences (id, event_id, event_version, scheduled_at, status, epoch, attempt_count, created_at)
    SELECT id_of(at, n), event_of(n %% (%(events)s)), 1, at,
           CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'delivered' END, 1048577, 1, at
      FROM generate_series(1, %(events)s) AS n, LATERAL (SELECT now() - n * interval '20 seconds' AS at) AS due
    """,
    """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at,
                            epoch, chained, recurrence_id, destination)
    SELECT id_of(at, n), event_of(n %% (%(events)s)), 1, at, at, at, 1048577, true, n::text, n %% 1000
      FROM generate_series(1, %(deliveries)s) AS n,
           LATERAL (SELECT now() + (n - 5000) * interval '1 second' AS at) AS due
    """,
]


@pytest.fixture(scope="module", params=[(20_000, 20_000), (1_000_000, 100_000)], ids=str)
def db(request: pytest.FixtureRequest, databases: Databases) -> Generator[Db]:
    """A database that is as full as it may be."""
    number, others = request.param
    url = databases.create()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET synchronous_commit = off")
        indexes = db.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'deliveries' AND indexname !~ 'pkey'"
        ).fetchall()
        for name, _ in indexes:
            db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for statement in FILL:
            db.execute(statement, {"deliveries": number, "events": others} if "%(" in statement else None)
        for _, definition in indexes:
            db.execute(sql.SQL(definition))
        db.execute("ANALYZE")
        db.execute(
            "VACUUM events"
        )  # as autovacuum does: else its GIN indexes have a long list of what is to be sorted in
        yield db
    databases.drop(url)


def plan_of(db: Db, statement: LiteralString, parameters: Parameters) -> str:
    """Return the plan of a statement, which reads no large table as a whole."""
    with db.transaction(force_rollback=True):
        plan = "\n".join(row[0] for row in db.execute("EXPLAIN " + statement, parameters, prepare=False))
    assert not re.search(rf"Seq Scan on {BIG}\b", plan), plan
    return plan


def ids_of(db: Db, number: int) -> list[Any]:
    """Return deliveries that are due."""
    return [row[0] for row in db.execute("SELECT occurrence_id FROM deliveries ORDER BY next_at LIMIT %s", [number])]


def events_of(db: Db, number: int) -> list[Any]:
    return [row[0] for row in db.execute("SELECT event_id FROM deliveries ORDER BY next_at LIMIT %s", [number])]


def first_id(db: Db, at: datetime) -> UUID:
    [(id_,)] = db.execute("SELECT first_id_at(%s)", [at]).fetchall()
    return id_


def an_event_of(db: Db) -> Any:
    return events_of(db, 1)[0]


def an_event_of_a_chain(db: Db) -> Any:
    [row] = db.execute("SELECT chain_id FROM events WHERE chain_id IS NOT NULL LIMIT 1")
    return row[0]


class TestScheduler:
    @pytest.mark.parametrize("limit", [0, 400])
    def test_claiming_walks_the_index_of_next_at_from_both_ends(self, db: Db, limit: int) -> None:
        limits = {"limit": limit, "newest": 600, "share": 50, "claims": 1}

        plan = plan_of(db, deliveries.CLAIM, {"now": None, "horizon": HORIZON, "lease": LEASE, **limits})

        assert "Index Scan using deliveries_next_at" in plan
        assert "Index Scan Backward using deliveries_next_at" in plan
        assert "Tid Scan on deliveries" in plan
        assert plan.count("Sort  ") <= 1  # of no more than the newest

    def test_the_oldest_that_is_overdue_is_looked_for_at_the_end_of_the_index(self, db: Db) -> None:
        assert "using deliveries_next_at" in plan_of(db, backlog.OLDEST_OVERDUE, {"looked_at": backlog.LOOKED_AT})

    def test_the_time_of_the_next_is_read_from_the_end_of_the_index(self, db: Db) -> None:
        assert "using deliveries_next_at" in plan_of(db, deliveries.FIRST, {})

    @pytest.mark.parametrize("number", BATCHES)
    def test_what_is_needed_to_plan_on_goes_by_the_primary_keys(self, db: Db, number: int) -> None:
        plan = plan_of(db, events.TO_PLAN, {"ids": events_of(db, number)})

        assert "events_pkey" in plan
        assert "event_versions_pkey" in plan

    @pytest.mark.parametrize("number", BATCHES)
    def test_inserting_looks_for_records_by_the_primary_key(self, db: Db, number: int) -> None:
        planned = [
            PlannedDelivery(
                occurrence_id=occurrence_id,
                event_id=event_id,
                event_version=1,
                scheduled_at=utc_now(),
                recurrence_id=None,
                destination=DestinationId(7),
                chained=True,
            )
            for occurrence_id, event_id in zip(ids_of(db, number), events_of(db, number), strict=True)
        ]
        parameters = planned_deliveries.parameters_of(planned) | {
            "planned": Json(planned, dumps=msgspec.json.encode),
            "occurrence_ids": [each.occurrence_id for each in planned],
        }

        assert "occurrences_default_pkey" in plan_of(db, planned_deliveries.INSERT, parameters)

    @pytest.mark.parametrize("number", BATCHES)
    @pytest.mark.parametrize("statement", [deliveries.UNCLAIM, deliveries.CATCH_UP, deliveries.MISS])
    def test_settling_claims_goes_by_the_primary_key(self, db: Db, statement: LiteralString, number: int) -> None:
        assert BY_KEY in plan_of(db, statement, {"ids": ids_of(db, number), "counts": [1] * number})


class TestDispatcher:
    @pytest.mark.parametrize("number", BATCHES)
    @pytest.mark.parametrize(
        "statement",
        [
            deliveries.BEGIN,
            deliveries.EXTEND,
            deliveries.FINISH,
            deliveries.RETRY,
            deliveries.RELEASE,
            deliveries.DEFER,
            planned_deliveries.REDIRECT,
        ],
    )
    def test_what_happens_to_a_claim_goes_by_the_primary_key(
        self, db: Db, statement: LiteralString, number: int
    ) -> None:
        parameters: Parameters = {
            "ids": ids_of(db, number),
            "epochs": [1048577] * number,
            "statuses": ["delivered"] * number,
            "reasons": [None] * number,
            "requests": [1] * number,
            "delays": [MINUTE] * number,
            "leases": [MINUTE] * number,
            "destinations": [DestinationId(7)] * number,
        }

        assert BY_KEY in plan_of(db, statement, parameters)

    @pytest.mark.parametrize("number", BATCHES)
    def test_events_are_completed_by_the_index_of_their_deliveries(self, db: Db, number: int) -> None:
        plan = plan_of(db, events.COMPLETE, {"ids": events_of(db, number)})

        assert "events_pkey" in plan
        assert "deliveries_event_id" in plan

    def test_destinations_are_locked_and_probed_by_the_primary_key(self, db: Db) -> None:
        with db.transaction(force_rollback=True):
            db.execute(
                "INSERT INTO destinations (id, origin, failures, blocked_until)"
                " SELECT n, n::text, 1, now() FROM generate_series(1, 20000) AS n"
            )
            db.execute("ANALYZE destinations")
            ids = list(range(1, 40))
            for statement in (destinations.LOCK, destinations.PROBE, destinations.FORGET):
                plan = plan_of(db, statement, {"ids": ids, "hold": MINUTE})

                assert "destinations_pkey" in plan
                assert "Seq Scan on destinations" not in plan


class TestApi:
    def test_cancelling_goes_by_the_index_of_the_event_or_the_primary_key(self, db: Db) -> None:
        of_event = {"event_id": an_event_of(db), "reason": "event_deleted", "overdue": True}
        [id_] = ids_of(db, 1)

        for statement in (
            planned_deliveries.CANCEL,
            planned_deliveries.UNPLAN,
            planned_deliveries.UNCHAIN,
            planned_deliveries.LAST_PLANNED,
        ):
            assert "deliveries_event_id" in plan_of(db, statement, of_event)
        assert BY_KEY in plan_of(db, cancellations.CANCEL, {"id": id_, "reason": "client", "claims": 1})

    def test_the_newest_events_are_read_from_the_end_of_their_index(self, db: Db) -> None:
        statement = events.SELECT + events.NOT_DELETED + events.NEWEST + events.CONTENT

        assert "using events_newest" in plan_of(db, statement, {"limit": 50})

    def test_a_page_of_events_goes_on_in_their_index(self, db: Db) -> None:
        statement = events.SELECT + events.CONDITIONS["before_id"] + events.NOT_DELETED + events.NEWEST + events.CONTENT

        plan = plan_of(db, statement, {"before_at": utc_now() - HOUR, "before_id": an_event_of(db), "limit": 50})

        assert re.search(r"using events_newest.*\n\s+Index Cond: \(ROW\(created_at, id\) <", plan)

    @pytest.mark.parametrize(("selection", "index"), SELECTIONS)
    def test_which_events_are_few_is_found_by_their_tags(self, db: Db, selection: Selection, index: str) -> None:
        condition, parameters = selections.condition(selection)
        statement = selections.COUNT + selections.IDS + condition + selections.NO_FURTHER

        assert index in plan_of(db, statement, parameters | {"most": selections.SOME + 1})

    @pytest.mark.parametrize(("selection", "index"), SELECTIONS)
    def test_events_that_are_few_are_found_by_their_tags(self, db: Db, selection: Selection, index: str) -> None:
        condition, parameters = selections.condition(selection)
        gathered = events.GATHERED + condition + "))"
        statement = events.SELECT + events.NOT_DELETED + gathered + events.NEWEST + events.CONTENT

        plan = plan_of(db, statement, parameters | {"limit": 50})

        assert index in plan
        assert "events_newest" not in plan

    def test_events_with_a_tag_that_is_on_all_are_met_on_a_walk(self, db: Db) -> None:
        condition, parameters = selections.condition(Selection(sight=EVERYTHING, tags=["all"]))
        statement = events.SELECT + events.NOT_DELETED + condition + events.NEWEST + events.CONTENT

        assert "using events_newest" in plan_of(db, statement, parameters | {"limit": 50})

    @pytest.mark.parametrize("status", ["paused", "disabled"])
    def test_stopped_events_have_an_index_of_their_own(self, db: Db, status: str) -> None:
        statement = events.SELECT + events.CONDITIONS["status"] + events.NEWEST + events.CONTENT

        assert "events_stopped" in plan_of(db, statement, {"status": status, "limit": 50})

    @pytest.mark.parametrize(
        "selection", [each for each, _ in SELECTIONS] + [Selection(sight=EVERYTHING, event_id=EventId(UUID(int=7)))]
    )
    @pytest.mark.parametrize(("status", "index"), STATUSES)
    @pytest.mark.parametrize("span", SPANS, ids=["ever", "span"])
    def test_occurrences_of_few_events_are_found_by_them_wherever_they_live(
        self, db: Db, selection: Selection, status: str | None, index: str, span: Parameters
    ) -> None:
        plan = self.page(db, Filters(status=status, **span), selection, "few")

        assert re.search(index, plan), plan
        assert "events_newest" not in plan

    @pytest.mark.parametrize("extent", ["some", "many"])
    @pytest.mark.parametrize("span", SPANS, ids=["ever", "span"])
    @pytest.mark.parametrize("status", [None, "failed", "delivered", "scheduled"])
    def test_occurrences_of_more_events_are_met_on_a_walk_by_id(
        self, db: Db, status: str | None, span: Parameters, extent: Extent
    ) -> None:
        selection = Selection(sight=Sight(prefixes=[f"team:{n}:" for n in range(10)]))

        plan = self.page(db, Filters(status=status, **span), selection, extent)

        assert status in LIVE or re.search("Scan.* using occurrences_default_(pkey|status_id_idx)", plan), plan
        assert status in FINAL or f"using {BY_KEY}" in plan
        assert ("hashed SubPlan" in plan) == (extent == "some")

    def test_the_newest_occurrences_are_read_from_the_ends_of_the_primary_keys(self, db: Db) -> None:
        plan = self.page(db, Filters(), Selection(sight=EVERYTHING), "many")

        assert f"Scan Backward using {BY_KEY}" in plan
        assert "Scan Backward using occurrences_default_pkey" in plan

    @staticmethod
    def page(db: Db, filters: Filters, selection: Selection, extent: Extent) -> str:
        statement, parameters = occurrence_lists.page_of(filters, selection, extent, before=first_id(db, utc_now()))
        return plan_of(db, statement, parameters | {"limit": 51})

    def test_one_occurrence_is_found_by_the_primary_keys(self, db: Db) -> None:
        [id_] = ids_of(db, 1)

        plan = plan_of(db, occurrences.SELECT + occurrences.WITH_ID, {"id": id_})

        assert BY_KEY in plan
        assert "occurrences_default_pkey" in plan

    def test_a_chain_is_counted_and_its_events_are_named_by_their_index(self, db: Db) -> None:
        chained: Parameters = {"sub": "master", "chain_id": an_event_of_a_chain(db), "since": utc_now() - DAY}

        for statement in (
            usage.CREATED_IN_CHAIN,
            usage.CREATION_IN_CHAIN,
            usage.BEGINNING + usage.NEWEST + usage.NEWEST_FIRST,
        ):
            assert "events_chain" in plan_of(db, statement, chained | {"place": 3, "limit": 10})

    @pytest.mark.parametrize("number", [1, 50])
    def test_what_is_cancelled_of_events_to_come_is_found_by_an_index(self, db: Db, number: int) -> None:
        plan = plan_of(db, occurrences.CANCELLED_AFTER, {"ids": events_of(db, number), "after": None})

        both = re.findall(r"occurrences_default_\w*(?:idx|pkey)", plan)  # of those in place and of those moved
        assert len(both) >= 2


class TestMaintenance:
    @pytest.mark.parametrize("status", ["failed", "delivered"])
    def test_a_replay_walks_the_records_of_its_span_by_id(self, db: Db, status: FinalStatus) -> None:
        start = utc_now() - DAY
        filters = replays.Filters(
            status=status, scheduled_from=start, scheduled_to=start + HOUR, sight=Sight(prefixes=["team:"])
        )
        statement, parameters = replays.looking(filters, "many")

        plan = plan_of(db, statement, parameters | {"last_id": UUID(int=0), "limit": 500})

        assert re.search("occurrences_default_(pkey|status_id_idx)", plan), plan
        assert "occurrences_default_scheduled_at_idx" in plan

    @pytest.mark.parametrize(
        ("status", "index"), [("failed", "event_id_status_id_idx"), ("delivered", "event_id_id_idx")]
    )
    def test_a_replay_of_few_events_finds_their_records_by_them(self, db: Db, status: FinalStatus, index: str) -> None:
        filters = replays.Filters(
            status=status,
            scheduled_from=utc_now() - 90 * DAY,
            scheduled_to=utc_now(),
            sight=Sight(prefixes=["team:7:"]),
        )
        for statement, parameters in (replays.counting(filters, "few"), replays.looking(filters, "few")):
            plan = plan_of(db, statement, parameters | {"last_id": UUID(int=0), "limit": 500})

            assert index in plan
            assert "events_prefixes" in plan

    @pytest.mark.parametrize("number", BATCHES)
    def test_receivers_of_what_is_replayed_are_found_by_the_primary_keys(self, db: Db, number: int) -> None:
        plan = plan_of(db, replays.RECEIVERS, {"ids": ids_of(db, number)})

        assert BY_KEY in plan
        assert "events_pkey" in plan

    @pytest.mark.parametrize("number", BATCHES)
    def test_replaying_goes_by_the_primary_keys(self, db: Db, number: int) -> None:
        ids = [row[0] for row in db.execute("SELECT id FROM occurrences ORDER BY id LIMIT %s", [number])]

        plan = plan_of(db, replays.START, {"ids": ids, "finished_before": None})

        assert "occurrences_default_pkey" in plan

    @pytest.mark.parametrize("table", ["occurrences", "events"])
    def test_a_pass_that_finds_nothing_old_looks_at_no_more_than_an_index(self, db: Db, table: str) -> None:
        plan = plan_of(db, retention.OF_HISTORY[table], {"before": utc_now() - 100 * DAY, "limit": retention.BATCH})

        assert "occurrences_default_pkey" in plan if table == "occurrences" else "events_deleted" in plan
