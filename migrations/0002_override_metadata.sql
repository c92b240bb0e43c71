-- As it was written, like an event's: jsonb would reorder names and expand numbers.
ALTER TABLE event_overrides ALTER COLUMN metadata TYPE json;
