-- Effects an integration starts later, by itself: what the gateway has asked of its queue, and whether it was heard.
CREATE TABLE queues (
    integration TEXT PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('holding','held','kept','releasing','released')),
    failure     TEXT,
    at          TEXT NOT NULL
) STRICT;
