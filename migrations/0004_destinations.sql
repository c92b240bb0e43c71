-- Which scheme, host and port a delivery goes to, as a hash: deliveries to one destination never stand in the way of others.
ALTER TABLE deliveries ADD COLUMN destination bigint NOT NULL DEFAULT 0;

-- Health of one destination: the circuit breaker's memory. Only those with failures since their last answer are here.
DROP TABLE destinations;
CREATE TABLE destinations (
    id            bigint      PRIMARY KEY,
    origin        text        NOT NULL,
    failures      integer     NOT NULL,               -- weighed, since the last answer
    trips         integer     NOT NULL DEFAULT 0,     -- how often it was blocked since then
    blocked_until timestamptz,
    probing       boolean     NOT NULL DEFAULT false, -- blocked for as long as one delivery tries whether it answers again
    updated_at    timestamptz NOT NULL DEFAULT now()
);

