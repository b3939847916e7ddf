-- One row per call, first stored in the state its gates lead to. Times are UTC text of fixed width.
CREATE TABLE calls (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('denied','pending_approval','executing','succeeded','failed',
                                                'unknown','not_applied','needs_human','expired','cancelled')),
    tool         TEXT NOT NULL,
    operation    TEXT NOT NULL,
    integration  TEXT NOT NULL,
    exported     TEXT NOT NULL,
    risk         TEXT NOT NULL,
    pin          TEXT NOT NULL,
    user         TEXT NOT NULL,
    agent        TEXT NOT NULL,
    host         TEXT NOT NULL,
    roles        TEXT NOT NULL,
    subject      TEXT,
    amount_minor INTEGER,
    currency     TEXT,
    key          TEXT,
    run          TEXT,
    step         TEXT,
    asked        TEXT NOT NULL,
    bound        TEXT,
    generation   INTEGER NOT NULL,
    rules        TEXT NOT NULL,
    verdicts     TEXT NOT NULL,
    approval     TEXT,
    retry_of     TEXT,
    deny         TEXT,
    reason       TEXT,
    withheld     INTEGER NOT NULL DEFAULT 0,
    tries        INTEGER NOT NULL DEFAULT 0,
    next_try     TEXT,
    at           TEXT NOT NULL,
    claimed_at   TEXT,
    settled_at   TEXT
) STRICT;
CREATE INDEX calls_asked ON calls (user, agent, asked, at);
CREATE INDEX calls_key ON calls (user, agent, key) WHERE key IS NOT NULL;
CREATE INDEX calls_run ON calls (run, step) WHERE run IS NOT NULL;
CREATE INDEX calls_open ON calls (state, at) WHERE state IN ('pending_approval','executing','unknown','needs_human');
CREATE INDEX calls_subject ON calls (tool, subject) WHERE state IN ('unknown','needs_human');
CREATE INDEX calls_at ON calls (at);

-- Apart from the chain, so that deleting a payload leaves the chain whole and, without the salt, nothing to guess.
CREATE TABLE payloads (
    call      TEXT PRIMARY KEY REFERENCES calls (id),
    salt      TEXT NOT NULL,
    arguments TEXT NOT NULL,
    sent      TEXT,
    facts     TEXT,
    result    TEXT
) STRICT;
