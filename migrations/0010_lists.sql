-- The beginnings of tags that a token's scope may name, `team:` of `team:red`. No more than four of each tag, so that
-- colons alone cannot make a row large: who may see by a longer one is looked at again.
CREATE FUNCTION prefixes_of(tags text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    tag      text;
    prefix   text;
    prefixes text[] := '{}';
BEGIN
    FOREACH tag IN ARRAY tags LOOP
        prefix := '';
        FOR colons IN 1..4 LOOP
            prefix := prefix || split_part(tag, ':', colons) || ':';
            EXIT WHEN NOT starts_with(tag, prefix);
            IF prefix <> ALL (prefixes) THEN
                prefixes := prefixes || prefix;
            END IF;
        END LOOP;
    END LOOP;
    RETURN prefixes;
END
$$;
ALTER TABLE events ADD COLUMN prefixes text[] NOT NULL GENERATED ALWAYS AS (prefixes_of(tags)) STORED;
CREATE INDEX events_prefixes ON events USING gin (prefixes);

-- Of one event, what did not arrive is found without a look at all that did. Nothing is written for a delivered one.
CREATE INDEX occurrences_undelivered_of_event ON occurrences (event_id, status, id) WHERE status <> 'delivered';

-- Like occurrences_moved: nothing is written for a delivery that is due at the time that its id begins with.
CREATE INDEX deliveries_moved ON deliveries (scheduled_at) WHERE is_moved(occurrence_id, scheduled_at);

-- An occurrence wherever it lives: still to be delivered, or finished.
CREATE OR REPLACE VIEW all_occurrences AS
SELECT occurrence_id AS id, event_id, event_version, recurrence_id, scheduled_at,
       CASE WHEN attempts > attempts_before THEN 'retrying' WHEN leased THEN 'queued' ELSE 'scheduled' END AS status,
       NULL::text AS status_reason, attempts AS attempt_count,
       due_at AS next_attempt_at, NULL::timestamptz AS delivered_at, missed_count,
       attempts = 0 AND NOT begun AS follows_event,     -- until an attempt begins, the event's current version counts
       created_at, updated_at,
       false AS finished                                -- a query that names it reads one of the two tables only
  FROM deliveries
 UNION ALL
SELECT id, event_id, event_version, recurrence_id, scheduled_at,
       status, status_reason, attempt_count,
       NULL::timestamptz, delivered_at, missed_count,
       false,
       created_at, updated_at,
       true
  FROM occurrences;

-- Events that were stopped: few among many.
CREATE INDEX events_stopped ON events (status, created_at DESC, id DESC) WHERE status IN ('paused', 'disabled', 'deleted');
