-- First days: a generation may only observe until a date. And what one person proposes, another brings into force.
ALTER TABLE generations ADD COLUMN observe_until TEXT;
CREATE TABLE proposals (
    id            TEXT PRIMARY KEY,
    after         INTEGER NOT NULL,
    content       TEXT NOT NULL,
    digest        TEXT NOT NULL,
    observe_until TEXT,
    by            TEXT NOT NULL,
    reason        TEXT NOT NULL,
    at            TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('open','agreed'))
) STRICT;
