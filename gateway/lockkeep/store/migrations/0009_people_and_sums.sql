-- Calls that people take over are `diverted`, and a share of a limit can be more than one: money, or a sum of a field.
CREATE TABLE calls_new (
    id           TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('denied','diverted','pending_approval','executing','succeeded','failed',
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
INSERT INTO calls_new SELECT
    id, state, tool, operation, integration, exported, risk, pin, user, agent, host, roles, subject, amount_minor, currency,
    key, run, step, asked, bound, generation, rules, verdicts, approval, retry_of, deny, reason, withheld, tries, next_try,
    at, claimed_at, settled_at
FROM calls ORDER BY rowid;
DROP TABLE calls;
ALTER TABLE calls_new RENAME TO calls;
CREATE INDEX calls_asked ON calls (user, agent, asked, at);
CREATE INDEX calls_key ON calls (user, agent, key) WHERE key IS NOT NULL;
CREATE INDEX calls_run ON calls (run, step) WHERE run IS NOT NULL;
CREATE INDEX calls_open ON calls (state, at) WHERE state IN ('pending_approval','executing','unknown','needs_human');
CREATE INDEX calls_subject ON calls (tool, subject) WHERE state IN ('unknown','needs_human');
CREATE INDEX calls_at ON calls (at);
ALTER TABLE shares ADD COLUMN units INTEGER NOT NULL DEFAULT 1;
