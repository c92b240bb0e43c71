"""Secrets as clients replace them: what is answered, what is stored, and what is written nowhere."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from services.api import __main__ as api_process
from services.api import app as application
from services.api.context import Context
from shared.domain.ids import EventId
from shared.domain.secrets import EventSecrets
from shared.sealing import Seals
from shared.store import secrets
from shared.store.pool import Connection
from tests.factories import utc_now
from tests.integration.api.client import MASTER, Api, Json, assert_problem, pointers, settings_of_tests

KEY = bytes(range(32))
FIRST, SECOND, THIRD = "the first secret", "the second secret", "the third secret"


async def rotate(api: Api, event: Json, **body: str | None) -> Json:
    answer = await api.http.post(f"/events/{event['id']}/secret/rotate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored_of(conn: Connection, event: Json) -> EventSecrets:
    return await secrets.read(conn, EventId(UUID(event["id"])))


async def test_a_secret_that_the_service_makes_is_shown_once_and_signs(api: Api, conn: Connection) -> None:
    event = await api.create()

    answered = await rotate(api, event)
    again = await rotate(api, event)

    made = answered["hmac_secret"]
    assert set(answered) == {"hmac_secret", "previous_valid_until"}
    assert len(base64.b64decode(made.removeprefix("whsec_"), validate=True)) == 32
    assert again["hmac_secret"] != made
    assert (await stored_of(conn, event)).valid(utc_now()) == [again["hmac_secret"], made, None]
    read = await api.http.get(f"/events/{event['id']}")
    assert read.json()["has_hmac_secret"] is True
    assert made not in read.text


async def test_a_secret_that_the_client_brings_is_not_repeated(api: Api, conn: Connection) -> None:
    event = await api.create(hmac_secret=FIRST)

    answer = await api.http.post(f"/events/{event['id']}/secret/rotate", json={"hmac_secret": SECOND})

    assert set(answer.json()) == {"previous_valid_until"}
    assert SECOND not in answer.text
    assert (await stored_of(conn, event)).valid(utc_now()) == [SECOND, FIRST]


@pytest.mark.parametrize(
    ("body", "grace"),
    [
        ({}, timedelta(hours=24)),
        ({"grace": None, "hmac_secret": None}, timedelta(hours=24)),
        ({"grace": "PT0S"}, timedelta(0)),
        ({"grace": "PT1M"}, timedelta(minutes=1)),
        ({"grace": "P30D"}, timedelta(days=30)),
    ],
    ids=str,
)
async def test_the_previous_secret_is_good_for_the_grace(
    api: Api, conn: Connection, body: dict[str, str | None], grace: timedelta
) -> None:
    event = await api.create(hmac_secret=FIRST)
    before = utc_now()

    until = datetime.fromisoformat((await rotate(api, event, **body))["previous_valid_until"])

    assert abs(until - before - grace) < timedelta(seconds=30)
    assert [(old.secret, old.valid_until) for old in (await stored_of(conn, event)).previous] == (
        [(FIRST, until)] if grace else []
    )


async def test_no_body_at_all_will_do(api: Api) -> None:
    event = await api.create()

    assert (await api.http.post(f"/events/{event['id']}/secret/rotate")).json()["hmac_secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"grace": "P31D"}, ["/grace"]),
        ({"grace": "-PT1S"}, ["/grace"]),
        ({"grace": "soon"}, ["/grace"]),
        ({"grace": 5}, ["/grace"]),
        ({"hmac_secret": "x" * 15}, ["/hmac_secret"]),
        ({"hmac_secret": "x" * 256, "grace": "P1Y", "secret": "x"}, ["/grace", "/hmac_secret", "/secret"]),
    ],
    ids=str,
)
async def test_a_bad_rotation_is_refused_with_all_of_its_errors(api: Api, body: Json, expected: list[str]) -> None:
    event = await api.create(hmac_secret=FIRST)

    answer = await api.http.post(f"/events/{event['id']}/secret/rotate", json=body)

    errors = assert_problem(answer, 422, "validation_failed")
    assert sorted(pointers(errors)) == expected
    assert all(error.get("example") or error.get("hint") for error in errors)
    assert "x" * 15 not in answer.text
    assert (await api.read(f"/events/{event['id']}"))["version"] == 1


async def test_a_rotation_is_a_new_version_that_says_so(api: Api, conn: Connection) -> None:
    event = await api.create(tags=["a"])
    alice = await api.limited_to("write", "a")

    await rotate(alice, event)

    rows = await conn.execute("SELECT version, change, fields, changed_by FROM event_versions ORDER BY version DESC")
    assert await rows.fetchone() == (2, "updated", ["hmac_secret"], "alice")
    changed = await api.read(f"/events/{event['id']}")
    different = {name for name in event if changed[name] != event[name]}
    assert different == {"version", "updated_at", "has_hmac_secret"}


@pytest.mark.parametrize("new", [THIRD, None])
async def test_a_change_of_the_secret_replaces_all_of_them_at_once(api: Api, conn: Connection, new: str | None) -> None:
    event = await api.create(hmac_secret=FIRST)
    await rotate(api, event, hmac_secret=SECOND)

    await api.change(event, name="New")
    kept = await stored_of(conn, event)
    await api.change(event, hmac_secret=new)

    assert kept.valid(utc_now()) == [SECOND, FIRST]
    assert await stored_of(conn, event) == EventSecrets(new)


async def test_with_a_key_no_secret_is_in_the_database(context: Context, conn: Connection) -> None:
    config = msgspec.structs.replace(settings_of_tests(), encryption_keys=(KEY,))
    sealing = Context(config, context.pool, context.redis)
    await sealing.clock.sync(conn)
    api = Api(application.build(sealing), MASTER)
    event = await api.create(hmac_secret=FIRST)
    await rotate(api, event, hmac_secret=SECOND)
    other = await api.create()
    await api.change(other, hmac_secret=THIRD)

    dump = await conn.execute(
        "SELECT e::text || v::text FROM events AS e JOIN event_versions AS v ON v.event_id = e.id"
    )

    text = " ".join(row[0] for row in await dump.fetchall())
    assert event["id"] in text
    assert not any(secret in text for secret in (FIRST, SECOND, THIRD))
    opened = [
        [Seals([KEY]).open(secret, EventId(UUID(each["id"]))) for secret in stored.valid(utc_now()) if secret]
        for each in (event, other)
        for stored in [await stored_of(conn, each)]
    ]
    assert opened == [[SECOND, FIRST], [THIRD]]


@pytest.mark.parametrize(
    ("env", "keys", "warnings"), [("production", (), 1), ("production", (KEY,), 0), ("local", (), 0), ("test", (), 0)]
)
def test_an_operator_is_warned_of_secrets_that_are_not_sealed(env: str, keys: tuple[bytes, ...], warnings: int) -> None:
    config = msgspec.structs.replace(settings_of_tests(), env=env, encryption_keys=keys)

    with capture_logs() as logs:
        api_process.warn_of_unsealed_secrets(config)

    assert [log["event"] for log in logs] == ["secrets.unsealed"] * warnings
