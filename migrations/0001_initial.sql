-- What the user asked for: identity, state, and what lists filter by. The content is in the current version.
CREATE TABLE events (
    id            uuid        PRIMARY KEY,
    version       integer     NOT NULL DEFAULT 1 CHECK (version > 0),
    status        text        NOT NULL DEFAULT 'active'
                  CHECK (status IN ('active', 'paused', 'disabled', 'completed', 'deleted')),
    status_reason text,
    name          text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    tags          text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 64),
    webhook_url   text        NOT NULL,           -- retries go to the current one, whatever version was claimed
    hmac_secret   text,
    created_by    text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_newest ON events (created_at DESC, id DESC);
CREATE INDEX events_tags ON events USING gin (tags);

-- The content of every version of every event, who made it and what it changed. Append-only.
CREATE TABLE event_versions (
    event_id   uuid        NOT NULL REFERENCES events ON DELETE CASCADE,
    version    integer     NOT NULL CHECK (version > 0),
    content    json        NOT NULL,     -- as it was written: jsonb would reorder names and expand numbers
    change     text        NOT NULL
               CHECK (change IN ('created', 'updated', 'paused', 'resumed', 'deleted', 'restored')),
    fields     text[]      NOT NULL DEFAULT '{}',
    changed_by text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, version)
);

-- Changes to single occurrences of a recurring event.
CREATE TABLE event_overrides (
    event_id      uuid        NOT NULL REFERENCES events ON DELETE CASCADE,
    recurrence_id text        NOT NULL,
    original_at   timestamptz NOT NULL,
    excluded      boolean     NOT NULL DEFAULT false,
    scheduled_at  timestamptz,
    metadata      jsonb,
    webhook_url   text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, recurrence_id)
);

-- Live work only: waiting, claimed or retrying. A finished delivery leaves this table for `occurrences`.
-- next_at is the one indexed time: due, retry and lease expiry, so that the claim query is also the rescuer.
CREATE TABLE deliveries (
    occurrence_id uuid        PRIMARY KEY,
    event_id      uuid        NOT NULL,
    event_version integer     NOT NULL,
    next_at       timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,           -- when the current attempt may start; next_at while nobody holds it
    scheduled_at  timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    epoch         bigint      NOT NULL,           -- raised by every claim; a write that names another one changes nothing
    attempts      integer     NOT NULL DEFAULT 0, -- HTTP requests made
    missed_count  integer     NOT NULL DEFAULT 0,
    leased        boolean     NOT NULL DEFAULT false,
    begun         boolean     NOT NULL DEFAULT false, -- this claim's attempt has started: its request may be on the wire
    chained       boolean     NOT NULL,           -- its first claim plans the event's next delivery
    catch_up      boolean     NOT NULL DEFAULT false,
    replay        boolean     NOT NULL DEFAULT false,
    recurrence_id text,
    metadata      json                            -- only what a trigger merges over the event's
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05
);
CREATE INDEX deliveries_next_at ON deliveries (next_at);
CREATE INDEX deliveries_event_id ON deliveries (event_id);

-- The record of every finished occurrence. Ids begin with the nominal time, so a range of ids is a range of time.
CREATE TABLE occurrences (
    id            uuid        PRIMARY KEY,
    event_id      uuid        NOT NULL,
    event_version integer     NOT NULL,
    recurrence_id text,
    scheduled_at  timestamptz NOT NULL,
    status        text        NOT NULL
                  CHECK (status IN ('delivered', 'failed', 'expired', 'cancelled', 'missed', 'skipped')),
    status_reason text,
    epoch         bigint      NOT NULL,
    attempt_count integer     NOT NULL,
    missed_count  integer     NOT NULL DEFAULT 0,
    metadata      json,
    delivered_at  timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
CREATE INDEX occurrences_event ON occurrences (event_id, id DESC);
CREATE TABLE occurrences_default PARTITION OF occurrences DEFAULT;

-- Every HTTP request made. `stale` marks one whose claim had been taken over when its result came.
CREATE TABLE attempts (
    occurrence_id    uuid        NOT NULL,
    epoch            bigint      NOT NULL,
    number           integer     NOT NULL,
    started_at       timestamptz NOT NULL,
    duration_ms      integer     NOT NULL,
    outcome          text        NOT NULL,
    stale            boolean     NOT NULL DEFAULT false,
    status_code      smallint,
    response_headers jsonb,
    response_body    text,
    error            text,
    url              text        NOT NULL,
    PRIMARY KEY (occurrence_id, number, epoch, started_at)
) PARTITION BY RANGE (started_at);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- Health of one scheme, host and port.
CREATE TABLE destinations (
    origin        text        PRIMARY KEY,
    failures      integer     NOT NULL DEFAULT 0,
    blocked_until timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- What is known of the tokens that were made here; never the token itself. id is the `jti`.
CREATE TABLE tokens (
    id         uuid        PRIMARY KEY,
    sub        text        NOT NULL,
    access     text        NOT NULL CHECK (access IN ('read', 'write', 'read_write', 'admin')),
    scope      text[]      NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE idempotency_keys (
    sub          text        NOT NULL,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    status_code  smallint,
    answer       bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sub, key)
);

-- An occurrence wherever it lives: still to be delivered, or finished.
CREATE VIEW all_occurrences AS
SELECT occurrence_id AS id, event_id, event_version, recurrence_id, scheduled_at,
       CASE WHEN attempts > 0 THEN 'retrying' WHEN leased THEN 'queued' ELSE 'scheduled' END AS status,
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
