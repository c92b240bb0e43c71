ALTER TABLE events
    ADD COLUMN stopped_at   timestamptz,    -- from when on a paused or disabled event has delivered nothing
    ADD COLUMN paused_until timestamptz;
CREATE INDEX events_paused_until ON events (paused_until) WHERE status = 'paused' AND paused_until IS NOT NULL;
