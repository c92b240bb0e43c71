-- Secrets that were rotated out and still sign beside the current one, the newest first, each with its end:
-- [{"secret": …, "valid_until": …}]. A secret is stored as `shared/sealing.py` writes it; null is the default one.
ALTER TABLE events ADD COLUMN previous_secrets json;
