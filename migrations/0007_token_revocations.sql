CREATE INDEX tokens_newest ON tokens (created_at DESC, id DESC);
-- Each API process asks here for news, twice a second.
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_expired ON tokens (expires_at);
