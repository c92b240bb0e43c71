-- Only answers of requests that succeeded are kept, whole, in the transaction that did what they tell of.
ALTER TABLE idempotency_keys
    ALTER COLUMN status_code SET NOT NULL,
    ALTER COLUMN answer SET NOT NULL,
    ADD COLUMN headers json NOT NULL DEFAULT '{}';
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- What two events have in common that do the same: one of them was probably forgotten.
CREATE FUNCTION likeness_of(name text, webhook_url text, schedule text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(name || chr(31) || webhook_url || chr(31) || coalesce(schedule, ''), 0);

ALTER TABLE events
    ADD COLUMN external_id text CHECK (char_length(external_id) BETWEEN 1 AND 255),   -- the caller's own
    ADD COLUMN likeness    bigint NOT NULL DEFAULT 0;
UPDATE events AS e
   SET likeness = likeness_of(e.name, e.webhook_url, v.content -> 'timing' ->> 'schedule')
  FROM event_versions AS v
 WHERE v.event_id = e.id AND v.version = e.version;
CREATE UNIQUE INDEX events_external_id ON events (created_by, external_id)
    WHERE external_id IS NOT NULL AND status <> 'deleted';
CREATE INDEX events_likeness ON events (created_by, likeness, id) WHERE status <> 'deleted';

-- The id of the request that made the version, as log lines name it.
ALTER TABLE event_versions ADD COLUMN request_id text;

-- Who did what, where no version of an event tells. Append-only, written in the transaction that did it.
CREATE TABLE audit (
    at            timestamptz NOT NULL DEFAULT now(),
    request_id    text,
    sub           text        NOT NULL,
    action        text        NOT NULL,
    event_id      uuid,
    occurrence_id uuid,
    token_id      uuid,
    details       json        NOT NULL DEFAULT '{}'    -- never a secret
);
CREATE INDEX audit_at ON audit USING brin (at);
