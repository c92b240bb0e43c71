-- Which delivery chain created an event: the event that began it, and all that its webhooks led to. Known by that event's id.
ALTER TABLE events ADD COLUMN chain_id uuid;
CREATE INDEX events_chain ON events (created_by, chain_id, created_at) WHERE chain_id IS NOT NULL;
