-- Where a delivery's present round began: a replay has its event's whole retry policy before it again.
ALTER TABLE deliveries
    ADD COLUMN attempts_before integer NOT NULL DEFAULT 0,   -- of its attempts, those of earlier rounds
    ADD COLUMN replay_at       timestamptz,                  -- when a replay was first due: max_age counts from here
    DROP COLUMN replay,
    ADD COLUMN replay          boolean NOT NULL GENERATED ALWAYS AS (replay_at IS NOT NULL) STORED;

-- An occurrence wherever it lives: still to be delivered, or finished.
CREATE OR REPLACE VIEW all_occurrences AS
SELECT occurrence_id AS id, event_id, event_version, recurrence_id, scheduled_at,
       CASE WHEN attempts > attempts_before THEN 'retrying' WHEN leased THEN 'queued' ELSE 'scheduled' END AS status,
       NULL::text AS status_reason, attempts AS attempt_count,
       due_at AS next_attempt_at, NULL::timestamptz AS delivered_at, missed_count,
       attempts = 0 AND NOT begun AS follows_event,     -- until an attempt begins, the event's current version counts
       created_at, updated_at
  FROM deliveries
 UNION ALL
SELECT id, event_id, event_version, recurrence_id, scheduled_at,
       status, status_reason, attempt_count,
       NULL::timestamptz, delivered_at, missed_count,
       false,
       created_at, updated_at
  FROM occurrences;

-- What no id of this millisecond, or of a later one, is below: ids begin with the nominal time.
CREATE FUNCTION first_id_at(instant timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(
        substring(int8send(floor(greatest(0, extract(epoch FROM instant - timestamptz 'epoch')) * 1000)::bigint) FROM 3)
        || '\x00000000000000000000', 'hex')::uuid;

-- Of a moved occurrence, the id does not tell when it was due. Those are few, and found by an index of their own.
CREATE FUNCTION is_moved(id uuid, scheduled_at timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN substring(uuid_send(id) FOR 6)
        <> substring(int8send(floor(extract(epoch FROM scheduled_at - timestamptz 'epoch') * 1000)::bigint) FROM 3);
CREATE INDEX occurrences_moved ON occurrences (scheduled_at) WHERE is_moved(id, scheduled_at);

-- Dead letters, and whatever else did not arrive: few among many.
CREATE INDEX occurrences_undelivered ON occurrences (status, id) WHERE status <> 'delivered';

-- Finished occurrences that are to be delivered again, as many as match; a scheduler walks through them by id.
CREATE TABLE replays (
    id             bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    status         text        NOT NULL
                   CHECK (status IN ('delivered', 'failed', 'expired', 'cancelled', 'missed', 'skipped')),
    event_id       uuid,
    tags           text[],
    scheduled_from timestamptz NOT NULL,
    scheduled_to   timestamptz NOT NULL,
    sight          json        NOT NULL,           -- what the token could see: nothing else is replayed
    requested_by   text        NOT NULL,
    matched        integer     NOT NULL,           -- when it was asked for
    done           integer     NOT NULL DEFAULT 0,
    last_id        uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',  -- how far the walk has come
    next_at        timestamptz NOT NULL DEFAULT now(),                                   -- of the next batch
    created_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz
);
CREATE INDEX replays_unfinished ON replays (next_at) WHERE finished_at IS NULL;

CREATE INDEX events_deleted ON events (updated_at) WHERE status = 'deleted';
